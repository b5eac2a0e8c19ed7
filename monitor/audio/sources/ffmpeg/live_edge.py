"""What of a stream is now: what a server had in store is left out, what is missing is noticed."""

from __future__ import annotations

DRIFT = 2e-3
"""How much the clock of a camera may differ from the computer's; 1e-4 is usual, cheap ones are worse."""

_AHEAD_SECONDS = 0.5
_STORE_SECONDS = 30.0
"""What servers send at once to a new listener, so that a player starts quickly, is less."""

_JUMP_SECONDS = 0.2
"""Time stamps of cameras jitter; a larger step is lost audio."""

_LONGEST_JUMP_SECONDS = 60.0
"""A larger step is a new beginning, and tells nothing about what was lost."""


class LiveEdge:
    """Keep to the newest audio when more arrives than can have been captured since the opening.

    A server that still sends more after `_STORE_SECONDS` of it were left out is not live (it has a
    file): it is then read no faster than time goes.

    Parameters
    ----------
    rate : int
        Hz.
    opened_at : float
        Monotonic seconds when the connection was asked for.
    """

    def __init__(self, rate: int, opened_at: float) -> None:
        self.rate = rate
        self._opened_at = opened_at
        self._kept = 0.0
        self._left_out = 0.0

    def change(self, rate: int) -> None:
        """Count in samples of another rate (Hz) from now on."""
        factor = rate / self.rate
        self.rate, self._kept, self._left_out = rate, self._kept * factor, self._left_out * factor

    def hear(self, count: int, arrived: float) -> float | None:
        """Judge what has arrived.

        Parameters
        ----------
        count : int
            Samples.
        arrived : float
            Monotonic seconds.

        Returns
        -------
        float or None
            Seconds to wait before it is handed on; None if it is to be left out.
        """
        elapsed = arrived - self._opened_at
        ahead = (self._kept + count) / self.rate - elapsed * (1 + DRIFT) - _AHEAD_SECONDS
        if ahead > 0 and self._left_out < _STORE_SECONDS * self.rate:
            self._left_out += count
            return None
        self._kept += count
        return max(0.0, ahead)


class TimeStamps:
    """Find what is missing between decoded frames by their time stamps.

    These jitter, and may follow another clock than the one that counts the samples: they are
    compared with the count, which is pulled towards them as fast as clocks may drift.
    """

    def __init__(self) -> None:
        self._expected: float | None = None

    def missing(self, at: float | None, seconds: float) -> tuple[bool, float]:
        """Tell whether audio is missing before a frame, and how much.

        Parameters
        ----------
        at : float or None
            Seconds, its time stamp.
        seconds : float
            Its duration.

        Returns
        -------
        gap : bool
            It does not continue the frame before.
        missing : float
            Seconds known to be lost, at least 0.
        """
        if at is None:
            return False, 0.0
        expected = at if self._expected is None else self._expected
        late = at - expected
        if abs(late) > _JUMP_SECONDS:
            self._expected = at + seconds
            return True, late if 0 < late <= _LONGEST_JUMP_SECONDS else 0.0
        pull = DRIFT * seconds
        self._expected = expected + seconds + min(max(late, -pull), pull)
        return False, 0.0
