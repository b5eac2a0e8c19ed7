"""Choices of set-up: what a person chooses in the page, checked like the configuration that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from monitor.config import validators
from monitor.config.errors import explain, key_path
from monitor.config.prompt_packs import PackName
from monitor.config.section import Identifier, Prompt, Section
from monitor.config.yaml_reader import Node
from monitor.system.boundary import boundary
from monitor.types import ConfigError

S = TypeVar("S", bound=Section)

Secret = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\r\n]+$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class MicrophoneChoice(Section):
    """Microphone of this machine."""

    name: Identifier
    device: Annotated[str | int, BeforeValidator(validators.check_sound_card)]
    """Its name in PortAudio's list, or its index if several have that name."""


class CameraChoice(Section):
    """Camera, or another network stream; a login may also stand in the URL."""

    name: Identifier
    url: Text = Field(repr=False)
    username: Text | None = None
    password: Secret | None = Field(default=None, repr=False)
    tls_verify: bool = True


class BrokerChoice(Section):
    """MQTT broker."""

    host: Text
    port: int = Field(default=1883, ge=1, le=65_535)
    tls: bool = False
    username: Text | None = None
    password: Secret | None = Field(default=None, repr=False)
    """Unset: that of the configuration, if the user name is the same."""


class Choices(Section):
    """Everything that a person chooses."""

    node: Identifier = "home"
    microphones: Annotated[tuple[MicrophoneChoice, ...], Field(strict=False)] = Field(
        default=(), max_length=32
    )
    cameras: Annotated[tuple[CameraChoice, ...], Field(strict=False)] = Field(default=(), max_length=32)
    packs: Annotated[tuple[PackName, ...], Field(strict=False)] = Field(default=(), max_length=20)
    prompt: Prompt | None = None
    """A sound of their own."""
    broker: BrokerChoice | None = None
    """None: no MQTT."""


def checked(section: type[S], keys: Mapping[str, object]) -> S:
    """Return a part of the configuration that consists of these keys.

    Raises
    ------
    ConfigError
        One line for each error: ``url: has no valid host or port``.
    """
    with boundary(ConfigError, "set-up"):
        try:
            return section.model_validate(dict(keys))
        except ValidationError as error:
            lines = (f"{key_path(place)}: {words}" for _, place, words in explain(error, section, Node(1)))
            raise ConfigError("\n".join(lines)) from error
