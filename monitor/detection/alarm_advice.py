"""Alarm advice: thresholds for desired rates of false alarms, and which events they would have missed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from monitor.config.alarm_target import parse_target
from monitor.detection.alarm_clusters import Heard
from monitor.detection.alarm_rate import AlarmThreshold, NoThreshold, alarm_threshold

Spans: TypeAlias = NDArray[np.float64]
"""Start and end of each event in Unix seconds, shape (n, 2)."""

_NONE: Spans = np.empty((0, 2))


@dataclass(frozen=True, slots=True)
class Advice:
    """What can be said of a label at a source."""

    source: str
    label: str
    target: str
    """Desired rate of false alarms, such as ``0.5/day``."""
    found: AlarmThreshold | NoThreshold
    right: int
    """Events in what was heard that a user has marked as right; they are no false alarms."""
    missed: int
    """Those of them that would not have started at the threshold; 0 without one."""

    @property
    def threshold(self) -> float | None:
        """The threshold; None if what was heard gives none."""
        return self.found.threshold if isinstance(self.found, AlarmThreshold) else None


def advise(
    source: str,
    heard: Mapping[str, Heard],
    targets: Mapping[str, str],
    right: Mapping[str, Spans],
    window_seconds: float,
) -> Iterator[Advice]:
    """Yield the advice about each label that was heard.

    Parameters
    ----------
    source : str
    heard : mapping of str to Heard
        By label.
    targets : mapping of str to str
        By label.
    right : mapping of str to array, shape (n, 2)
        Events that a user has marked as right, by label.
    window_seconds : float
        A window holds audio of so long before its end.
    """
    for label, each in heard.items():
        spans = right.get(label, _NONE) + np.array([0.0, window_seconds])
        inside = [each.levels[(each.ended_at >= start) & (each.ended_at <= stop)] for start, stop in spans]
        peaks = np.array([levels.max() for levels in inside if len(levels)])
        found = alarm_threshold(each.without(spans), parse_target(targets[label]))
        missed = int(np.count_nonzero(peaks < found.threshold)) if isinstance(found, AlarmThreshold) else 0
        yield Advice(source, label, targets[label], found, len(peaks), missed)
