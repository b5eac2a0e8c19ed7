"""Trouble log: log lines that something outside the monitor can cause, limited in number.

`TroubleLog` limits the lines about one thing, such as a source or a hook.  `LogLimit` is a filter for a
whole logger, with a limit for each kind of line.  The next line after a limit says how many were left out.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable

BURST = 5
"""Lines of one `TroubleLog` that are logged at once."""

KIND_BURST = 3
"""Lines of one kind that pass a `LogLimit` at once."""

EVERY_SECONDS = 60.0
"""After a burst, from one line to the next."""

TRACEBACK_SECONDS = 3600.0
"""From one traceback of a kind to the next; the lines between have none."""

_MOST_KINDS = 256
"""Kinds that a `LogLimit` remembers; it forgets the one not seen for longest."""


class _Budget:
    """Token bucket: ``burst`` lines at once, then one every ``seconds``."""

    def __init__(self, burst: int, seconds: float, now: float) -> None:
        self.left_out = 0
        """Lines over budget since the last line within it."""
        self._burst, self._seconds = burst, seconds
        self._full_at = now

    def allows(self, now: float) -> bool:
        """Return whether there is budget for a line now."""
        return self._full_at - now <= (self._burst - 1) * self._seconds

    def take(self, now: float) -> int | None:
        """Use budget for one line; return how many were left out before it, None if it is over budget."""
        if not self.allows(now):
            self.left_out += 1
            return None
        self._full_at = max(now, self._full_at) + self._seconds
        left_out, self.left_out = self.left_out, 0
        return left_out


class TroubleLog:
    """Log about one thing outside the monitor, a few lines at once and then one now and then; thread-safe.

    ``burst`` lines, at least 1, may come at once; then one every ``seconds``.  Each such time without a line
    allows one more at once.
    """

    def __init__(self, logger: logging.Logger, *, burst: int = BURST, seconds: float = EVERY_SECONDS) -> None:
        self._logger = logger
        self._budget = _Budget(burst, seconds, time.monotonic())
        self._lock = threading.Lock()

    @property
    def left_out(self) -> int:
        """Lines that were left out since the last one that was logged."""
        return self._budget.left_out

    @property
    def ready(self) -> bool:
        """Whether a line would be logged now."""
        with self._lock:
            return self._budget.allows(time.monotonic())

    def warning(self, message: str, *values: object) -> bool:
        """Log a warning, or count it as left out; return whether it was logged."""
        return self.log(logging.WARNING, message, *values)

    def info(self, message: str, *values: object) -> bool:
        """Log information, or count it as left out; return whether it was logged."""
        return self.log(logging.INFO, message, *values)

    def log(self, level: int, message: str, *values: object) -> bool:
        """Log at a level of `logging`, or count as left out; return whether it was logged."""
        if not self._logger.isEnabledFor(level):
            return True
        with self._lock:
            left_out = self._budget.take(time.monotonic())
        if left_out is None:
            return False
        if left_out:
            message = f"{message} (and {left_out} more like it)"
        self._logger.log(level, message, *values)
        return True

    def change(
        self,
        before: str | None,
        now: str | None,
        where: str,
        *,
        effect: str = "",
        level: int = logging.WARNING,
    ) -> str | None:
        """Log a trouble when it begins, changes or ends; return what is wrong now, None for nothing.

        ``where`` starts the line: what has the trouble.  ``effect`` ends it: what the trouble causes.
        ``level`` is that of a line about a trouble; its end is information.
        """
        if now is not None and now != before:
            self.log(level, "%s: %s", where, f"{now}: {effect}" if effect else now)
        elif now is None and before is not None:
            self.info("%s: works again", where)
        return now


class _Kind:
    def __init__(self, now: float) -> None:
        self.budget = _Budget(KIND_BURST, EVERY_SECONDS, now)
        self.traced_at = -TRACEBACK_SECONDS


class LogLimit(logging.Filter):
    """Limits the lines of a kind: of one logger, one wording, and one exception from one line of the code."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._lock = threading.Lock()
        self._kinds: OrderedDict[tuple[object, ...], _Kind] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is logged; add to it how many were left out."""
        if record.levelno <= logging.INFO:
            return True
        now = self._now()
        key = (record.name, record.msg, *_origin(record))
        with self._lock:
            kind = self._kinds.setdefault(key, _Kind(now))
            self._kinds.move_to_end(key)
            if len(self._kinds) > _MOST_KINDS:
                self._kinds.popitem(last=False)
            left_out = kind.budget.take(now)
            if left_out is None:
                return False
            traced = record.exc_info and now - kind.traced_at >= TRACEBACK_SECONDS
            if traced:
                kind.traced_at = now
        if left_out:
            record.msg = f"{record.getMessage().rstrip()} (and {left_out} more like it)"
            record.args = ()
        if not traced:
            record.exc_info = record.exc_text = None
        return True


def _origin(record: logging.LogRecord) -> tuple[object, ...]:
    """Return the type of an exception and the line that raised it, whatever its message says."""
    if not record.exc_info or record.exc_info[2] is None:
        return ()
    *_, (frame, line) = traceback.walk_tb(record.exc_info[2])
    return record.exc_info[0], frame.f_code.co_filename, line
