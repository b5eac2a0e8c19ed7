"""Histogram: distribution of values in a few counters; cheap enough for every window."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class Histogram:
    """Counts values by size; one thread observes, any thread reads.

    ``bounds`` are the upper bounds of the buckets, ascending; larger values have a bucket of their own.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.total = 0.0
        """Sum of all values."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(self._counts)

    def observe(self, value: float) -> None:
        """Count one value, in the first bucket whose bound it does not exceed."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Yield each bound, and infinity at last, with the number of values that do not exceed it."""
        below = 0
        for bound, count in zip((*self._bounds, float("inf")), tuple(self._counts), strict=True):
            below += count
            yield bound, below
