"""Memory: freed memory goes back to the system, and garbage in cycles is found soon, also after weeks.

Three habits of CPython and glibc let a process that runs for weeks grow without any leak:

- A full garbage collection waits until the new objects are a quarter of the old ones.  torch leaves a
  hundred thousand, so garbage in cycles (a client of the broker, with its sockets) stayed for minutes.
- glibc gives threads up to eight arenas for each core, and free memory of one arena does not serve another.
- glibc keeps freed memory, 30 MB of what starting takes.
"""

from __future__ import annotations

import ctypes
import gc

SETTLED_SECONDS = 10.0
"""After so long everything has started."""

EVERY_SECONDS = 600.0

_ARENAS = 2
_M_ARENA_MAX = -8
"""Of ``malloc.h``: see mallopt(3)."""


class MemoryTrimmer:
    """Give back once all has started, and again now and then."""

    def __init__(self, now: float) -> None:
        self._due = now + SETTLED_SECONDS
        self._settled = False

    def __call__(self, now: float) -> None:
        """Give back if it is time; ``now`` in seconds that never go back."""
        if now < self._due:
            return
        if not self._settled:
            gc.collect()
            gc.freeze()  # later collections leave out what is there now, so they are quick and frequent:
            self._settled = True
        gc.collect()  # it counts what is old; freezing does not
        give_back()
        self._due = now + EVERY_SECONDS


def limit_arenas() -> None:
    """Let all threads allocate from two arenas, if the C library is glibc; before threads are started."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give back whole pages that are free, if the C library can; other threads of Python go on meanwhile."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
