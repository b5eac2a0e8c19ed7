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

    def take(self, address: str, now: float) -> float:
        """Take a token for an action; return 0, or the seconds until there is one."""
        full_at = max(now, self._full_at.get(address, now)) + self._seconds
        wait = full_at - now - self._burst * self._seconds
        if wait > 0:
            return wait
        self._full_at[address] = full_at
        self._full_at.move_to_end(address)
        if len(self._full_at) > _MAX_ADDRESSES:
            self._full_at.popitem(last=False)
        return 0.0
