"""Counters of events and near misses by source and label, and the newest scores.

Each counter has one writer, named beside it.  Labels come and go while the monitor runs, so each counter
keeps at most `MOST` keys; the oldest key makes room for a new one.
"""

from __future__ import annotations

from typing import TypeVar

from monitor.config import LabelConfig
from monitor.detection.near_misses import NearMiss
from monitor.outputs import Output
from monitor.types import Event, Scores

K = TypeVar("K")
V = TypeVar("V")

MOST = 5000
"""Keys of each counter."""


class Counters(Output):
    """Counts events, near misses and the newest scores."""

    def __init__(self) -> None:
        self.started = 0
        """Events that started (writer: analyse)."""
        self.events: dict[tuple[str, str], int] = {}
        """Events that started, by source and label (writer: analyse)."""
        self.rejected: dict[tuple[str, str], int] = {}
        """Near misses by label and reason (writer: analyse)."""
        self.newest: dict[str, Scores] = {}
        """Scores of the newest window of each source (writer: analyse)."""
        self.last: dict[str, Event] = {}
        """Newest event of each label, as it started or ended (writer: analyse)."""

    def on_event(self, event: Event, _label: LabelConfig) -> None:
        """Count an event as it starts, and keep its newest state."""
        if event.stop is None:
            self.started += 1
            _count(self.events, (event.source, event.label))
        _put(self.last, event.label, event)

    def on_near_miss(self, miss: NearMiss) -> None:
        """Count a near miss by its reason."""
        _count(self.rejected, (miss.label, str(miss.reason)))

    def on_scores(self, scores: Scores) -> None:
        """Keep the newest scores of a source."""
        self.newest[scores.source] = scores


def _count(counts: dict[tuple[str, str], int], key: tuple[str, str]) -> None:
    _put(counts, key, counts.get(key, 0) + 1)


def _put(values: dict[K, V], key: K, value: V) -> None:
    if key not in values and len(values) >= MOST:
        del values[next(iter(values))]
    values[key] = value
