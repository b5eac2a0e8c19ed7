"""Log limit: what anybody can cause is logged now and then, with the number of lines left out between."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable

BURST = 3
"""Lines of a kind that are logged at once."""

EVERY_SECONDS = 60.0
"""From one line of a kind to the next, after those."""

TRACEBACK_SECONDS = 3600.0
"""From one traceback of a kind to the next; lines between have none."""

_MOST_KINDS = 256
"""Kinds that are remembered; the one not seen for longest is forgotten."""


class _Kind:
    def __init__(self, now: float) -> None:
        self.full_at = now
        self.traced_at = -TRACEBACK_SECONDS
        self.left_out = 0


class LogLimit(logging.Filter):
    """Limit the lines of each kind: of one logger, one wording, and one exception from one line of the code.

    Parameters
    ----------
    now : callable
        Monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._lock = threading.Lock()
        self._kinds: OrderedDict[tuple[object, ...], _Kind] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is logged; add to it how many were not."""
        if record.levelno <= logging.INFO:
            return True
        now = self._now()
        key = (record.name, record.msg, *_origin(record))
        with self._lock:
            kind = self._kinds.setdefault(key, _Kind(now))
            self._kinds.move_to_end(key)
            if len(self._kinds) > _MOST_KINDS:
                self._kinds.popitem(last=False)
            if max(0.0, kind.full_at - now) > (BURST - 1) * EVERY_SECONDS:
                kind.left_out += 1
                return False
            kind.full_at = max(now, kind.full_at) + EVERY_SECONDS
            left_out, kind.left_out = kind.left_out, 0
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
    """Return the type of what was raised, and where: how many there are is not for others to say."""
    if not record.exc_info or record.exc_info[2] is None:
        return ()
    *_, (frame, line) = traceback.walk_tb(record.exc_info[2])
    return record.exc_info[0], frame.f_code.co_filename, line
