"""Memory that is freed goes back to the system: glibc keeps it otherwise, 30 MB of what starting takes."""

from __future__ import annotations

import ctypes

SETTLED_SECONDS = 10.0
"""After so long everything has started."""

EVERY_SECONDS = 600.0


class Tidy:
    """Give back once all has started, and again now and then."""

    def __init__(self, now: float) -> None:
        self._due = now + SETTLED_SECONDS

    def __call__(self, now: float) -> None:
        """Give back if it is time; ``now`` in seconds that never go back."""
        if now >= self._due:
            give_back()
            self._due = now + EVERY_SECONDS


def give_back() -> None:
    """Give back whole pages that are free, if the C library can; other threads of Python go on meanwhile."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
