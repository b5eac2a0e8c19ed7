"""Sample rate check: compares the rate that a device delivers with the rate that it claims.

A driver that was asked for 48,000 Hz and delivers 44,100 reports no error.  But every sound then has the
wrong pitch and every position the wrong time, so to a model it is another sound.
"""

from __future__ import annotations

_STRETCH_SECONDS = 1.0
_STRETCHES = 8
"""The result is certain after this many consistent stretches."""

_TOLERANCE = 0.04
"""Rates that are mistaken for each other differ by 8 % or more; sound cards deviate by 0.01 %."""

_CONSISTENT = 0.5
"""Delays and occasional losses do not make every stretch late by about the same."""


class SampleRateCheck:
    """Compares the number of samples with the clock and the claimed rate, for one opening of a device.

    The earliest block of each stretch counts: on a busy machine blocks come late, but never early.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._count = 0
        self._began_at = float("-inf")
        self._soonest = self._before = float("inf")
        self._row: list[float] = []

    def observe(self, count: int, arrived: float, *, lost: bool) -> None:
        """Count a block that arrived at these monotonic seconds.

        If samples before it are known to be ``lost``, the stretches before it are of no use.
        """
        self._count += count
        passed = arrived - self._began_at
        if lost or passed >= 2 * _STRETCH_SECONDS:
            self._before = float("inf") if lost else min(self._before, self._soonest, *self._row)
            self._row = []
            self._soonest, self._began_at = float("inf"), arrived
        elif passed >= _STRETCH_SECONDS:
            self._row.append(self._soonest)
            if len(self._row) > _STRETCHES:
                self._before = min(self._before, self._row.pop(0))
            self._soonest = float("inf")
            self._began_at += _STRETCH_SECONDS
        self._soonest = min(self._soonest, arrived - self._count / self._rate)

    @property
    def confirmed(self) -> bool:
        """The device has delivered at the claimed rate for long enough to be certain."""
        return len(self._row) == _STRETCHES and all(abs(late) < _TOLERANCE for late in self._growth())

    @property
    def wrong_rate(self) -> int | None:
        """Samples per second that the device delivers, if that is certainly not the claimed rate."""
        growth = self._growth()
        if len(self._row) < _STRETCHES:
            return None
        mean = sum(growth) / len(growth)
        if abs(mean) < _TOLERANCE or any(abs(late - mean) > _CONSISTENT * abs(mean) for late in growth):
            return None
        if mean < 0 and self._row[-1] >= self._before:
            return None  # it catches up after a delay, and is not ahead of the clock
        return round(self._rate * (1 - mean))

    def _growth(self) -> list[float]:
        """Seconds by which each second took longer than its samples last, one for each two stretches."""
        pairs = zip(self._row, self._row[1:], strict=False)
        return [(after - before) / _STRETCH_SECONDS for before, after in pairs]
