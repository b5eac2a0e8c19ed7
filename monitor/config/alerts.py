"""Whom to tell beside the broker: commands that are run, and people who are notified.

A rule between two keys is checked at the later one, so that one fault hides no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from monitor.config.section import FilePath, HoursOfDay, Identifier, Section
from monitor.config.validators import Place, fault


def _check_argument(text: str) -> str:
    """Refuse what no process can be given."""
    if "\0" in text:
        raise fault("holds a NUL character, which no program can be given")
    return text


def _check_url_file(path: object) -> object:
    """Refuse the address itself, without repeating it."""
    if "://" in str(path):
        raise fault("holds the address itself; write that into a file, and the name of the file here")
    return path


Argument = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_check_argument)]
Labels = Annotated[tuple[Identifier, ...], Field(strict=False, max_length=200)]


class HookConfig(Section):
    """A command that is run when a sound starts or ends; the event comes on its standard input, as JSON."""

    name: Identifier = Field(description="Name of the hook, for the log and the metrics.")
    command: Annotated[tuple[Argument, ...], Field(strict=False)] = Field(
        min_length=1,
        max_length=100,
        description="Program and its arguments, as a list; no shell looks at them.",
    )
    labels: Labels | None = Field(default=None, description="Labels it is run for; unset: all.")
    phases: Annotated[tuple[Literal["start", "end"], ...], Field(strict=False)] = Field(
        default=("start",), min_length=1, max_length=2, description="start, end, or both."
    )
    limit_seconds: float = Field(
        default=10.0,
        ge=0.1,
        le=600,
        description="How long it may take; then it is killed with everything it started.",
    )
    at_once: int = Field(
        default=1, ge=1, le=16, description="How many of it may run at the same time; the others wait."
    )

    @field_validator("command")
    @classmethod
    def _names_a_program(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command[0].strip():
            raise fault("starts with an empty text; the first of the list is the program")
        return command


class NotifyConfig(Section):
    """Somebody who is notified through Apprise; the address, which holds secrets, is never written here."""

    name: Identifier = Field(description="Name of the target, for the log and the metrics.")
    url_file: Annotated[FilePath | None, BeforeValidator(_check_url_file)] = Field(
        default=None,
        description="File whose only line is the Apprise address (ntfy://..., mailto://...); a relative name "
        "is looked for among the systemd credentials first.",
    )
    url_env: Annotated[str, StringConstraints(pattern=validators.ENVIRONMENT)] | None = Field(
        default=None,
        validate_default=True,
        description="Environment variable that holds the address, instead of url_file.",
    )
    labels: Labels | None = Field(default=None, description="Labels it is told of; unset: all.")
    min_score: float = Field(default=0.0, ge=0, le=1, description="Score below which it is not told.")
    cooldown_seconds: float = Field(
        default=60.0,
        ge=0,
        le=86_400,
        description="Time after a message in which it is told of no other event of the same label.",
    )
    quiet_hours: Annotated[tuple[HoursOfDay, ...], Field(strict=False)] = Field(
        default=(),
        max_length=20,
        description="Hours of the day in which it is told nothing, such as 22:00-07:00; a line "
        "afterwards says what was held back.",
    )
    clip: bool = Field(
        default=False,
        description="Whether to attach the clip, if there is one; the message then waits for it.",
    )
    health: bool = Field(
        default=True,
        description="Whether it is told that a source hears nothing, or that the broker is gone.",
    )
    health_after_seconds: float = Field(
        default=60.0, ge=0, le=86_400, description="How long such a problem must last first."
    )
    health_cooldown_seconds: float = Field(
        default=3600.0, ge=0, le=604_800, description="Time between two messages about the same problem."
    )

    @field_validator("url_env")
    @classmethod
    def _has_an_address(cls, variable: str | None, others: ValidationInfo) -> str | None:
        file = others.data.get("url_file", "")
        if variable is None and file is None:
            raise fault("is missing; name the address by url_env or url_file, for it holds secrets")
        if variable is not None and file:
            raise fault("is one too many beside url_file; keep one of the two")
        return variable


def validate_alerts(
    value: object, validate: Callable[[Any], Any], *, what: str, labels: Sequence[Any]
) -> Any:
    """Validate hooks or targets: distinct names, labels that there are.

    Parameters
    ----------
    value : object
        As it was read.
    validate : callable
        Pydantic's.
    what : str
        Key of the list.
    labels : sequence
        All there are, with an ``id``; none if they are faulty themselves.
    """
    found = [
        *validators.repeated(value, "name", what),
        *_unknown_labels(value, {label.id for label in labels}),
    ]
    return validators.with_faults(value, validate, found)


def _unknown_labels(value: object, known: set[str]) -> Iterator[tuple[Place, str]]:
    for index, item in enumerate(value if known and isinstance(value, list | tuple) else ()):
        labels = item.get("labels") if isinstance(item, dict) else getattr(item, "labels", None)
        for place, label in enumerate(labels if isinstance(labels, list | tuple) else ()):
            if isinstance(label, str) and label not in known:
                yield (index, "labels", place), f'"{label[:60]}" is the id of no label'
