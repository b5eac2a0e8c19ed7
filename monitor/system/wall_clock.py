"""Wall clock: the time of day, and whether it can be trusted to delete by age.

A machine without a battery-backed clock starts in the past until the network sets the clock, and a faulty
clock may start years ahead.  Deleted data does not come back.  So nothing is deleted by age until the clock
agrees with a time known before, or has run for long enough without a jump.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from monitor.system.atomic_file import write_atomic
from monitor.system.bounded_read import DamagedError, read_json
from monitor.system.clock_sync import is_synchronised

log = logging.getLogger(__name__)

FILE = "clock.json"
"""File in the state directory with the last time at which the clock was trusted."""

NEAR_SECONDS = 86_400.0
"""A clock within this distance of the known time is trusted at once."""

JUMP_SECONDS = 600.0
"""A larger difference between clock time and elapsed time is a jump."""

SETTLE_SECONDS = 3600.0
"""Nothing is deleted by age for this long after a jump."""

SETTLE_UNSET_SECONDS = 7 * 86_400.0
"""The same if nothing synchronises the clock, and it disagrees with the known time."""

SAVE_SECONDS = 3600.0
"""Interval between two writes of the file."""


def _passed() -> float:
    """Return the seconds since the machine started, including those in suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class WallClock:
    """Judges the clock; thread-safe.

    ``state`` is the state directory; None: nothing is saved.  ``now`` returns Unix seconds, ``passed`` those
    of a clock that is never set, and ``is_set`` whether the clock is synchronised, None if that is not known.
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
        self._saved_at = float("-inf")
        self._warned = False
        self._known = self._read()
        self._had_file = self._remembered = self._known is not None

    def now(self) -> float:
        """Unix seconds."""
        return self._now()

    def learn(self, newest: float | None) -> None:
        """Take the time of the newest record of an earlier run; call it before this run adds a record."""
        with self._lock:
            if newest is None or self._had_file or abs(self._now() - newest) <= NEAR_SECONDS:
                return
            # Earlier answers were given without this knowledge.
            self._known, self._settled, self._remembered = newest, False, False
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.unlink(missing_ok=True)

    def may_delete(self) -> bool:
        """Return whether data may be deleted by age now."""
        with self._lock:
            now, passed = self._now(), self._passed()
            jump = (now - self._seen[0]) - (passed - self._seen[1])
            self._seen = now, passed
            if abs(jump) > JUMP_SECONDS:
                log.warning("clock: jumped by %+.0f s; nothing is deleted by age for a while", jump)
                self._settled, self._jumped, self._steady_since = False, True, passed
            if not self._settled:
                self._settled = self._judge(now, passed)
            if self._settled:
                self._known = now
                self._save(now, passed)
            return self._settled

    def _judge(self, now: float, passed: float) -> bool:
        far = self._known is not None and abs(now - self._known) > NEAR_SECONDS
        if not far and not self._jumped:
            return True
        wait = SETTLE_UNSET_SECONDS if far and self._is_set() is False else SETTLE_SECONDS
        if far and not self._warned:
            self._warned = True
            log.warning(
                "clock: shows %s, but the newest record is from %s; nothing is deleted by age for %g h",
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
            log.warning("%s: not readable, starting again: %s", self._file, error)
            return None
        return float(known) if isinstance(known, int | float) else None

    def _save(self, now: float, passed: float) -> None:
        if self._file is None or (self._remembered and passed - self._saved_at < SAVE_SECONDS):
            return
        with contextlib.suppress(OSError):  # a full disk; the newest record then has to do
            write_atomic(self._file, b'{"trusted_at": %d}\n' % now)
            self._remembered, self._saved_at = True, passed


def _day(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return f"{at:g} s"
