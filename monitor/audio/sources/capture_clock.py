"""Capture clock: the time at which a sound card captured its samples, and the samples lost on the way."""

from __future__ import annotations

_DRIFT = 3e-4
"""Relative drift allowed for a sound card; 1e-4 is usual."""

_STEP_SECONDS = 0.25

_CATCHES_UP_SECONDS = 0.02
_SURE_SECONDS = 1.0
"""Samples are lost if no block has caught up for this long; samples that were only delayed catch up."""

_CLOCK_SET_BACK_SECONDS = 10.0
"""The time follows a larger step back of the system clock, and waits out a smaller one: it must not fall."""


class CaptureClock:
    """Compares the number of samples with the clock, block by block, for one opening of a device.

    A block may come late but never early, so the earliest blocks show when the device was opened.
    (PortAudio's time stamps would be better if drivers were reliable: PulseAudio's are wrong by half a
    second at first.)

    Parameters
    ----------
    rate : int
        Hz, of the device.
    drift : float
        Relative difference allowed between its clock and the computer's.
    step_seconds : float
        Blocks that come later than this may be late because blocks before them are missing.
    """

    def __init__(self, rate: int, *, drift: float = _DRIFT, step_seconds: float = _STEP_SECONDS) -> None:
        self._rate = rate
        self._drift = drift
        self._step_seconds = step_seconds
        self._count = 0
        self._opened_at = float("inf")
        self._ended_at = 0.0
        self._late = float("inf")
        self._late_since = 0.0
        self._before_overflow: float | None = None
        self._measured = 0

    def observe(self, count: int, arrived: float, *, overflow: bool) -> tuple[bool, int]:
        """Count a block, and detect lost samples.

        The loss that a driver reports and the loss that it does not are both measured against the clock,
        with a precision of some milliseconds and within a second.  An unreported loss is only detected
        from ``step_seconds`` on.

        Parameters
        ----------
        count : int
            Samples in the block.
        arrived : float
            Monotonic seconds.
        overflow : bool
            The driver reports that it lost samples before this block.

        Returns
        -------
        gap : bool
            Samples are missing before this block, or not much earlier.
        lost : int
            Number of missing samples, once it is known.
        """
        self._count += count
        opened_at = arrived - self._count / self._rate
        self._opened_at = min(self._opened_at + self._drift * count / self._rate, opened_at)
        if overflow:
            if self._before_overflow is None:
                self._before_overflow, self._measured = self._opened_at, 0
            self._opened_at = opened_at
        if self._before_overflow is not None:
            return overflow, self._measure(count)
        return self._detect(arrived, opened_at - self._opened_at)

    def ended_at(self, now: float, unix_now: float) -> float:
        """Unix seconds at which the last sample of the newest block was captured.

        Follows the system clock, but never falls unless that clock is set back by more than
        `_CLOCK_SET_BACK_SECONDS`.  ``now`` and ``unix_now`` are the same moment on the monotonic clock and on
        the system's.
        """
        ended_at = self._opened_at + self._count / self._rate + (unix_now - now)
        if not 0 < self._ended_at - ended_at < _CLOCK_SET_BACK_SECONDS:
            self._ended_at = ended_at
        return self._ended_at

    def _measure(self, count: int) -> int:
        """After an overflow: wait for a block that is not late, then return how much is missing."""
        assert self._before_overflow is not None  # noqa: S101 - for mypy
        self._measured += count
        if self._measured < _SURE_SECONDS * self._rate:
            return 0
        lost = round((self._opened_at - self._before_overflow) * self._rate)
        self._before_overflow = None
        return max(1, lost)

    def _detect(self, arrived: float, late: float) -> tuple[bool, int]:
        """Detect a loss that the driver did not report: all blocks are late, and stay so."""
        if late < self._step_seconds:
            self._late = float("inf")
            return False, 0
        if late < self._late - _CATCHES_UP_SECONDS:
            self._late, self._late_since = late, arrived
        if arrived - self._late_since < _SURE_SECONDS:
            return False, 0
        lost = round(self._late * self._rate)
        self._opened_at += self._late
        self._late = float("inf")
        return True, lost
