"""Alerts: hooks, which are commands, and notification targets.

A rule between two keys is checked at the later one, so that one error never hides another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from monitor.config import validators
from monitor.config.section import FilePath, HoursOfDay, Identifier, Section, Variable
from monitor.config.unusual import UNUSUAL
from monitor.config.validators import fault


def _check_argument(text: str) -> str:
    """Refuse a NUL character, which no process accepts as an argument."""
    if "\0" in text:
        raise fault("contains a NUL character, which no program accepts")
    return text


def _check_url_file(path: object) -> object:
    """Refuse the URL itself, without repeating it."""
    if "://" in str(path):
        raise fault("contains the URL itself; write it into a file, and the path of that file here")
    return path


Argument = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_check_argument)]
Labels = Annotated[tuple[Identifier, ...], Field(strict=False, max_length=200)]


class HookConfig(Section):
    """Hook: a command that runs when an event starts or ends; it reads the event as JSON on its input."""

    name: Identifier = Field(description="Name of the hook, for logs and metrics.")
    command: Annotated[tuple[Argument, ...], Field(strict=False)] = Field(
        min_length=1,
        max_length=100,
        description="Program and arguments, as a list; no shell is involved.",
    )
    labels: Labels | None = Field(
        default=None, description="Ids of the labels that run the hook. Unset: all labels."
    )
    phases: Annotated[tuple[Literal["start", "end"], ...], Field(strict=False)] = Field(
        default=("start",),
        min_length=1,
        max_length=2,
        description="When the hook runs: at the start of an event, at its end, or both.",
    )
    timeout_seconds: float = Field(
        default=10.0,
        ge=0.1,
        le=600,
        description="Time limit, in seconds; then the command and everything it started is killed.",
    )
    max_parallel: int = Field(
        default=1, ge=1, le=16, description="Maximum number of runs at the same time; further events wait."
    )

    @field_validator("command")
    @classmethod
    def _names_a_program(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command[0].strip():
            raise fault("starts with an empty text; the first item is the program")
        return command


class NotifyConfig(Section):
    """Notification target, reached through Apprise; its URL is a secret, so it is never written here."""

    name: Identifier = Field(description="Name of the target, for logs and metrics.")
    url_file: Annotated[FilePath | None, BeforeValidator(_check_url_file)] = Field(
        default=None,
        description="File that holds only the Apprise URL (ntfy://..., mailto://...); a relative path is "
        "first looked up among the systemd credentials.",
    )
    url_env: Variable | None = Field(
        default=None,
        validate_default=True,
        description="Environment variable that holds the Apprise URL, instead of url_file.",
    )
    labels: Labels | None = Field(
        default=None,
        description="Ids of the labels to notify about. Unset: all labels; an empty list: none, for a "
        "target that only gets problems.",
    )
    min_score: float = Field(
        default=0.0, ge=0, le=1, description="Score below which an event is not notified."
    )
    cooldown_seconds: float = Field(
        default=60.0,
        ge=0,
        le=86_400,
        description="Time after a message in which further events of the same label are not notified, in "
        "seconds.",
    )
    quiet_hours: Annotated[tuple[HoursOfDay, ...], Field(strict=False)] = Field(
        default=(),
        max_length=20,
        description="Times of day without messages, such as 22:00-07:00; one message afterwards sums up "
        "what was held back.",
    )
    clip: bool = Field(
        default=False,
        description="Attach the clip, if there is one; the message then waits until the clip is recorded.",
    )
    health: bool = Field(
        default=True,
        description="Notify about problems: a source is offline, or the broker is unreachable.",
    )
    health_after_seconds: float = Field(
        default=60.0,
        ge=0,
        le=86_400,
        description="How long a problem must last before it is notified, in seconds.",
    )
    health_cooldown_seconds: float = Field(
        default=3600.0,
        ge=0,
        le=604_800,
        description="Time between two messages about the same problem, in seconds.",
    )

    @field_validator("url_env")
    @classmethod
    def _has_an_address(cls, variable: str | None, others: ValidationInfo) -> str | None:
        if variable is None and others.data.get("url_file", "") is None:
            raise fault(
                "is missing; the URL is a secret: name a file (url_file) or variable (url_env) that holds it"
            )
        checked: str | None = validators.check_secret(variable, others)
        return checked


def validate_alerts(value: object, validate: Callable[[Any], Any], others: ValidationInfo) -> Any:
    """Validate hooks or targets: names are unique, and their labels exist, unless those have errors."""
    found = [*validators.repeated(value, "name", f"{others.field_name}")]
    if labels := [label.id for label in others.data.get("labels", ())]:
        unusual = others.data.get("unusual")
        known = [*labels, UNUSUAL] if unusual is not None and unusual.enabled else labels
        found += validators.unknown_labels(value, known)
    return validators.with_faults(value, validate, found)
