"""How values are spread, in a few counters: cheap enough to be asked for every window."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class Histogram:
    """Count values by size; one thread observes, any thread reads.

    Parameters
    ----------
    bounds : sequence of float
        Upper ends of the classes, ascending; what is above the last has a class of its own.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.total = 0.0
        """Sum of all values."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def observe(self, value: float) -> None:
        """Count one value; it belongs to the first class whose end it does not exceed."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Return how many values do not exceed each bound, and at last infinity."""
        below = 0
        for bound, count in zip((*self._bounds, float("inf")), tuple(self._counts), strict=True):
            below += count
            yield bound, below
