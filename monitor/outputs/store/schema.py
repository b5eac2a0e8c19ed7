"""The tables, made step by step: every step is a transaction of its own that records itself.

A step that has been released is never changed; what is to be different becomes another step.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from monitor.system.bounded_read import DamagedError, parse_json
from monitor.system.sqlite import (
    BrokenDatabaseError,
    DatabaseError,
    open_database,
    refuse_damage,
    refuse_other_tables,
    set_aside,
)
from monitor.system.sqlite_log import read_log
from monitor.system.sqlite_salvage import Row, Table, salvage

log = logging.getLogger(__name__)

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

STEPS = (
    ("events", _EVENTS),
    ("misses", _MISSES),
    ("minutes", _MINUTES),
    ("reviews", _REVIEWS),
    ("hours", _HOURS),
    ("days", _DAYS),
    ("no counts", _NO_COUNTS),
    ("clip outcomes", _CLIP_OUTCOMES),
)
"""Name and statements of each step; its number is its place, from 1."""


BUSY_SECONDS = 1.0
"""How long a lock of another program is waited for, at each statement; what is to be kept waits in memory."""


def open_for_writing(path: Path, known: BrokenDatabaseError | None = None) -> sqlite3.Connection:
    """Open the file, make it if it is not there, look at all of it, and bring it up to date.

    A broken file is set aside, a new one begun, and what can be read of the old one put into it; so is one
    of which it is ``known`` that it broke in use, for not all damage is seen by looking.

    Raises
    ------
    DatabaseError
        It cannot be used now, or a newer version made it.
    """
    try:
        if known is not None:
            raise known
        return _opened(path)
    except BrokenDatabaseError as error:
        aside = set_aside(path)
        log.error("store: %s: %s; set aside as %s, a new one is begun", path, error, aside)  # noqa: TRY400
    connection = _opened(path)
    try:
        log.error("store: %s: %s", path, salvage(aside, connection, _TABLES))
    except DatabaseError as error:  # the disk is full, perhaps; the old file stays
        log.error("store: %s: not all could be saved from %s: %s", path, aside, error)  # noqa: TRY400
    return connection


def migrate(connection: sqlite3.Connection, steps: tuple[tuple[str, str], ...] = STEPS) -> None:
    """Take every step that has not been taken, each in a transaction with its record."""
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
        raise BrokenDatabaseError("is damaged: the steps by which it was made are not ours")
    if len(taken) > len(known):
        raise DatabaseError(f"was made by a newer version: step {taken[-1][0]}, this one knows {len(steps)}")
    for number, (name, statements) in enumerate(steps[len(taken) :], len(taken) + 1):
        record = f"INSERT INTO migrations VALUES ({number}, '{name}', {time.time():.3f});"  # noqa: S608
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {statements} {record} COMMIT;")
        finally:
            if connection.in_transaction:
                connection.rollback()


def _opened(path: Path) -> sqlite3.Connection:
    before = read_log(path) if path.is_file() and Path(f"{path}-wal").is_file() else None
    connection = open_database(path, partial(_prepare, path), busy_seconds=BUSY_SECONDS, autocommit=True)
    if before is not None and before.missing:
        log.error(
            "store: %s: %d pages of its log are missing: the newest rows are lost", path, before.missing
        )
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table: later it does nothing
    _keep_a_log(path, connection)
    # A power cut may take the newest commits, never more; what is told to the broker has its own file.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA journal_size_limit = 4000000")
    connection.execute("PRAGMA foreign_keys = ON")
    refuse_damage(connection)
    migrate(connection)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as template:
        migrate(template)
        refuse_other_tables(connection, template)
    _refuse_minutes_of_other_labels(connection)
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise BrokenDatabaseError("is damaged: something in it is of a source or a label that is not there")
    connection.execute("BEGIN IMMEDIATE")  # whether it can be written, which its header decides as well
    connection.execute("ROLLBACK")


def _keep_a_log(path: Path, connection: sqlite3.Connection) -> None:
    """Let readers not wait for the writer; where a file system cannot share memory, they do."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_IOERR or _is_locking(error):
            raise
        connection.execute(
            "PRAGMA locking_mode = EXCLUSIVE"
        )  # a file that has a log already needs no shared one
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA locking_mode = NORMAL")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        log.warning("store: %s: this file system shares no memory: readers wait for the writer", path)


def _is_locking(error: sqlite3.OperationalError) -> bool:
    """Tell whether a file system knows no locks, without which nothing can be done."""
    return error.sqlite_errorcode in {
        sqlite3.SQLITE_IOERR_LOCK,
        sqlite3.SQLITE_IOERR_RDLOCK,
        sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK,
    }


def _refuse_minutes_of_other_labels(connection: sqlite3.Connection) -> None:
    """See that every minute has a byte for each of its labels, else no view of its day could be made."""
    query = (
        "SELECT 1 FROM minutes LEFT JOIN label_sets ON number = minutes.labels WHERE iif(json_valid("
        "label_sets.labels), length(peaks) != json_array_length(label_sets.labels)"
        " OR length(agreed) != length(peaks), 1) LIMIT 1"
    )
    if connection.execute(query).fetchone() is not None:
        raise BrokenDatabaseError("is damaged: its minutes are not of their labels")


def _names_labels(row: Row) -> bool:
    try:
        labels = parse_json(row["labels"])
    except DamagedError:
        return False
    return isinstance(labels, list) and all(isinstance(label, str) for label in labels)


def _is_of_a_minute(row: Row) -> bool:
    return len(row["peaks"]) == len(row["agreed"])


_TABLES = (
    Table("series", "number"),
    Table("titles"),
    Table("label_sets", "number", _names_labels),
    Table("events", "number"),
    Table("misses", "number"),
    Table("minutes", None, _is_of_a_minute),
)
"""What is saved of a broken file; what is counted in `hours` and `days` follows from it."""
