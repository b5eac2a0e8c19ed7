"""Memory allocation: returns freed memory to the system, and collects cyclic garbage soon.

Three properties of CPython and glibc let a process grow for weeks without any leak:

- A full garbage collection waits until the new objects are a quarter of the old ones.  torch leaves a
  hundred thousand, so cyclic garbage (an MQTT client, with its sockets) stayed for minutes.
- glibc gives threads up to eight arenas per core, and one arena cannot use the free memory of another.
- glibc keeps freed memory, such as 30 MB from the start.
"""

from __future__ import annotations

import ctypes
import gc

SETTLED_SECONDS = 10.0
"""After so long the monitor has started completely."""

EVERY_SECONDS = 60.0
"""Between two releases, which take 0.3 ms; the next window takes 1 ms longer."""

_ARENAS = 2
_M_ARENA_MAX = -8
"""Of ``malloc.h``: see mallopt(3)."""


class MemoryTrimmer:
    """Releases memory once the monitor has started, and again every `EVERY_SECONDS`."""

    def __init__(self, now: float) -> None:
        self._due = now + SETTLED_SECONDS
        self._settled = False

    def __call__(self, now: float) -> None:
        """Release memory if it is time; ``now`` is in monotonic seconds."""
        if now < self._due:
            return
        if not self._settled:
            gc.collect()
            gc.freeze()  # later collections skip the objects of now, so they are quick and frequent:
            self._settled = True
        gc.collect()  # updates the count of old objects, which freezing does not
        release()
        self._due = now + EVERY_SECONDS


def limit_arenas() -> None:
    """Limit all threads to two arenas, if the C library is glibc; call it before threads start."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def release() -> None:
    """Return free pages to the system, if the C library can; other Python threads go on meanwhile."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
