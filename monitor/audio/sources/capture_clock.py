"""When a sound card captured its samples, and how many it lost on the way."""

from __future__ import annotations

_DRIFT = 3e-4
"""Of a sound card; 1e-4 is usual."""

_STEP_SECONDS = 0.25

_CATCHES_UP_SECONDS = 0.02
_SURE_SECONDS = 1.0
"""They are once nothing has caught up for so long: what was only held up becomes less and less late."""

_CLOCK_SET_BACK_SECONDS = 10.0
"""A fall of the system clock of more is followed; less is waited out, for time must not run backwards."""


class CaptureClock:
    """Compare the number of samples with the clock, block by block, for one opening of a device.

    A block may come late but never early, so of all blocks those that came soonest tell when the
    device was opened.  (The time stamps of PortAudio would tell more if drivers were honest:
    PulseAudio's are wrong by half a second at first.)

    Parameters
    ----------
    rate : int
        Hz, of the device.
    drift : float
        How much its clock may differ from the computer's.
    step_seconds : float
        Blocks that come later than this may be late because others before them are missing.
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

    def hear(self, count: int, arrived: float, *, overflow: bool) -> tuple[bool, int]:
        """Take note of a block.

        Both what a driver says that it lost and what it lost without a word are measured against
        the clock, which is good to some milliseconds and takes a second; of the latter only
        ``step_seconds`` or more is seen.

        Parameters
        ----------
        count : int
            Samples in the block.
        arrived : float
            Monotonic seconds.
        overflow : bool
            The driver says that it lost samples before this block.

        Returns
        -------
        gap : bool
            Samples are missing before this block, or not much earlier.
        lost : int
            How many have been found to be missing.
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
        return self._suspect(arrived, opened_at - self._opened_at)

    def ended_at(self, now: float, unix_now: float) -> float:
        """Unix seconds when the last sample of the newest block was captured.

        Follows the system clock; does not fall, unless that clock is set back by more than
        `_CLOCK_SET_BACK_SECONDS`.

        Parameters
        ----------
        now, unix_now : float
            The same moment on the monotonic clock and on the system's.
        """
        ended_at = self._opened_at + self._count / self._rate + (unix_now - now)
        if not 0 < self._ended_at - ended_at < _CLOCK_SET_BACK_SECONDS:
            self._ended_at = ended_at
        return self._ended_at

    def _measure(self, count: int) -> int:
        """After an overflow: wait for a block that is not late, then say how much is missing."""
        assert self._before_overflow is not None  # noqa: S101 - for mypy
        self._measured += count
        if self._measured < _SURE_SECONDS * self._rate:
            return 0
        lost = round((self._opened_at - self._before_overflow) * self._rate)
        self._before_overflow = None
        return max(1, lost)

    def _suspect(self, arrived: float, late: float) -> tuple[bool, int]:
        """Find a loss that the driver did not notice: block after block is late, and stays so."""
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
