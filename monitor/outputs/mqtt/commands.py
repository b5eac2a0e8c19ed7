"""What may be said to a node over the broker, and what it means; pure functions.

Whatever is said is either a `Command` or a refusal in one line; nothing else comes of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.config import LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.control import Control
from monitor.outputs.mqtt.topics import Topics
from monitor.system.boundary import printable
from monitor.system.bounded_read import DamagedError, parse_json
from monitor.types import ConfigError

MOST_CHARACTERS = 32_768
"""Of a command; a label with thirty long sentences has a third of it."""

MOST_KEYS, MOST_ENTRIES = 100, 100
"""Of a label that is worth a closer look, and of a list in it; it can have fewer than half of that."""

_LONGEST_ID = 32
"""Characters of the name of a source or of a label."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Switch listening on or off."""

    armed: bool


@dataclass(frozen=True, slots=True)
class SetThreshold:
    """Set the threshold of a label at a source."""

    source: str
    label: str
    threshold: float


@dataclass(frozen=True, slots=True)
class PutLabel:
    """Add a label, or change keys of one."""

    keys: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RemoveLabel:
    """Listen no more for a label."""

    label: str


Command = Arm | SetThreshold | PutLabel | RemoveLabel


def command_of(topics: Topics, topic: str, text: str) -> Command:
    """Return what was said under a topic.

    Raises
    ------
    ConfigError
        It is no command; why, in one line.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"is longer than {MOST_CHARACTERS} characters")
    if topic == topics.armed_command():
        return _arm(text)
    if topic == topics.labels_command():
        return _label(text)
    match topic.removeprefix(f"{topics.base}/{topics.node}/").split("/"):
        case [source, "threshold", label, "set"] if max(len(source), len(label)) <= _LONGEST_ID:
            return SetThreshold(source, label, _number(text))
    raise ConfigError("is no topic for commands")


def obey(command: Command, control: Control) -> None:
    """Do what a command says.

    Raises
    ------
    MonitorError
        It is refused; why, in one line.
    """
    match command:
        case Arm(armed):
            control.arm(armed=armed)
        case SetThreshold(source, label, threshold):
            control.set_threshold(label, threshold, source)
        case PutLabel(keys):
            control.put_label(keys)
        case RemoveLabel(label):
            control.remove_label(label)


def settings(topics: Topics, active_labels: ActiveLabels) -> dict[str, str]:
    """Say what is set now: text by topic, all of it retained."""
    said = {
        topics.armed(): "ON" if active_labels.armed else "OFF",
        topics.labels(): json.dumps(
            [_described(label) for label in active_labels.labels], ensure_ascii=False, separators=(",", ":")
        ),
    }
    for source in active_labels.sources:
        for label in active_labels.at(source):
            said[topics.threshold(source, label.id)] = f"{label.threshold:g}"
    return said


def _described(label: LabelConfig) -> dict[str, object]:
    return {
        "id": label.id,
        "name": label.title,
        "enabled": label.enabled,
        "threshold": label.threshold,
        "prompts": label.prompts,
        "against": label.against,
    }


def _arm(text: str) -> Arm:
    if text not in {"ON", "OFF"}:
        raise ConfigError(f"{_shown(text)} is neither ON nor OFF")
    return Arm(text == "ON")


def _number(text: str) -> float:
    try:
        number = float(text) if len(text) <= 32 and text.isascii() else math.nan  # noqa: PLR2004 - no number is longer
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{_shown(text)} is not a number")
    return number


def _label(text: str) -> PutLabel | RemoveLabel:
    try:
        keys = parse_json(text, unique=True)
    except DamagedError as error:
        raise ConfigError(f"{_shown(text)} {error}") from error
    if not isinstance(keys, dict):
        raise ConfigError(
            f'{_shown(text)} is not a label such as {{"id":"kettle","prompts":["a kettle whistling"]}}'
        )
    if len(keys) > MOST_KEYS or any(isinstance(v, list) and len(v) > MOST_ENTRIES for v in keys.values()):
        raise ConfigError(f"{_shown(text)} has more keys, or sentences, than a label can have")
    remove = keys.pop("remove", False)
    if remove is False:
        return PutLabel(keys)
    if remove is True and keys.keys() == {"id"} and isinstance(keys["id"], str):
        return RemoveLabel(keys["id"])
    raise ConfigError('is not a removal such as {"id":"kettle","remove":true}')


def _shown(text: str) -> str:
    short = printable(text[:40])
    return f'"{short}..."' if len(text) > len(short) else f'"{short}"'
