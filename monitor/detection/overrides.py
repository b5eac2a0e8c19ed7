"""Overrides: changes made at run time, in the state directory; the configuration file is not changed."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from monitor.config import LabelConfig, changed_label
from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import boundary
from monitor.system.bounded_read import DamagedError, read_json
from monitor.system.directories import make_directory
from monitor.types import ConfigError

log = logging.getLogger(__name__)

FILE = "overrides.json"

MOST_LABELS = 200
"""Limit of labels, of the configuration and the changes together."""

MOST_BYTES = 4 * 1024 * 1024
"""Size limit of the file: `MOST_LABELS` labels with twenty kilobytes of prompts each."""

_MOST_ENTRIES = 10_000
"""Limit of labels, the removed ones included."""

_ANY = LabelConfig(id="any", prompts=("any",))


@dataclass(frozen=True, slots=True)
class Overrides:
    """Settings that differ from the configuration."""

    armed: bool = True
    labels: Mapping[str, Mapping[str, object] | None] = field(default_factory=dict)
    """Keys of a label that differ, by its identifier; None: the label was removed."""
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By source, then by label."""
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Thresholds of labels with a target, by source, then by label."""
    undo: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """What `thresholds` held before thresholds were last applied; None: nothing."""

    def put(self, label: str, keys: Mapping[str, object]) -> Overrides:
        """Change keys of a label; a threshold among them holds for every source."""
        known = dict(self.labels.get(label) or {})
        for key, other in (("threshold", "target"), ("target", "threshold")):
            if key in keys:
                known.pop(other, None)  # the newer of the two holds
        changed = replace(self, labels={**self.labels, label: {**known, **keys}})
        return changed.without_thresholds(label) if {"threshold", "target"} & keys.keys() else changed

    def remove(self, label: str) -> Overrides:
        """Remove a label and its thresholds at single sources."""
        return replace(self, labels={**self.labels, label: None}).without_thresholds(label)

    def set_threshold(self, source: str, label: str, threshold: float) -> Overrides:
        """Give a source a threshold of its own."""
        return replace(self, thresholds=with_thresholds(self.thresholds, {source: {label: threshold}}))

    def without_gone(self, known: Collection[str]) -> Overrides:
        """Drop the removal of labels that are not in the configuration: nothing would bring them back."""
        labels = {id_: keys for id_, keys in self.labels.items() if keys is not None or id_ in known}
        return self if len(labels) == len(self.labels) else replace(self, labels=labels)

    def without_thresholds(self, label: str) -> Overrides:
        """Drop the thresholds of a label at single sources."""
        thresholds = {
            source: kept
            for source, known in self.thresholds.items()
            if (kept := {id_: value for id_, value in known.items() if id_ != label})
        }
        return replace(self, thresholds=thresholds)


def with_thresholds(
    known: Mapping[str, Mapping[str, float]], more: Mapping[str, Mapping[str, float]]
) -> dict[str, Mapping[str, float]]:
    """Return thresholds by source, then by label, with more of them."""
    return {**known, **{source: {**known.get(source, {}), **values} for source, values in more.items()}}


def read_overrides(path: Path) -> Overrides:
    """Read the overrides; none if there is no file, or a broken one, which is renamed."""
    try:
        return _overrides(read_json(path, MOST_BYTES))
    except FileNotFoundError:
        return Overrides()
    except OSError as error:
        log.warning("%s: cannot be read (%s): using the configuration without it", path, error.strerror)
    except (DamagedError, ConfigError) as error:
        log.warning("%s: %s: using the configuration without it; %s", path, error, _set_aside(path))
    return Overrides()


def _set_aside(path: Path) -> str:
    """Rename a broken file; return where it is, in words."""
    aside = path.with_suffix(".broken.json")
    try:
        path.replace(aside)
    except OSError as error:
        return f"it cannot be set aside: {error.strerror}"
    return f"it is set aside as {aside}"


def write_overrides(path: Path, overrides: Overrides) -> None:
    """Write the overrides atomically.

    Raises
    ------
    OSError
        They cannot be written.
    ConfigError
        They are more than `read_overrides` would read again.
    """
    content = _content(overrides)
    make_directory(path.parent)
    write_atomic(path, content)


def _content(overrides: Overrides) -> bytes:
    parts = {
        "armed": overrides.armed,
        "labels": overrides.labels,
        "thresholds": overrides.thresholds,
        "measured": overrides.measured,
        "undo": overrides.undo,
    }
    with boundary(ConfigError, "changes made at run time cannot be saved"):
        content = json.dumps(parts, indent=1, ensure_ascii=False, allow_nan=False).encode()
    if len(content) > MOST_BYTES:
        raise ConfigError(
            f"changes made at run time would take more than {MOST_BYTES:,} bytes; "
            "remove labels, or write them into the configuration"
        )
    return content


def _overrides(content: Any) -> Overrides:
    """Return the content of a file, checked by the same rules as a command.

    Raises
    ------
    DamagedError, ConfigError
        `write_overrides` did not write this.
    """
    parts = _mapping(content, "it")
    armed = parts.get("armed")
    if not isinstance(armed, bool):
        raise DamagedError("armed is neither true nor false")
    labels = _mapping(parts.get("labels"), "labels")
    if len(labels) > _MOST_ENTRIES or sum(keys is not None for keys in labels.values()) > MOST_LABELS:
        raise DamagedError(f"labels: holds more than {MOST_LABELS}")
    for id_, keys in labels.items():
        changed_label(_ANY, {"id": id_})
        if keys is not None:
            _mapping(keys, f"labels.{id_}")  # keys that do not fit are left out later
    thresholds, measured = (
        {source: _thresholds(known) for source, known in _mapping(parts.get(key, {}), key).items()}
        for key in ("thresholds", "measured")
    )
    undo = {source: _undo(known) for source, known in _mapping(parts.get("undo", {}), "undo").items()}
    found = Overrides(armed, labels, thresholds, measured, undo)
    _content(replace(found, armed=False))  # longer, and it must be possible to write it
    return found


def _thresholds(known: Any) -> dict[str, float]:
    thresholds = _mapping(known, "thresholds of a source")
    if not all(type(value) in {int, float} and 0 <= value <= 1 for value in thresholds.values()):
        raise DamagedError("thresholds: one of them is not a number in [0, 1]")
    return {id_: float(value) for id_, value in thresholds.items()}


def _undo(known: Any) -> dict[str, float | None]:
    before = _mapping(known, "undo of a source")
    set_before = _thresholds({label: value for label, value in before.items() if value is not None})
    return {label: set_before.get(label) for label in before}


def _mapping(content: Any, what: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise DamagedError(f"{what}: is not a mapping")
    return content
