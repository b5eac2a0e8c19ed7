"""How often something may be done; pure but for the clock that is given."""

from __future__ import annotations

from collections import OrderedDict

_MOST_KNOWN = 1024
"""Addresses remembered; who has not been seen for longest is forgotten."""


class TokenRateLimit:
    """A bucket for each address: ``burst`` at once, and one more every ``seconds``.

    Parameters
    ----------
    burst : int
    seconds : float
    """

    def __init__(self, burst: int, seconds: float) -> None:
        self._burst = burst
        self._seconds = seconds
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """When each bucket will be full again."""

    def wait(self, address: str, now: float) -> float:
        """Seconds until this address may do it; 0 if it may now."""
        missing = max(0.0, self._full_at.get(address, now) - now) / self._seconds
        return max(0.0, (missing + 1 - self._burst) * self._seconds)

    def take(self, address: str, now: float) -> None:
        """Note that it was done."""
        self._full_at[address] = max(now, self._full_at.get(address, now)) + self._seconds
        self._full_at.move_to_end(address)
        if len(self._full_at) > _MOST_KNOWN:
            self._full_at.popitem(last=False)
