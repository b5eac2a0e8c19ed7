"""Clock synchronisation: how far the time of this machine may be from that of the others."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd makes it; unlike adjtimex(2), it can be read where ``ProtectClock`` is set."""

_TIME_ERROR = 5
"""Result of adjtimex(2) for a clock that nothing synchronises."""

_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class ClockSync:
    """Synchronisation of the clock at one moment."""

    synchronised: bool | None
    """None if the kernel does not say."""
    error_seconds: float | None
    """Largest error that the kernel thinks possible; None if it does not know one."""


class _Timex(ctypes.Structure):
    """Beginning of ``struct timex``, see adjtimex(2); all zero, it asks and sets nothing."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("rest", ctypes.c_byte * 512),
    )


def read_clock_sync(
    ask: Callable[[], tuple[int, int] | None] | None = None, file: Path = _SYNCHRONISED
) -> ClockSync:
    """Return how well the clock is synchronised, in a few microseconds; from any thread.

    Parameters
    ----------
    ask : callable or None
        Returns the result of adjtimex(2) and its ``maxerror`` in microseconds, None if it is refused.  None:
        asks the kernel.
    file : Path
        Exists once systemd-timesyncd has set the clock.
    """
    answer = (ask or _ask_kernel)()
    if answer is not None and answer[0] != _TIME_ERROR:
        return ClockSync(synchronised=True, error_seconds=answer[1] / _MICROSECONDS)
    if file.exists():
        return ClockSync(synchronised=True, error_seconds=None)
    return ClockSync(synchronised=None if answer is None else False, error_seconds=None)


def is_synchronised() -> bool | None:
    """Return whether the clock is synchronised; None if the kernel does not know."""
    return read_clock_sync().synchronised


def _ask_kernel() -> tuple[int, int] | None:
    adjtimex = _adjtimex()
    if adjtimex is None:
        return None
    timex = _Timex()
    state = int(adjtimex(ctypes.byref(timex)))
    return None if state < 0 else (state, int(timex.maxerror))


@functools.cache
def _adjtimex() -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), "adjtimex", None)
