"""Database file of the event store: opened for writing, checked, and salvaged if it is damaged."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from monitor.outputs.store.schema import migrate
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


BUSY_SECONDS = 1.0
"""How long each statement waits for a lock of another program; changes wait in memory meanwhile."""


def open_for_writing(path: Path, known: BrokenDatabaseError | None = None) -> sqlite3.Connection:
    """Open the file, create it if it does not exist, check all of it, and migrate it.

    A damaged file is set aside, and its readable rows are copied into a new one.  So is a file that failed
    in use with the error ``known``: a check does not find all damage.

    Raises
    ------
    DatabaseError
        It cannot be used now, or was written by a newer version.
    """
    try:
        if known is not None:
            raise known
        return _opened(path)
    except BrokenDatabaseError as error:
        aside = set_aside(path)
        log.error("store: %s: %s; it was renamed to %s, and a new file is used", path, error, aside)  # noqa: TRY400
    connection = _opened(path)
    try:
        log.error("store: %s: %s", path, salvage(aside, connection, _TABLES))
    except DatabaseError as error:  # the disk is full, perhaps; the old file stays
        log.error("store: %s: not all rows could be salvaged from %s: %s", path, aside, error)  # noqa: TRY400
    return connection


def _opened(path: Path) -> sqlite3.Connection:
    before = read_log(path) if path.is_file() and Path(f"{path}-wal").is_file() else None
    connection = open_database(path, partial(_prepare, path), busy_seconds=BUSY_SECONDS, autocommit=True)
    if before is not None and before.missing:
        log.error(
            "store: %s: %d pages of its write-ahead log are missing: the newest rows are lost",
            path,
            before.missing,
        )
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # no effect after the first table
    _use_write_ahead_log(path, connection)
    # A power cut may undo the newest commits, but no more; messages for the broker have their own file.
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
        raise BrokenDatabaseError("is damaged: a row refers to an unknown source or label")
    connection.execute("BEGIN IMMEDIATE")  # fails if the file cannot be written, also because of its header
    connection.execute("ROLLBACK")


def _use_write_ahead_log(path: Path, connection: sqlite3.Connection) -> None:
    """Use a write-ahead log, so that readers do not wait, if the file system has shared memory."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_IOERR or _is_locking(error):
            raise
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # a log that exists needs no shared memory
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA locking_mode = NORMAL")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        log.warning(
            "store: %s: this file system does not support shared memory: readers wait for the writer", path
        )


def _is_locking(error: sqlite3.OperationalError) -> bool:
    """Return whether the file system has no locks, which SQLite needs."""
    return error.sqlite_errorcode in {
        sqlite3.SQLITE_IOERR_LOCK,
        sqlite3.SQLITE_IOERR_RDLOCK,
        sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK,
    }


def _refuse_minutes_of_other_labels(connection: sqlite3.Connection) -> None:
    """Refuse minutes whose bytes do not match their labels: their day could not be shown."""
    query = (
        "SELECT 1 FROM minutes LEFT JOIN label_sets ON number = minutes.labels WHERE iif(json_valid("
        "label_sets.labels), length(peaks) != json_array_length(label_sets.labels)"
        " OR length(agreed) != length(peaks), 1) LIMIT 1"
    )
    if connection.execute(query).fetchone() is not None:
        raise BrokenDatabaseError("is damaged: its minutes do not match their labels")


def _names_labels(row: Row) -> bool:
    try:
        labels = parse_json(row["labels"])
    except DamagedError:
        return False
    return isinstance(labels, list) and all(isinstance(label, str) for label in labels)


def _has_matching_lengths(row: Row) -> bool:
    return len(row["peaks"]) == len(row["agreed"])


_TABLES = (
    Table("series", "number"),
    Table("titles"),
    Table("label_sets", "number", _names_labels),
    Table("events", "number"),
    Table("misses", "number"),
    Table("minutes", None, _has_matching_lengths),
    Table("listens"),
)
"""Tables that are salvaged from a damaged file."""
