"""Rate limit of requests, by client address: a token bucket for each."""

from __future__ import annotations

from collections import OrderedDict

_MAX_ADDRESSES = 1024
"""Addresses remembered; the least recent one is forgotten."""


class TokenRateLimit:
    """Allow each address ``burst`` actions at once, and one more every ``seconds``."""

    def __init__(self, burst: int, seconds: float) -> None:
        self._burst = burst
        self._seconds = seconds
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """By address: when its bucket will be full again."""

    def wait(self, address: str, now: float) -> float:
        """Return the seconds until the next action of an address is allowed; 0 if it is now."""
        missing = max(0.0, self._full_at.get(address, now) - now) / self._seconds
        return max(0.0, (missing + 1 - self._burst) * self._seconds)

    def take(self, address: str, now: float) -> None:
        """Take a token for an action."""
        self._full_at[address] = max(now, self._full_at.get(address, now)) + self._seconds
        self._full_at.move_to_end(address)
        if len(self._full_at) > _MAX_ADDRESSES:
            self._full_at.popitem(last=False)
