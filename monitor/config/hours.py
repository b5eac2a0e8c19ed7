"""Hours of the day by the clock on the wall: ``22:00-07:00``.

Wall time is what people mean, so a change to summer time moves nothing: the hour that comes twice
counts twice, the one that is left out is left out.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

_TEXT = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.ASCII)
_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of every day, ``[start, stop)``; over midnight if it stops before it starts."""

    start: int
    """Minutes after midnight, in [0, 1440)."""
    stop: int
    """Minutes after midnight, in (0, 1440]; never `start`."""

    def contains(self, at: float) -> bool:
        """Tell whether a moment is in it.

        Parameters
        ----------
        at : float
            Unix seconds; what the clock says then is the business of the local time zone.
        """
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
        That says what is wrong, to stand after the text itself.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError("is no hours of the day; write them like 22:00-07:00")
    hour, minute, last_hour, last_minute = map(int, match.groups())
    start, stop = hour * 60 + minute, last_hour * 60 + last_minute
    if max(minute, last_minute) > 59 or start >= _DAY or stop > _DAY:  # noqa: PLR2004 - as on any clock
        raise ValueError("is past what a clock shows; hours go from 00:00 to 24:00")
    if start == stop:
        raise ValueError("starts when it stops; the whole day is 00:00-24:00")
    return Hours(start, stop or _DAY)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
