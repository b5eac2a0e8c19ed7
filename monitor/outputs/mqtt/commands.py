"""Commands over MQTT: parsed from topic and text, and applied; pure functions.

Every received message is either a `Command` or refused with one line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from monitor.detection.control import Control
from monitor.outputs.mqtt.topics import Topics, watchlist_topic
from monitor.system.boundary import printable
from monitor.system.bounded_read import DamagedError, parse_json
from monitor.types import ConfigError

MAX_CHARACTERS = 32_768
"""Length of a command; a label with thirty long prompts takes a third of it."""

MAX_KEYS, MAX_ENTRIES = 100, 100
"""Keys of a label, and entries of a list in it; a valid label has fewer than half of them."""

_MAX_ID = 32
"""Characters of the name of a source or a label."""

_MAX_NUMBER = 32
"""Characters of a number."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Arm or disarm detection."""

    armed: bool


@dataclass(frozen=True, slots=True)
class SetThreshold:
    """Set the threshold of a label at a source."""

    source: str
    label: str
    threshold: float


@dataclass(frozen=True, slots=True)
class PutLabel:
    """Add a label, or change keys of an existing one."""

    keys: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RemoveLabel:
    """Remove a label."""

    label: str


@dataclass(frozen=True, slots=True)
class FollowWatchlist:
    """Put the labels of the fleet in force."""

    text: str
    """JSON, not checked yet; empty if it was removed."""


Command = Arm | SetThreshold | PutLabel | RemoveLabel | FollowWatchlist


def parse_command(topics: Topics, topic: str, text: str) -> Command:
    """Parse a message under a command topic; raises a `ConfigError` with one line if it is no command."""
    if topic == watchlist_topic(topics.base):
        return FollowWatchlist(text)
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"is longer than {MAX_CHARACTERS} characters")
    if topic == topics.armed_command():
        return _parse_arm(text)
    if topic == topics.labels_command():
        return _parse_label(text)
    match topic.removeprefix(f"{topics.base}/{topics.node}/").split("/"):
        case [source, "threshold", label, "set"] if max(len(source), len(label)) <= _MAX_ID:
            return SetThreshold(source, label, _parse_number(text))
    raise ConfigError("is not a command topic")


def apply_command(command: Command, control: Control, follow: Callable[[str, Control], None]) -> None:
    """Apply a command, a watchlist with ``follow``; raises a `MonitorError`, one line, if it is refused."""
    match command:
        case Arm(armed):
            control.arm(armed=armed)
        case SetThreshold(source, label, threshold):
            control.set_threshold(label, threshold, source)
        case PutLabel(keys):
            control.put_label(keys)
        case RemoveLabel(label):
            control.remove_label(label)
        case FollowWatchlist(text):
            follow(text, control)


def _parse_arm(text: str) -> Arm:
    if text not in {"ON", "OFF"}:
        raise ConfigError(f"{_quoted(text)} is neither ON nor OFF")
    return Arm(text == "ON")


def _parse_number(text: str) -> float:
    try:
        number = float(text) if len(text) <= _MAX_NUMBER and text.isascii() else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{_quoted(text)} is not a number")
    return number


def _parse_label(text: str) -> PutLabel | RemoveLabel:
    try:
        keys = parse_json(text, unique=True)
    except DamagedError as error:
        raise ConfigError(f"{_quoted(text)} {error}") from error
    if not isinstance(keys, dict):
        raise ConfigError(
            f'{_quoted(text)} is not a label such as {{"id":"kettle","prompts":["a kettle whistling"]}}'
        )
    if len(keys) > MAX_KEYS or any(isinstance(v, list) and len(v) > MAX_ENTRIES for v in keys.values()):
        raise ConfigError(f"{_quoted(text)} has more keys or prompts than a label can have")
    remove = keys.pop("remove", False)
    if remove is False:
        return PutLabel(keys)
    if remove is True and keys.keys() == {"id"} and isinstance(keys["id"], str):
        return RemoveLabel(keys["id"])
    raise ConfigError('is not a removal such as {"id":"kettle","remove":true}')


def _quoted(text: str) -> str:
    short = printable(text[:40])
    return f'"{short}..."' if len(text) > len(short) else f'"{short}"'
