"""Time of day, and whether it may decide what is too old.

A machine without a battery for its clock starts in the past until the network sets it, and a faulty clock may
start years ahead.  What is deleted by such a clock does not come back.  So nothing is deleted by age until
the clock agrees with what was known before, or has gone on for long enough without a jump.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from monitor.system.atomic_file import write_atomic
from monitor.system.bounded_read import DamagedError, read_json

log = logging.getLogger(__name__)

FILE = "clock.json"
"""Name of the file in the state directory that says when the clock was trusted last."""

NEAR_SECONDS = 86_400.0
"""A clock that is no further from what was known before is believed at once."""

JUMP_SECONDS = 600.0
"""What the clock moves beside the time that passes, to count as a jump."""

SETTLE_SECONDS = 3600.0
"""How long after a jump nothing is deleted by age."""

SETTLE_UNSET_SECONDS = 7 * 86_400.0
"""The same where nothing sets the clock, and it disagrees with what was known before."""

NOTED_SECONDS = 3600.0
"""How often the file is written."""

_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_TIME_ERROR = 5
"""What adjtimex(2) returns of a clock that nothing sets."""


def is_synchronised() -> bool | None:
    """Tell whether something keeps the clock right; None if the kernel does not say."""
    if _SYNCHRONISED.exists():
        return True
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return None
    state = int(adjtimex(ctypes.create_string_buffer(512)))  # all zero: asks, and sets nothing
    return None if state < 0 else state != _TIME_ERROR


def _passed() -> float:
    """Seconds since the machine started, those in which it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class WallClock:
    """Judge the clock; every method may be called from any thread.

    Parameters
    ----------
    state : Path or None
        The state directory; None remembers nothing.
    now : callable
        Unix seconds.
    passed : callable
        Seconds by a clock that is never set.
    is_set : callable
        Whether something keeps the clock right; None if that is not known.
    """

    def __init__(
        self,
        state: Path | None = None,
        *,
        now: Callable[[], float] = time.time,
        passed: Callable[[], float] = _passed,
        is_set: Callable[[], bool | None] = is_synchronised,
    ) -> None:
        self._file = None if state is None else state / FILE
        self._now, self._passed, self._is_set = now, passed, is_set
        self._lock = threading.Lock()
        self._seen = now(), passed()
        self._steady_since = self._seen[1]
        self._settled = False
        self._jumped = False
        self._noted_at = float("-inf")
        self._said = False
        self._known = self._read()
        self._had_note = self._remembered = self._known is not None

    def now(self) -> float:
        """Unix seconds."""
        return self._now()

    def learn(self, newest: float | None) -> None:
        """Take the time of the newest thing that an earlier run kept; before anything of this run is kept."""
        with self._lock:
            if newest is None or self._had_note or abs(self._now() - newest) <= NEAR_SECONDS:
                return
            # Whoever asked before had kept nothing that could have told.
            self._known, self._settled, self._remembered = newest, False, False
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.unlink(missing_ok=True)

    def may_delete(self) -> bool:
        """Tell whether things may be deleted because of their age now."""
        with self._lock:
            now, passed = self._now(), self._passed()
            jump = (now - self._seen[0]) - (passed - self._seen[1])
            self._seen = now, passed
            if abs(jump) > JUMP_SECONDS:
                log.warning("clock: jumped by %+.0f s: for a while nothing is deleted by its age", jump)
                self._settled, self._jumped, self._steady_since = False, True, passed
            if not self._settled:
                self._settled = self._judge(now, passed)
            if self._settled:
                self._known = now
                self._note(now, passed)
            return self._settled

    def _judge(self, now: float, passed: float) -> bool:
        far = self._known is not None and abs(now - self._known) > NEAR_SECONDS
        if not far and not self._jumped:
            return True
        wait = SETTLE_UNSET_SECONDS if far and self._is_set() is False else SETTLE_SECONDS
        if far and not self._said:
            self._said = True
            log.warning(
                "clock: says %s, what was kept last is of %s: for %g h nothing is deleted by its age",
                _day(now),
                _day(self._known or 0.0),
                wait / 3600,
            )
        return passed - self._steady_since >= wait

    def _read(self) -> float | None:
        if self._file is None:
            return None
        try:
            known = read_json(self._file, 1000)["trusted_at"]
        except FileNotFoundError:
            return None
        except (OSError, DamagedError, KeyError, TypeError) as error:
            log.warning("%s: not readable, begun anew: %s", self._file, error)
            return None
        return float(known) if isinstance(known, int | float) else None

    def _note(self, now: float, passed: float) -> None:
        if self._file is None or (self._remembered and passed - self._noted_at < NOTED_SECONDS):
            return
        with contextlib.suppress(OSError):  # a full disk; then the newest thing that was kept has to do
            write_atomic(self._file, b'{"trusted_at": %d}\n' % now)
            self._remembered, self._noted_at = True, passed


def _day(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return f"{at:g} s"
