"""What is deleted from the file: what is too old, and the oldest of what is too much."""

from __future__ import annotations

import logging
import math
import sqlite3
import time

from monitor.config import StoreConfig
from monitor.system.wall_clock import WallClock

log = logging.getLogger(__name__)

EVERY_SECONDS = 600.0
AT_ONCE = 500
"""Rows deleted in one transaction, so that nobody waits long for one."""

_DAY = 86_400

_OLDEST = {
    "near misses": "DELETE FROM misses WHERE number IN"
    " (SELECT number FROM misses WHERE at < ? ORDER BY at LIMIT ?)",
    "minutes": "DELETE FROM minutes WHERE (source, minute) IN"
    " (SELECT source, minute FROM minutes WHERE minute < ? / 60 ORDER BY minute LIMIT ?)",
    "events": "DELETE FROM events WHERE number IN"
    " (SELECT number FROM events WHERE started_at < ? AND clip IS NULL ORDER BY started_at LIMIT ?)",
}
"""An event whose clip is still there stays: clips have limits of their own."""


class Retention:
    """Delete now and then; used by the writer.

    Parameters
    ----------
    config : StoreConfig
    clock : WallClock
        Says what time it is, and whether that may decide what is too old.
    """

    def __init__(self, config: StoreConfig, clock: WallClock) -> None:
        self.due = 0.0
        """Moment of the monotonic clock."""
        self._days = {
            "near misses": config.keep_misses_days,
            "minutes": config.keep_minutes_days,
            "events": config.keep_days,
        }
        self._most_bytes = config.max_megabytes * 1_000_000
        self._clock = clock

    def apply(self, connection: sqlite3.Connection) -> None:
        """Delete what is due, if it is time, and say what and why."""
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + EVERY_SECONDS
        now = self._clock.now()
        for kind, days in self._days.items() if self._clock.may_delete() else ():
            gone = _delete(connection, kind, now - days * _DAY)
            if gone:
                log.info("store: %d %s deleted: older than %g days", gone, kind, days)
        for kind in self._days:
            gone = 0
            while _bytes(connection) > self._most_bytes and (more := _batch(connection, kind, math.inf)):
                gone += more
            if gone:
                megabytes = self._most_bytes // 1_000_000
                log.warning("store: %d oldest %s deleted: more than %d MB", gone, kind, megabytes)
        connection.execute("PRAGMA incremental_vacuum(1000)").fetchall()


def newest(connection: sqlite3.Connection) -> float | None:
    """Return the time of the newest thing that is kept, Unix seconds; None if nothing is."""
    parts = ("max(started_at) FROM events", "max(at) FROM misses", "max(minute) * 60.0 FROM minutes")
    found = [connection.execute(f"SELECT {part}").fetchone()[0] for part in parts]
    return max((at for at in found if at is not None), default=None)


def _delete(connection: sqlite3.Connection, kind: str, before: float) -> int:
    gone = 0
    while more := _batch(connection, kind, before):
        gone += more
    return gone


def _batch(connection: sqlite3.Connection, kind: str, before: float) -> int:
    return connection.execute(_OLDEST[kind], [before, AT_ONCE]).rowcount


def _bytes(connection: sqlite3.Connection) -> int:
    """Size of what is in the file, without the pages that are free."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)
