"""Clusters: separate sounds that came near a label at one source, from start levels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from monitor.detection.rules import Rule
from monitor.detection.start_levels import logit_of, start_levels

Array: TypeAlias = NDArray[np.float64]

LEAST_APART_SECONDS = 10.0
"""Sounds closer than this are one, however short the cooldown."""

_TRIED = 64
"""Levels that are tried before the search becomes fine."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Start levels of one label at one source."""

    ended_at: Array
    """Unix seconds of the ends of the windows, ascending, shape (n,)."""
    levels: NDArray[np.float32]
    """From `start_levels`, shape (n,), in [0, 1]."""
    hop_seconds: float
    apart_seconds: float
    """Sounds that are further apart are separate: the event code would report each."""

    @classmethod
    def of(
        cls,
        ended_at: Array,
        scores: NDArray[np.float32],
        rule: Rule,
        after_break: NDArray[np.intp] | None = None,
    ) -> Heard:
        """Return what was heard in windows of one source, with the scores of one label; shapes (n,)."""
        apart = max((rule.cooldown + rule.merge_gap) / rule.rate, LEAST_APART_SECONDS)
        return cls(ended_at, start_levels(scores, rule, after_break), rule.hop / rule.rate, apart)

    @property
    def hours(self) -> float:
        """Length of what was heard."""
        return len(self.levels) * self.hop_seconds / 3600

    def without(self, spans: Array) -> Heard:
        """Leave out spans of time, such as events that were right, in Unix seconds, shape (spans, 2)."""
        times = np.concatenate([spans[:, 0], spans[:, 1]])
        order = np.argsort(times, kind="stable")
        steps = np.repeat([1, -1], len(spans))[order]
        depth = np.concatenate([[0], np.cumsum(steps)])
        kept = depth[np.searchsorted(times[order], self.ended_at, side="right")] <= 0
        return replace(self, ended_at=self.ended_at[kept], levels=self.levels[kept])


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Separate sounds above a level."""

    level: float
    """In logits."""
    excesses: Array
    """Of their peaks over the level, in logits, above 0, shape (clusters,)."""
    places: NDArray[np.intp]
    """Index of the first window of each, shape (clusters,)."""


def clusters_above(heard: Heard, wanted: int) -> Clusters:
    """Return the clusters above the highest level that has so many; if none has, those of the most."""
    logits = logit_of(heard.levels)
    order = np.sort(logits[heard.levels > 0])[::-1]
    if not len(order):
        return Clusters(0.0, np.empty(0), np.empty(0, np.intp))
    level = float(order[_place(heard, logits, order, wanted)])
    above = np.flatnonzero(logits >= level)
    first = np.flatnonzero(np.diff(heard.ended_at[above], prepend=-np.inf) > heard.apart_seconds)
    peaks = np.maximum.reduceat(logits[above], first)
    kept = peaks > level  # those that only touch it have no excess
    return Clusters(level, peaks[kept] - level, above[first][kept])


def _place(heard: Heard, logits: Array, order: Array, wanted: int) -> int:
    """Return the place of the level among the levels in descending order.

    From the top down clusters become more, until sounds run together and they become fewer.
    """
    places = np.unique(np.geomspace(1, len(order), _TRIED).astype(np.intp) - 1).tolist()
    counts: list[int] = []
    for high in places:
        counts.append(_count(heard, logits, order[high]))
        if counts[-1] > wanted:
            break
    else:
        return int(places[int(np.argmax(counts))])
    low = places[len(counts) - 2] if len(counts) > 1 else 0
    while high - low > 1:
        middle = (low + high) // 2
        if _count(heard, logits, order[middle]) > wanted:
            high = middle
        else:
            low = middle
    return int(high)


def _count(heard: Heard, logits: Array, level: float) -> int:
    ended_at = heard.ended_at[logits >= level]
    return 1 + int(np.count_nonzero(np.diff(ended_at) > heard.apart_seconds))
