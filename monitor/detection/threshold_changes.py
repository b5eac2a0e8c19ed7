"""Threshold changes: several thresholds at once, by source and label, applied and taken back together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from monitor.config import with_threshold
from monitor.detection.active_labels import ActiveLabels, Settings
from monitor.detection.overrides import Overrides, with_thresholds
from monitor.types import ConfigError

Thresholds: TypeAlias = Mapping[str, Mapping[str, float]]
"""By source, then by label."""


def apply_thresholds(settings: Settings, thresholds: Thresholds) -> Overrides:
    """Set thresholds; `undo_thresholds` takes all of them back.

    Raises
    ------
    ConfigError
        There is no such label or source, or one is no number in [0, 1].
    """
    before = settings.overrides.thresholds
    checked = _checked(settings.active_labels, thresholds)
    undo = {
        source: {label: before.get(source, {}).get(label) for label in known}
        for source, known in checked.items()
    }
    return replace(settings.overrides, thresholds=with_thresholds(before, checked), undo=undo)


def undo_thresholds(settings: Settings) -> Overrides:
    """Take back what was applied last.

    Raises
    ------
    ConfigError
        There is nothing to take back.
    """
    overrides = settings.overrides
    if not overrides.undo:
        raise ConfigError("no thresholds were applied since the last undo: there is nothing to take back")
    thresholds = {source: dict(known) for source, known in overrides.thresholds.items()}
    for source, before in overrides.undo.items():
        known = thresholds.setdefault(source, {})
        for label, threshold in before.items():
            known.pop(label, None)
            if threshold is not None:
                known[label] = threshold
    kept = {source: known for source, known in thresholds.items() if known}
    return replace(overrides, thresholds=kept, undo={})


def measure_thresholds(settings: Settings, thresholds: Thresholds) -> Overrides:
    """Set the thresholds of labels with a target; one that somebody set at a source stays in force.

    Raises
    ------
    ConfigError
        As `apply_thresholds`.
    """
    checked = _checked(settings.active_labels, thresholds)
    return replace(settings.overrides, measured=with_thresholds(settings.overrides.measured, checked))


def _checked(labels: ActiveLabels, thresholds: Thresholds) -> dict[str, dict[str, float]]:
    return {
        source: {
            label: with_threshold(labels.label(source, label), threshold).threshold
            for label, threshold in known.items()
        }
        for source, known in thresholds.items()
    }
