"""Schema of the event store, made step by step: every step is a transaction that records itself.

A released step never changes; a change of the schema is another step.
"""

from __future__ import annotations

import sqlite3
import time

from monitor.system.sqlite import BrokenDatabaseError, DatabaseError

FILE = "history.sqlite"
"""Name of the file in the state directory."""

_EVENTS = """
CREATE TABLE series (
    number INTEGER PRIMARY KEY, source TEXT NOT NULL, label TEXT NOT NULL, UNIQUE (source, label)
);
CREATE TABLE titles (label TEXT PRIMARY KEY, title TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    series INTEGER NOT NULL REFERENCES series,
    started_at REAL NOT NULL,
    ended_at REAL,
    score REAL NOT NULL,
    peak REAL NOT NULL,
    windows INTEGER NOT NULL,
    level_dbfs REAL,
    uncertainty REAL NOT NULL,
    reason TEXT,
    late INTEGER NOT NULL DEFAULT 0,
    clip TEXT,
    fate TEXT
);
"""

_MISSES = """
CREATE TABLE misses (
    number INTEGER PRIMARY KEY,
    series INTEGER NOT NULL REFERENCES series,
    at REAL NOT NULL,
    seconds REAL NOT NULL,
    score REAL NOT NULL,
    threshold REAL NOT NULL,
    reason TEXT NOT NULL,
    rival TEXT,
    hits INTEGER NOT NULL,
    needed INTEGER NOT NULL,
    level_dbfs REAL
);
CREATE INDEX misses_by_time ON misses (at, series, reason);
CREATE INDEX misses_by_series ON misses (series, at, reason);
"""

_MINUTES = """
CREATE TABLE label_sets (number INTEGER PRIMARY KEY, labels TEXT NOT NULL UNIQUE);
CREATE TABLE minutes (
    source TEXT NOT NULL,
    minute INTEGER NOT NULL,
    labels INTEGER NOT NULL REFERENCES label_sets,
    level_dbfs REAL,
    peaks BLOB NOT NULL,
    agreed BLOB NOT NULL,
    PRIMARY KEY (source, minute)
) WITHOUT ROWID;
CREATE INDEX minutes_by_time ON minutes (minute);
"""

_REVIEWS = """
ALTER TABLE events ADD COLUMN review TEXT CHECK (review IN ('right', 'wrong'));
CREATE INDEX events_by_time ON events (started_at, series, peak, review, clip);
CREATE INDEX events_by_series ON events (series, started_at, peak, review, clip);
CREATE INDEX events_by_review ON events (review, started_at) WHERE review IS NOT NULL;
CREATE INDEX events_with_clip ON events (clip) WHERE clip IS NOT NULL;
CREATE INDEX events_open ON events (number) WHERE ended_at IS NULL;
"""

_HOURS = """
CREATE TABLE hours (
    series INTEGER NOT NULL REFERENCES series, hour INTEGER NOT NULL, events INTEGER NOT NULL,
    PRIMARY KEY (series, hour)
) WITHOUT ROWID;
INSERT INTO hours
    SELECT series, CAST(started_at / 3600 AS INTEGER) AS hour, count(*) FROM events GROUP BY 1, 2;
CREATE TRIGGER event_kept AFTER INSERT ON events BEGIN
    INSERT INTO hours VALUES (new.series, CAST(new.started_at / 3600 AS INTEGER), 1)
    ON CONFLICT DO UPDATE SET events = events + 1;
END;
CREATE TRIGGER event_deleted AFTER DELETE ON events BEGIN
    UPDATE hours SET events = events - 1
    WHERE series = old.series AND hour = CAST(old.started_at / 3600 AS INTEGER);
    DELETE FROM hours
    WHERE series = old.series AND hour = CAST(old.started_at / 3600 AS INTEGER) AND events <= 0;
END;
"""

