"""Write operations of the event store: each is one change, and can be repeated.

A change is one of these functions with all arguments but the connection.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np

from monitor.detection.near_misses import NearMiss
from monitor.outputs.live.listening import Listen, ListenEnd
from monitor.outputs.store.minute_summary import Minute
from monitor.outputs.store.rows import Mark, StoreError
from monitor.system.boundary import boundary
from monitor.system.sqlite import is_refusal
from monitor.types import ClipOutcome, EndReason, Event

Change = partial[None]

T = TypeVar("T")


class RefusedChangeError(StoreError):
    """The tables cannot hold the change, now or later."""


def write_event(event: Event, is_late: Callable[[], bool], connection: sqlite3.Connection) -> None:
    """Write the start or the end of an event; ``is_late`` tells whether that is long after it happened."""
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
        is_late(),
        "\n".join(event.like) or None,
    ]
    connection.execute(
        "INSERT INTO events (id, series, started_at, ended_at, score, peak, windows, level_dbfs,"
        " uncertainty, reason, late, like_sentences) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, peak = excluded.peak,"
        " windows = excluded.windows, reason = excluded.reason, late = max(late, excluded.late)",
        row,
    )


def write_near_miss(miss: NearMiss, seconds: float, connection: sqlite3.Connection) -> None:
    """Write a near miss that lasted this many seconds."""
    row = [
        _series(connection, miss.source, miss.label),
        miss.peak_at,
        seconds,
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


def write_minute(minute: Minute, connection: sqlite3.Connection) -> None:
    """Write a minute of a source, merged with the part of an earlier run."""
    labels = json.dumps(minute.labels)
    connection.execute("INSERT OR IGNORE INTO label_sets (labels) VALUES (?)", [labels])
    (number,) = connection.execute("SELECT number FROM label_sets WHERE labels = ?", [labels]).fetchone()
    kept = connection.execute(
        "SELECT level_dbfs, peaks, agreed FROM minutes WHERE source = ? AND minute = ? AND labels = ?",
        [minute.source, minute.minute, number],
    ).fetchone()
    if kept is not None:
        level, peaks, agreed = kept
        minute = replace(
            minute,
            level_dbfs=minute.level_dbfs if level is None else max(level, minute.level_dbfs),
            peaks=np.maximum(np.frombuffer(peaks, np.uint8), minute.peaks),
            agreed=np.maximum(np.frombuffer(agreed, np.uint8), minute.agreed),
        )
    level, peaks, agreed = _finite(minute.level_dbfs), minute.peaks.tobytes(), minute.agreed.tobytes()
    connection.execute(
        "INSERT OR REPLACE INTO minutes VALUES (?, ?, ?, ?, ?, ?)",
        [minute.source, minute.minute, number, level, peaks, agreed],
    )


def write_listen(listen: Listen, connection: sqlite3.Connection) -> None:
    """Write that somebody began or ended to hear a source live."""
    row = [
        listen.id,
        listen.source,
        listen.client,
        listen.started_at,
        listen.ended_at,
        listen.reason,
        listen.lost_seconds,
    ]
    connection.execute("INSERT OR REPLACE INTO listens VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def write_clip_outcome(
    event_id: str,
    path: str | None,
    outcome: ClipOutcome,
    unwanted: Callable[[str], object],
    connection: sqlite3.Connection,
) -> None:
    """Write what became of a clip; ``unwanted`` receives its path if its event has been deleted meanwhile."""
    query = "UPDATE events SET clip = ?, fate = ? WHERE id = ?"
    done = connection.execute(query, [path, outcome, event_id])
    if not done.rowcount and path is not None:
        unwanted(path)


def write_clips(found: Sequence[tuple[str, str, Event | None]], connection: sqlite3.Connection) -> None:
    """Write all clips: path, identifier of the event, and the event according to the metadata.

    Events that were never written, or were lost with a damaged file, are restored.
    """
    paths = {path for path, _, _ in found}
    clips = connection.execute("SELECT id, clip FROM events WHERE clip IS NOT NULL").fetchall()
    for event_id, path in clips:
        if path not in paths:
            query = "UPDATE events SET clip = NULL, fate = ? WHERE id = ?"
            connection.execute(query, [ClipOutcome.GONE, event_id])
    for path, event_id, event in found:
        known = connection.execute("SELECT 1 FROM events WHERE id = ?", [event_id]).fetchone()
        if known is None and event is not None and event.id == event_id:
            write_event(event, lambda: True, connection)
        query = "UPDATE events SET clip = ?, fate = ? WHERE id = ? AND clip IS NOT ?"
        connection.execute(query, [path, ClipOutcome.KEPT, event_id, path])
    end_interrupted(connection)


def write_titles(titles: Sequence[tuple[str, str]], connection: sqlite3.Connection) -> None:
    """Write the names of the labels, for searching; those of removed labels stay."""
    connection.executemany("INSERT OR REPLACE INTO titles VALUES (?, ?)", titles)


def end_interrupted(connection: sqlite3.Connection) -> None:
    """End what an earlier run began and did not end, events as in the messages to the broker."""
    for table, reason in (("events", EndReason.RESTART), ("listens", ListenEnd.RESTART)):
        query = f"UPDATE {table} SET reason = ? WHERE ended_at IS NULL AND reason IS NULL"  # noqa: S608
        connection.execute(query, [reason])


def review(event_id: str, mark: Mark | None, connection: sqlite3.Connection) -> bool:
    """Write the verdict of a user; False if there is no such event."""
    done = connection.execute("UPDATE events SET review = ? WHERE id = ?", [mark, event_id])
    return bool(done.rowcount)


def delete(event_id: str, remove_clip: Callable[[str], object], connection: sqlite3.Connection) -> bool:
    """Delete an event with its clip, given by its path; False if there is no such event."""
    found = connection.execute("SELECT clip FROM events WHERE id = ?", [event_id]).fetchone()
    if found is None:
        return False
    if found[0] is not None:
        remove_clip(found[0])  # before its row: a clip without an event would be found at the next start
    connection.execute("DELETE FROM events WHERE id = ?", [event_id])
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
