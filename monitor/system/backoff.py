"""Backoff: a delay between attempts that doubles with each failure."""

from __future__ import annotations


class Backoff:
    """Delay before the next attempt, from ``first`` to ``longest`` seconds; used by one thread."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def next(self) -> float:
        """Return the seconds to wait before the next attempt; the wait after it is twice as long."""
        delay, self._next = self._next, min(2 * self._next, self._longest)
        return delay

    def reset(self) -> None:
        """Start again with the first delay."""
        self._next = self._first
