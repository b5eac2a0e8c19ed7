"""Minute summaries: the highest score of each label and the highest level, by minute and source.

Scores are rounded down to multiples of 0.005 and stored in one byte each.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.types import Scores

STEPS = 200
"""A score of 1."""

SECONDS = 60

DEFAULT_VOTES = (2, 3)
"""Windows that must agree, and among how many, for a label without a rule."""


@dataclass(frozen=True, slots=True, eq=False)
class Minute:
    """One minute of one source."""

    source: str
    minute: int
    """Unix minutes."""
    labels: tuple[str, ...]
    level_dbfs: float
    """Of the loudest hop."""
    peaks: NDArray[np.uint8]
    """Highest score of each label, in `STEPS`."""
    agreed: NDArray[np.uint8]
    """Highest score that enough windows reached to confirm an event, for each label, in `STEPS`."""

    def merged(self, other: Minute) -> Minute:
        """Return the sum of two parts of a minute in which the monitor was restarted."""
        if self.labels != other.labels:
            return other
        return Minute(
            self.source,
            self.minute,
            self.labels,
            max(self.level_dbfs, other.level_dbfs),
            np.maximum(self.peaks, other.peaks),
            np.maximum(self.agreed, other.agreed),
        )


@dataclass(slots=True)
class _Running:
    labels: tuple[str, ...]
    needed: NDArray[np.intp]
    of: int
    recent: deque[NDArray[np.float32]] = field(init=False)
    minute: int | None = None
    level: float = -math.inf
    peaks: NDArray[np.float32] = field(init=False)
    agreed: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.recent = deque(maxlen=self.of)
        self.clear()

    def clear(self) -> None:
        self.level = -math.inf
        self.peaks = np.zeros(len(self.labels), np.float32)
        self.agreed = np.zeros(len(self.labels), np.float32)


class MinuteSummaries:
    """Minute summaries of all sources.

    Parameters
    ----------
    votes : mapping of str to (int, int)
        Label to the windows that must agree, and among how many; others have `DEFAULT_VOTES`.
    """

    def __init__(self, votes: Mapping[str, tuple[int, int]] | None = None) -> None:
        self.votes = votes or {}
        """In force from the next change of the labels on."""
        self._running: dict[str, _Running] = {}

    def add(self, scores: Scores) -> Minute | None:
        """Add the next window of a source; return the minute that ends with it, if one does."""
        running = self._running.get(scores.source)
        minute = int(scores.ended_at // SECONDS)
        ended = None
        if running is not None and (running.minute != minute or running.labels != scores.labels):
            ended = self._finished(scores.source)
        if running is None or running.labels != scores.labels:
            running = self._running[scores.source] = self._begin(scores.labels)
        running.minute = minute
        running.level = max(running.level, scores.level_dbfs)
        running.recent.append(scores.values)
        np.maximum(running.peaks, scores.values, out=running.peaks)
        ordered = np.sort(np.stack(running.recent), axis=0)[::-1]  # (windows, labels), highest first
        enough = running.needed <= len(ordered)
        rows = np.minimum(running.needed, len(ordered)) - 1
        agreed = np.where(enough, ordered[rows, np.arange(len(rows))], 0.0)
        np.maximum(running.agreed, agreed, out=running.agreed)
        return ended

    def finish(self) -> list[Minute]:
        """Return the minutes that have begun, and end them."""
        return [minute for name in list(self._running) if (minute := self._finished(name)) is not None]

    def _begin(self, labels: tuple[str, ...]) -> _Running:
        votes = [self.votes.get(label, DEFAULT_VOTES) for label in labels]
        needed = np.array([hits for hits, _ in votes], dtype=np.intp)
        return _Running(labels, needed, max((of for _, of in votes), default=1))

    def _finished(self, source: str) -> Minute | None:
        running = self._running[source]
        if running.minute is None:
            return None
        minute = Minute(
            source,
            running.minute,
            running.labels,
            running.level,
            _steps(running.peaks),
            _steps(running.agreed),
        )
        running.minute = None
        running.clear()
        return minute


def _steps(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    # A float32 just below its decimal fraction must not lose a step.
    steps: NDArray[np.uint8] = (
        np.floor(values.astype(np.float64) * STEPS + 1e-4).clip(0, STEPS).astype(np.uint8)
    )
    return steps
