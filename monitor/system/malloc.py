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
from collections.abc import Iterator
from contextlib import contextmanager

SETTLED_SECONDS = 10.0
"""After this long the monitor has started completely."""

EVERY_SECONDS = 60.0
"""Between two releases, which take 0.3 ms; the next window takes 1 ms longer."""

_ARENAS = 2
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Of ``malloc.h``: see mallopt(3)."""

_LARGE, _LARGEST_IN_HEAP = 2**16, 2**22
"""Bytes of a block that gets pages of its own, while a model is loaded and later."""


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
    _set(_M_ARENA_MAX, _ARENAS)


@contextmanager
def weights_apart() -> Iterator[None]:
    """Give large blocks pages of their own, if the C library is glibc.

    Weights are copied and converted while a model is loaded.  In the heap that leaves holes of 38 MB in front
    of what stays [measured with the starter].  Later, blocks that every window needs are in the heap again.
    """
    _set(_M_MMAP_THRESHOLD, _LARGE)
    try:
        yield
    finally:
        _set(_M_MMAP_THRESHOLD, _LARGEST_IN_HEAP)
        _set(_M_TRIM_THRESHOLD, 2 * _LARGEST_IN_HEAP)


def _set(parameter: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(parameter, value)


def release() -> None:
    """Return free pages to the system, if the C library can; other Python threads go on meanwhile."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
