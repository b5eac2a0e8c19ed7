"""SQLite files: opening with a bounded wait, plain error messages, and handling of damaged files."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

from monitor.system.atomic_file import PRIVATE
from monitor.system.directories import make_directory
from monitor.system.sqlite_log import page_size_in, read_log

BESIDE = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite keeps beside a database."""

CACHE_KIB = 512
"""Page cache of each connection; SQLite's default is 2000."""

_AGAIN_SECONDS = 0.2
"""Another process may be writing the log: it must look damaged twice."""

_HEADER_BYTES = 100
_SMALLEST = 512
"""Bytes of a page."""


class DatabaseError(Exception):
    """The file cannot be used now; the text is the reason."""


class BrokenDatabaseError(DatabaseError):
    """The content of the file is damaged."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of SQLite and the file system into a `DatabaseError`."""
    try:
        yield
    except sqlite3.Error as error:
        if _kind(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise BrokenDatabaseError(f"is damaged: {error}") from error
        raise DatabaseError(f"cannot be used: {error}") from error
    except OSError as error:
        raise DatabaseError(f"cannot be used: {error.strerror or error}") from error


def is_refusal(error: sqlite3.Error) -> bool:
    """Return whether an error is about the values of one row, so that a retry cannot help."""
    code = getattr(error, "sqlite_errorcode", None)  # none: the values did not even reach SQLite
    refusals = {
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_RANGE,
    }
    return code is None or _kind(error) in refusals


def open_database(
    path: Path, prepare: Callable[[sqlite3.Connection], None], *, busy_seconds: float, autocommit: bool
) -> sqlite3.Connection:
    """Open a database, readable by its owner alone; create it if it is missing.

    ``prepare`` sets up the connection, creates the tables, and checks their content.  ``busy_seconds`` is the
    longest wait for the lock of another process, at each statement.  With ``autocommit`` transactions are
    begun explicitly, and several threads may use the connection.

    Raises
    ------
    DatabaseError
        It cannot be used now, for example because another process has it.
    BrokenDatabaseError
        It, or the log beside it, is damaged or not ours.
    """
    with translated(), ExitStack() as undo:
        make_directory(path.parent)
        _refuse_special_files(path)
        _refuse_damaged_log(path)
        _make_private(path)
        connection = sqlite3.connect(
            path,
            timeout=busy_seconds,
            isolation_level=None if autocommit else "DEFERRED",
            check_same_thread=not autocommit,
        )
        undo.callback(connection.close)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            limit_cache(connection)
            prepare(connection)
        except sqlite3.Error as error:
            if _kind(error) in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FORMAT}:
                _refuse_damaged_header(path, error)
            raise
        undo.pop_all()
    return connection


def limit_cache(connection: sqlite3.Connection) -> None:
    """Limit the page cache of a connection: the operating system caches the pages, too, once for all."""
    connection.execute(f"PRAGMA cache_size = {-CACHE_KIB}")


def try_database(path: Path) -> None:
    """Check that an existing file can be locked and written, and that its log is not damaged.

    Raises
    ------
    DatabaseError
        It cannot: another process has it, or its file system does not support locks.
    BrokenDatabaseError
        It is damaged.
    """
    with translated():
        _refuse_special_files(path)
        _refuse_damaged_log(path)
        uri = f"file:{quote(str(path.absolute()))}?mode=rw"
        existing = sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None)
        with contextlib.closing(existing) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                _refuse_damaged_header(path, error)
                raise


