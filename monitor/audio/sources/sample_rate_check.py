"""Whether a device delivers as many samples a second as it says.

A driver that was asked for 48,000 Hz and delivers 44,100 is no failure to it: every sound is just
at the wrong pitch and every position at the wrong time, so to a model it is another sound.
"""

from __future__ import annotations

_STRETCH_SECONDS = 1.0
_STRETCHES = 8
"""After so many stretches alike it is sure."""

_LIE = 0.04
"""Rates that are mistaken for each other differ by 8 % or more; sound cards are wrong by 0.01 %."""

_ALIKE = 0.5
"""What is only held up, or lost now and then, is not late by about the same from stretch to stretch."""


class SampleRateCheck:
    """Compares the number of samples with the clock, stretch by stretch, for one opening of a device.

    Of each stretch the block that came soonest counts: blocks come late on a busy machine, but never
    early.

    Parameters
    ----------
    rate : int
        Hz, what the device says.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._count = 0
        self._began_at = float("-inf")
        self._soonest = self._before = float("inf")
        self._row: list[float] = []

    def hear(self, count: int, arrived: float, *, lost: bool) -> None:
        """Take note of a block.

        Parameters
        ----------
        count : int
            Samples in the block.
        arrived : float
            Monotonic seconds.
        lost : bool
            Samples before it are known to be missing, so what came before tells nothing any more.
        """
        self._count += count
        silence = arrived - self._began_at
        if lost or silence >= 2 * _STRETCH_SECONDS:
            self._before = float("inf") if lost else min(self._before, self._soonest, *self._row)
            self._row = []
            self._soonest, self._began_at = float("inf"), arrived
        elif silence >= _STRETCH_SECONDS:
            self._row.append(self._soonest)
            if len(self._row) > _STRETCHES:
                self._before = min(self._before, self._row.pop(0))
            self._soonest = float("inf")
            self._began_at += _STRETCH_SECONDS
        self._soonest = min(self._soonest, arrived - self._count / self._rate)

    @property
    def true(self) -> bool:
        """It has been heard for long enough to know that it is no lie."""
        return len(self._row) == _STRETCHES and all(abs(late) < _LIE for late in self._growth())

    @property
    def lie(self) -> int | None:
        """Samples a second that it delivers, if those are surely not what it says."""
        growth = self._growth()
        if len(self._row) < _STRETCHES:
            return None
        mean = sum(growth) / len(growth)
        if abs(mean) < _LIE or any(abs(late - mean) > _ALIKE * abs(mean) for late in growth):
            return None
        if mean < 0 and self._row[-1] >= self._before:
            return None  # it catches up with what was held up, and is not ahead of the clock
        return round(self._rate * (1 - mean))

    def _growth(self) -> list[float]:
        """Seconds by which each second took longer than its samples say, one for each two stretches."""
        pairs = zip(self._row, self._row[1:], strict=False)
        return [(after - before) / _STRETCH_SECONDS for before, after in pairs]
