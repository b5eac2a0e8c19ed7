"""Minute summaries: the highest score of each label and the highest level, by minute and source.

Scores are rounded down to multiples of 0.005 and stored in one byte each.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

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


class _Running:
    def __init__(self, labels: tuple[str, ...], votes: Mapping[str, tuple[int, int]]) -> None:
        every = [votes.get(label, DEFAULT_VOTES) for label in labels]
        self.labels = labels
        self.needed = np.array([hits for hits, _ in every], dtype=np.intp)
        self.recent: deque[NDArray[np.float32]] = deque(maxlen=max((of for _, of in every), default=1))
        self.clear()

    def clear(self) -> None:
        self.minute: int | None = None
        self.level = -math.inf
        self.peaks = np.zeros(len(self.labels), np.float32)
        self.agreed = np.zeros(len(self.labels), np.float32)


class MinuteSummaries:
    """Minute summaries of all sources."""

    def __init__(self) -> None:
        self.votes: Mapping[str, tuple[int, int]] = {}
        """By label: the windows that must agree, and among how many; others have `DEFAULT_VOTES`.

        In force from the next change of the labels on."""
        self._running: dict[str, _Running] = {}

    def add(self, scores: Scores) -> Minute | None:
        """Add the next window of a source; return the minute that ends with it, if one does."""
        running = self._running.get(scores.source)
        minute = int(scores.ended_at // SECONDS)
        ended = None
        if running is not None and (running.minute != minute or running.labels != scores.labels):
            ended = self._finished(scores.source)
        if running is None or running.labels != scores.labels:
            running = self._running[scores.source] = _Running(scores.labels, self.votes)
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
        running.clear()
        return minute


def _steps(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    # A float32 just below its decimal fraction must not lose a step.
    steps = np.floor(values.astype(np.float64) * STEPS + 1e-4)
    return steps.clip(0, STEPS).astype(np.uint8)
