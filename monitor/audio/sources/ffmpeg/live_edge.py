"""Live edge of a stream: a server's backlog is dropped, and missing audio is detected."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterable

from monitor.audio.captured_audio import CapturedAudio

DRIFT = 2e-3
"""Relative difference allowed between a camera's clock and the computer's; 1e-4 is usual."""

_AHEAD_SECONDS = 0.5
_STORE_SECONDS = 30.0
"""Servers send less than this at once to a new client, so that its player starts quickly."""

_JUMP_SECONDS = 0.2
"""Time stamps of cameras jitter; a larger step is lost audio."""

_LONGEST_JUMP_SECONDS = 60.0
"""A larger step is a restart, and does not show how much was lost."""

_REST = 0.9
"""Share of a block's length for which a live stream is left alone, at most, after each block."""

_WAITED = 0.02
"""A block that took at least this share of its length to arrive came from a live stream, not a backlog."""


def rested(
    blocks: Iterable[CapturedAudio],
    seconds: float,
    ended: threading.Event,
    now: Callable[[], float] = time.monotonic,
) -> Generator[CapturedAudio]:
    """Yield blocks of some seconds; between two blocks of a live stream, nothing is read for a while.

    PyAV takes Python's lock several times whenever a few bytes arrive, and a server may send fifty times a
    second.  During the rest they wait in the system's buffer.  With 25 streams there are a seventh of the
    switches between threads [measured].  A reader that is late, because the machine is busy, rests for less,
    or not at all: otherwise it could not catch up.  ``ended`` ends the rest.
    """
    asked_at = now()
    due = math.inf
    for block in blocks:
        at = now()
        # As audio comes late but never early, the earliest blocks show when each is due.
        due = min(at, due + DRIFT * seconds)
        yield block
        due += seconds
        rest = min(_REST * seconds, due - (1 - _REST) * seconds - now())
        if at - asked_at >= _WAITED * seconds and rest > 0:
            ended.wait(rest)
        asked_at = now()


class LiveEdge:
    """Drops audio when more arrives than can have been captured since the connection was opened.

    A server that still sends too much after `_STORE_SECONDS` were dropped is not live, it plays a file.  Its
    audio is then read in real time.  ``opened_at``: when the connection was requested, in monotonic seconds.
    """

    def __init__(self, rate: int, opened_at: float) -> None:
        self.rate = rate
        self._opened_at = opened_at
        self._passed = 0.0
        self._dropped = 0.0

    def change(self, rate: int) -> None:
        """Count samples at another rate (Hz) from now on."""
        factor = rate / self.rate
        self.rate, self._passed, self._dropped = rate, self._passed * factor, self._dropped * factor

    def delay_of(self, count: int, arrived: float) -> float | None:
        """Return the seconds that samples, arrived at a monotonic time, have to wait; None to drop them."""
        elapsed = arrived - self._opened_at
        ahead = (self._passed + count) / self.rate - elapsed * (1 + DRIFT) - _AHEAD_SECONDS
        if ahead > 0 and self._dropped < _STORE_SECONDS * self.rate:
            self._dropped += count
            return None
        self._passed += count
        return max(0.0, ahead)


class TimeStamps:
    """Detects missing audio between decoded frames by their time stamps.

    Time stamps jitter, and may follow another clock than the samples.  So they are compared with the
    number of samples, which is pulled towards them as fast as clocks may drift.
    """

    def __init__(self) -> None:
        self._expected: float | None = None

    def missing(self, at: float | None, seconds: float) -> tuple[bool, float]:
        """Return whether a frame does not continue the one before, and the seconds known to be lost.

        Both its time stamp and its duration are in seconds.
        """
        if at is None:
            return False, 0.0
        expected = at if self._expected is None else self._expected
        late = at - expected
        if abs(late) > _JUMP_SECONDS:
            self._expected = at + seconds
            return True, late if 0 < late <= _LONGEST_JUMP_SECONDS else 0.0
        pull = DRIFT * seconds
        self._expected = expected + seconds + min(max(late, -pull), pull)
        return False, 0.0