_DAYS = """
CREATE INDEX events_by_peak ON events (peak, started_at, series, review, clip);
CREATE INDEX hours_by_hour ON hours (hour, series, events);
CREATE TABLE days (
    series INTEGER NOT NULL REFERENCES series, day INTEGER NOT NULL, events INTEGER NOT NULL,
    PRIMARY KEY (series, day)
) WITHOUT ROWID;
INSERT INTO days SELECT series, hour / 24 AS day, sum(events) FROM hours GROUP BY 1, 2;
CREATE TABLE missed_days (
    series INTEGER NOT NULL REFERENCES series, day INTEGER NOT NULL, reason TEXT NOT NULL,
    misses INTEGER NOT NULL, PRIMARY KEY (series, day, reason)
) WITHOUT ROWID;
INSERT INTO missed_days
    SELECT series, CAST(at / 86400 AS INTEGER) AS day, reason, count(*) FROM misses GROUP BY 1, 2, 3;
CREATE TRIGGER miss_kept AFTER INSERT ON misses BEGIN
    INSERT INTO missed_days VALUES (new.series, CAST(new.at / 86400 AS INTEGER), new.reason, 1)
    ON CONFLICT DO UPDATE SET misses = misses + 1;
END;
CREATE TRIGGER miss_deleted AFTER DELETE ON misses BEGIN
    UPDATE missed_days SET misses = misses - 1
    WHERE series = old.series AND day = CAST(old.at / 86400 AS INTEGER) AND reason = old.reason;
    DELETE FROM missed_days WHERE series = old.series AND day = CAST(old.at / 86400 AS INTEGER)
    AND reason = old.reason AND misses <= 0;
END;
CREATE TRIGGER event_kept_of_day AFTER INSERT ON events BEGIN
    INSERT INTO days VALUES (new.series, CAST(new.started_at / 86400 AS INTEGER), 1)
    ON CONFLICT DO UPDATE SET events = events + 1;
END;
CREATE TRIGGER event_deleted_of_day AFTER DELETE ON events BEGIN
    UPDATE days SET events = events - 1
    WHERE series = old.series AND day = CAST(old.started_at / 86400 AS INTEGER);
    DELETE FROM days
    WHERE series = old.series AND day = CAST(old.started_at / 86400 AS INTEGER) AND events <= 0;
END;
"""

_NO_COUNTS = """
DROP TRIGGER event_kept;
DROP TRIGGER event_deleted;
DROP TRIGGER event_kept_of_day;
DROP TRIGGER event_deleted_of_day;
DROP TRIGGER miss_kept;
DROP TRIGGER miss_deleted;
DROP TABLE hours;
DROP TABLE days;
DROP TABLE missed_days;
"""

_CLIP_OUTCOMES = """
UPDATE events SET fate = iif(fate = 'disk', 'disk_error', 'disk_full') WHERE fate IN ('disk', 'room');
"""

_LISTENS = """
CREATE TABLE listens (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    client TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    reason TEXT,
    lost_seconds REAL NOT NULL
) WITHOUT ROWID;
"""

_LIKE = """
ALTER TABLE events ADD COLUMN like_sentences TEXT;
"""

STEPS = (
    ("events", _EVENTS),
    ("misses", _MISSES),
    ("minutes", _MINUTES),
    ("reviews", _REVIEWS),
    ("hours", _HOURS),
    ("days", _DAYS),
    ("no counts", _NO_COUNTS),
    ("clip outcomes", _CLIP_OUTCOMES),
    ("listens", _LISTENS),
    ("like", _LIKE),
)
"""Name and statements of each step; its number is its place, from 1."""


def migrate(connection: sqlite3.Connection, steps: tuple[tuple[str, str], ...] = STEPS) -> None:
    """Apply every step that was not applied yet, each in a transaction with its record."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "migrations" not in tables:
        raise BrokenDatabaseError("is a database of another program")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, taken_at REAL NOT NULL)"
    )
    taken = [tuple(row) for row in connection.execute("SELECT number, name FROM migrations ORDER BY number")]
    known = [(number, name) for number, (name, _) in enumerate(steps, 1)]
    if taken[: len(known)] != known[: len(taken)]:
        raise BrokenDatabaseError("is damaged: its migrations are unknown")
    if len(taken) > len(known):
        raise DatabaseError(
            f"was written by a newer version: migration {taken[-1][0]}, this version has {len(steps)}"
        )
    for number, (name, statements) in enumerate(steps[len(taken) :], len(taken) + 1):
        record = f"INSERT INTO migrations VALUES ({number}, '{name}', {time.time():.3f});"  # noqa: S608
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {statements} {record} COMMIT;")
        finally:
            if connection.in_transaction:
                connection.rollback()
