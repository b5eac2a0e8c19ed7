"""Times of day in local time: ``22:00-07:00``.

When daylight saving time begins or ends, the local clock decides: an hour that occurs twice counts twice, and
a skipped hour does not count.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

_TEXT = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.ASCII)
_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """A time range of every day, ``[start, stop)``; it crosses midnight if it stops before it starts."""

    start: int
    """Minutes after midnight, in [0, 1440)."""
    stop: int
    """Minutes after midnight, in (0, 1440]; never `start`."""

    def contains(self, at: float) -> bool:
        """Return whether a moment, in Unix seconds, is in the range in local time."""
        clock = time.localtime(at)
        minute = clock.tm_hour * 60 + clock.tm_min
        if self.start < self.stop:
            return self.start <= minute < self.stop
        return minute >= self.start or minute < self.stop

    def __str__(self) -> str:
        return f"{_clock(self.start)}-{_clock(self.stop)}"


def parse_hours(text: str) -> Hours:
    """Read ``22:00-07:00``; ``00:00-24:00`` is the whole day.

    Raises
    ------
    ValueError
        Says what is wrong, in words that follow the text itself.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a time range; write it like 22:00-07:00")
    hour, minute, last_hour, last_minute = map(int, match.groups())
    start, stop = hour * 60 + minute, last_hour * 60 + last_minute
    if max(minute, last_minute) > 59 or start >= _DAY or stop > _DAY:  # noqa: PLR2004 - as on any clock
        raise ValueError("is not a time of day; times go from 00:00 to 24:00")
    if start == stop:
        raise ValueError("starts and stops at the same time; the whole day is 00:00-24:00")
    return Hours(start, stop or _DAY)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
