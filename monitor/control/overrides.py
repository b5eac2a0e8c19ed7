"""What was changed at run time, kept in the state directory; the file that a person wrote stays as it is."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from monitor.config import LabelConfig, changed_label, with_threshold
from monitor.types import ConfigError
from monitor.whole import write_whole

log = logging.getLogger(__name__)

FILE = "overrides.json"

_ANY = LabelConfig(id="any", prompts=("any",))


@dataclass(frozen=True, slots=True)
class Overrides:
    """Everything that differs from the configuration; a value."""

    armed: bool = True
    labels: Mapping[str, Mapping[str, object] | None] = field(default_factory=dict)
    """Keys of a label that differ, by its identifier; None: the label was removed."""
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By source, then by label."""

    def put(self, label: str, keys: Mapping[str, object]) -> Overrides:
        """Change keys of a label; a threshold among them holds for every source."""
        known = self.labels.get(label) or {}
        changed = replace(self, labels={**self.labels, label: {**known, **keys}})
        return changed.everywhere(label) if "threshold" in keys else changed

    def remove(self, label: str) -> Overrides:
        """Remove a label and what sources have of their own for it."""
        return replace(self, labels={**self.labels, label: None}).everywhere(label)

    def set_threshold(self, source: str, label: str, threshold: float) -> Overrides:
        """Give a source a threshold of its own."""
        at_source = {**self.thresholds.get(source, {}), label: threshold}
        return replace(self, thresholds={**self.thresholds, source: at_source})

    def everywhere(self, label: str) -> Overrides:
        """Let a label be the same at every source."""
        thresholds = {
            source: kept
            for source, known in self.thresholds.items()
            if (kept := {id_: value for id_, value in known.items() if id_ != label})
        }
        return replace(self, thresholds=thresholds)


def read_overrides(path: Path) -> Overrides:
    """Return what was kept; nothing if there is no file, or a broken one, which is set aside."""
    try:
        return _overrides(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return Overrides()
    except OSError as error:
        log.warning("%s: cannot be read (%s): the configuration alone holds", path, error.strerror)
        return Overrides()
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, ConfigError) as error:
        aside = path.with_suffix(".broken.json")
        path.replace(aside)
        log.warning("%s: not readable (%s): the configuration holds; set aside as %s", path, error, aside)
        return Overrides()


def write_overrides(path: Path, overrides: Overrides) -> None:
    """Keep them, whole or not at all.

    Raises
    ------
    OSError
    """
    content = {"armed": overrides.armed, "labels": overrides.labels, "thresholds": overrides.thresholds}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=False).encode())


def _overrides(content: Any) -> Overrides:
    armed = content["armed"]
    if not isinstance(armed, bool):
        raise TypeError(f"armed: {armed!r}")
    labels = {str(id_): None if keys is None else dict(keys) for id_, keys in content["labels"].items()}
    for id_ in labels:
        changed_label(_ANY, {"id": id_})
    thresholds = {
        str(source): {str(id_): with_threshold(_ANY, value).threshold for id_, value in known.items()}
        for source, known in content["thresholds"].items()
    }
    return Overrides(armed, labels, thresholds)
