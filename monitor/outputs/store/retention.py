"""Store retention: deletes rows that are too old, and the oldest ones if the file is too large."""

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
"""Rows deleted in one transaction, to keep transactions short."""

_DAY = 86_400

_OLDEST = {
    "near misses": "DELETE FROM misses WHERE number IN"
    " (SELECT number FROM misses WHERE at < ? ORDER BY at LIMIT ?)",
    "minutes": "DELETE FROM minutes WHERE (source, minute) IN"
    " (SELECT source, minute FROM minutes WHERE minute < ? / 60 ORDER BY minute LIMIT ?)",
    "events": "DELETE FROM events WHERE number IN"
    " (SELECT number FROM events WHERE started_at < ? AND clip IS NULL ORDER BY started_at LIMIT ?)",
    "listens": "DELETE FROM listens WHERE id IN"
    " (SELECT id FROM listens WHERE started_at < ? ORDER BY id LIMIT ?)",
}
"""An event with a clip stays: clips have limits of their own."""


class Retention:
    """Retention of the rows; the clock decides whether anything may be deleted because of its age."""

    def __init__(self, config: StoreConfig, clock: WallClock) -> None:
        self.due = 0.0
        """Monotonic seconds of the next run."""
        self._days = {
            "near misses": config.keep_near_misses_days,
            "minutes": config.keep_minutes_days,
            "events": config.keep_days,
            "listens": config.keep_days,
        }
        self._most_bytes = config.max_megabytes * 1_000_000
        self._clock = clock

    def apply(self, connection: sqlite3.Connection) -> None:
        """Delete what is due, if it is time, and log what and why."""
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + EVERY_SECONDS
        now = self._clock.now()
        for kind, days in self._days.items() if self._clock.may_delete() else ():
            deleted = _delete(connection, kind, before=now - days * _DAY)
            if deleted:
                log.info("store: %d %s deleted: older than %g days", deleted, kind, days)
        for kind in self._days:
            deleted = _delete(connection, kind, above_bytes=self._most_bytes)
            if deleted:
                megabytes = self._most_bytes // 1_000_000
                log.warning("store: %d oldest %s deleted: more than %d MB", deleted, kind, megabytes)
        connection.execute("PRAGMA incremental_vacuum(1000)").fetchall()


def newest(connection: sqlite3.Connection) -> float | None:
    """Return the time of the newest row, in Unix seconds; None if there is none."""
    parts = ("max(started_at) FROM events", "max(at) FROM misses", "max(minute) * 60.0 FROM minutes")
    found = [connection.execute(f"SELECT {part}").fetchone()[0] for part in parts]
    return max((at for at in found if at is not None), default=None)


def _delete(
    connection: sqlite3.Connection, kind: str, *, before: float = math.inf, above_bytes: int = 0
) -> int:
    """Delete the oldest rows from before a time, while the file is larger; return how many."""
    deleted = 0
    while _bytes(connection) > above_bytes and (
        more := connection.execute(_OLDEST[kind], [before, AT_ONCE]).rowcount
    ):
        deleted += more
    return deleted


def _bytes(connection: sqlite3.Connection) -> int:
    """Return the size of the file without its free pages."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)
