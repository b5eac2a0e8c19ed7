"""Write operations of the event store: each is one change, and can be repeated."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from monitor.outputs.store.minute_summary import Minute
from monitor.outputs.store.rows import Mark, StoreError
from monitor.system.boundary import boundary
from monitor.system.sqlite import is_refusal
from monitor.types import ClipOutcome, EndReason, Event, NearMiss

Change = Callable[[sqlite3.Connection], None]

T = TypeVar("T")


class RefusedChangeError(StoreError):
    """The tables cannot hold the change, now or later."""


@dataclass(frozen=True, slots=True)
class EventChanged:
    """The start or the end of an event."""

    event: Event
    late: Callable[[], bool]
    """Called when it is written: whether that is long after it happened."""

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Insert or update the event."""
        event = self.event
        row = [
            event.id,
            _series(connection, event.source, event.label),
            event.started_at,
            event.ended_at,
            event.score,
            event.peak_score,
            event.windows,
            _finite(event.level_dbfs),
            event.uncertainty_seconds,
            event.reason,
            self.late(),
        ]
        connection.execute(
            "INSERT INTO events (id, series, started_at, ended_at, score, peak, windows, level_dbfs,"
            " uncertainty, reason, late) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, peak = excluded.peak,"
            " windows = excluded.windows, reason = excluded.reason, late = max(late, excluded.late)",
            row,
        )


@dataclass(frozen=True, slots=True)
class NearMissHappened:
    """A near miss."""

    miss: NearMiss
    seconds: float

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Insert the near miss."""
        miss = self.miss
        row = [
            _series(connection, miss.source, miss.label),
            miss.peak_at,
            self.seconds,
            miss.peak_score,
            miss.threshold,
            str(miss.reason),
            miss.against,
            miss.windows,
            miss.windows_needed,
            _finite(miss.level_dbfs),
        ]
        connection.execute(
            "INSERT INTO misses (series, at, seconds, score, threshold, reason, rival, hits, needed,"
            " level_dbfs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )


@dataclass(frozen=True, slots=True)
class MinuteOver:
    """A minute of a source."""

    minute: Minute

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Insert the minute, or merge it with the part of an earlier run."""
        minute = self.minute
        labels = json.dumps(minute.labels)
        connection.execute("INSERT OR IGNORE INTO label_sets (labels) VALUES (?)", [labels])
        (number,) = connection.execute("SELECT number FROM label_sets WHERE labels = ?", [labels]).fetchone()
        kept = connection.execute(
            "SELECT level_dbfs, peaks, agreed FROM minutes WHERE source = ? AND minute = ? AND labels = ?",
            [minute.source, minute.minute, number],
        ).fetchone()
        if kept is not None:
            level = -math.inf if kept[0] is None else kept[0]
            peaks, agreed = (np.frombuffer(values, np.uint8) for values in kept[1:])
            minute = Minute(minute.source, minute.minute, minute.labels, level, peaks, agreed).merged(minute)
        connection.execute(
            "INSERT OR REPLACE INTO minutes VALUES (?, ?, ?, ?, ?, ?)",
            [
                minute.source,
                minute.minute,
                number,
                _finite(minute.level_dbfs),
                minute.peaks.tobytes(),
                minute.agreed.tobytes(),
            ],
        )


@dataclass(frozen=True, slots=True)
class ClipDecided:
    """What became of the clip of an event."""

    event_id: str
    path: str | None
    outcome: ClipOutcome
    unwanted: Callable[[str], object]
    """Receives the path of a clip whose event has been deleted meanwhile."""

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Update the event."""
        done = connection.execute(
            "UPDATE events SET clip = ?, fate = ? WHERE id = ?", [self.path, self.outcome, self.event_id]
        )
        if not done.rowcount and self.path is not None:
            self.unwanted(self.path)


@dataclass(frozen=True, slots=True)
class ClipsFound:
    """All clips: path, identifier of the event, and the event according to the metadata."""

    found: Sequence[tuple[str, str, Event | None]]

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Update the events, and restore those that were never written or were lost with a damaged file."""
        paths = {path for path, _, _ in self.found}
        for event_id, path in connection.execute(
            "SELECT id, clip FROM events WHERE clip IS NOT NULL"
        ).fetchall():
            if path not in paths:
                connection.execute(
                    "UPDATE events SET clip = NULL, fate = ? WHERE id = ?", [ClipOutcome.GONE, event_id]
                )
        for path, event_id, event in self.found:
            known = connection.execute("SELECT 1 FROM events WHERE id = ?", [event_id]).fetchone()
            if known is None and event is not None and event.id == event_id:
                EventChanged(event, lambda: True)(connection)
            query = "UPDATE events SET clip = ?, fate = ? WHERE id = ? AND clip IS NOT ?"
            connection.execute(query, [path, ClipOutcome.KEPT, event_id, path])
        RestartDetected()(connection)


@dataclass(frozen=True, slots=True)
class LabelsNamed:
    """Names of the labels, for searching."""

    titles: Sequence[tuple[str, str]]

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Insert or update the names; those of removed labels stay."""
        connection.executemany("INSERT OR REPLACE INTO titles VALUES (?, ?)", self.titles)


@dataclass(frozen=True, slots=True)
class RestartDetected:
    """Events that an earlier run began and did not end."""

    def __call__(self, connection: sqlite3.Connection) -> None:
        """End these events, as in the messages to the broker."""
        query = "UPDATE events SET reason = ? WHERE ended_at IS NULL AND reason IS NULL"
        connection.execute(query, [EndReason.RESTART])


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Verdict of a user, who waits for the result."""

    event_id: str
    mark: Mark | None
    done: Future[bool]

    def __call__(self, connection: sqlite3.Connection) -> bool:
        """Update the event; False if there is no such event."""
        done = connection.execute("UPDATE events SET review = ? WHERE id = ?", [self.mark, self.event_id])
        return bool(done.rowcount)


@dataclass(frozen=True, slots=True)
class Deleted:
    """Deletion of an event by a user, who waits for the result."""

    event_id: str
    remove: Callable[[str], object]
    """Deletes a clip, given its path."""
    done: Future[bool]

    def __call__(self, connection: sqlite3.Connection) -> bool:
        """Delete the clip, then the event; False if there is no such event."""
        found = connection.execute("SELECT clip FROM events WHERE id = ?", [self.event_id]).fetchone()
        if found is None:
            return False
        if (
            found[0] is not None
        ):  # before its row: a clip without an event would be found again at the next start
            self.remove(found[0])
        connection.execute("DELETE FROM events WHERE id = ?", [self.event_id])
        return True


def _series(connection: sqlite3.Connection, source: str, label: str) -> int:
    connection.execute("INSERT OR IGNORE INTO series (source, label) VALUES (?, ?)", [source, label])
    query = "SELECT number FROM series WHERE source = ? AND label = ?"
    (number,) = connection.execute(query, [source, label]).fetchone()
    return int(number)


def _finite(level: float) -> float | None:
    return level if math.isfinite(level) else None


def apply_change(change: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
    """Apply a change.

    Raises
    ------
    RefusedChangeError
        The change is invalid.
    sqlite3.Error
        The file cannot be used now.
    """
    with boundary(RefusedChangeError, "refused"):
        try:
            return change(connection)
        except sqlite3.Error as error:
            if is_refusal(error):
                raise
            trouble = error
    raise trouble