def refuse_damage(connection: sqlite3.Connection) -> None:
    """Check the whole file.

    Raises
    ------
    BrokenDatabaseError
        Its structure is damaged.
    """
    with translated():
        (fault,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if fault != "ok":
        raise BrokenDatabaseError(f"is damaged: {fault}")


def refuse_other_tables(connection: sqlite3.Connection, template: sqlite3.Connection) -> None:
    """Check that the tables are those of an empty template, and that every value has the type of its column.

    Raises
    ------
    BrokenDatabaseError
        Something is missing or different.
    """
    names = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name"
    with translated():
        there = set(connection.execute(names).fetchall())
        for kind, name in template.execute(names).fetchall():
            if (kind, name) not in there:
                raise BrokenDatabaseError(f"is damaged: it has no {kind} {name}")
            if kind != "table":
                continue
            if columns_of(connection, name) != columns_of(template, name):
                raise BrokenDatabaseError(f"is damaged: its table {name} has other columns")
            wrong = " OR ".join(_of_another_type(*column) for column in columns_of(template, name).items())
            query = f"SELECT 1 FROM {name} WHERE {wrong} LIMIT 1"  # noqa: S608 - names of our own
            if connection.execute(query).fetchone() is not None:
                raise BrokenDatabaseError(f"is damaged: its table {name} holds a value of another type")


def columns_of(connection: sqlite3.Connection, table: str) -> dict[str, tuple[str, bool]]:
    """Return the columns of a table: declared type, and whether a value is required."""
    query = 'SELECT name, type, "notnull" OR pk FROM pragma_table_info(?) ORDER BY cid'
    return {name: (kind, bool(needed)) for name, kind, needed in connection.execute(query, [table])}


def set_aside(path: Path) -> Path:
    """Move a broken file out of the way, replacing an older one; return its new path.

    Raises
    ------
    DatabaseError
        If it cannot be moved.
    """
    aside = path.with_name(f"{path.stem}.broken{path.suffix}")
    with translated():
        # The log first: SQLite would apply an old log to a new file.
        for suffix in (*BESIDE, ""):
            old, new = Path(f"{path}{suffix}"), Path(f"{aside}{suffix}")
            if old.exists() or old.is_symlink():
                old.replace(new)
            else:
                new.unlink(missing_ok=True)
    return aside


def header_fault(header: bytes) -> str | None:
    """Return what is wrong in the first 100 bytes of a file; None if nothing is.

    See https://www.sqlite.org/fileformat2.html#the_database_header.
    """
    checks = (
        ("signature", header[:16] == b"SQLite format 3\0"),
        ("page size", header[16:18] == b"\0\1" or page_size_in(header) is not None),  # 1: 65,536 bytes
        ("format version", header[18] in {1, 2} and header[19] in {1, 2}),
        ("reserved space", header[20] == 0),
        ("payload fractions", header[21:24] == bytes((64, 32, 32))),
        ("schema format", int.from_bytes(header[44:48], "big") <= 4),  # noqa: PLR2004
        ("text encoding", int.from_bytes(header[56:60], "big") in {0, 1}),
    )
    return next((what for what, fits in checks if not fits), None)


def _kind(error: sqlite3.Error) -> int:
    """Return the primary result code of an error, its lower byte."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _refuse_special_files(path: Path) -> None:
    """Refuse files for which SQLite would wait for ever, or that it could never open."""
    for suffix in ("", *BESIDE):
        place = Path(f"{path}{suffix}")
        if place.exists() and not stat.S_ISREG(place.stat().st_mode):
            raise BrokenDatabaseError(f"is damaged: {place.name} is not a regular file")


def _refuse_damaged_log(path: Path) -> None:
    """Refuse a log if SQLite would silently ignore some of its committed frames."""
    size = path.stat().st_size if path.exists() else 0
    if 0 < size < _SMALLEST:  # SQLite would take it for an empty file, and overwrite it
        raise BrokenDatabaseError("is damaged: file is not a database")
    log = read_log(path)
    if log is None:
        return
    if log.usable and not size:
        raise BrokenDatabaseError("is damaged: it is empty, and its log is not")
    if not log.damaged:
        return
    time.sleep(_AGAIN_SECONDS)
    if read_log(path) == log:
        pages = f"{log.lost} of {log.lost + log.usable} pages in " if log.readable else ""
        raise BrokenDatabaseError(f"is damaged: {pages}{path.name}-wal cannot be used")


def _refuse_damaged_header(path: Path, error: sqlite3.Error) -> None:
    # Only now: closing a file that SQLite has open releases its locks in this process.
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if not header:
        return
    fault = header_fault(header.ljust(_HEADER_BYTES, b"\0"))
    if fault is not None:
        raise BrokenDatabaseError(f"is damaged: the {fault} in its header") from error
    if _kind(error) in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT}:
        raise BrokenDatabaseError(f"is damaged: {error}") from error


def _make_private(path: Path) -> None:
    """Create the file before SQLite, which uses the umask; the files beside it get its mode."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
    for suffix in ("", *BESIDE):
        with contextlib.suppress(OSError):
            place = Path(f"{path}{suffix}")
            found = place.stat()
            if found.st_uid == os.geteuid() and found.st_mode & 0o077:
                place.chmod(PRIVATE)


def _of_another_type(name: str, column: tuple[str, bool]) -> str:
    declared, needed = column
    types = {"INTEGER": "'integer'", "REAL": "'real', 'integer'", "TEXT": "'text'", "BLOB": "'blob'"}[
        declared
    ]
    empty = "" if needed else ", 'null'"
    return f"typeof({name}) NOT IN ({types}{empty})"
