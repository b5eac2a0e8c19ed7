"""Copy of an SQLite file that may be in use: whole, and as it was at one moment."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from monitor.system.sqlite import BrokenDatabaseError, translated

_PAGES = 2_000
"""Pages copied at once; another process may write between two steps."""


def copy_database(source: Path, target: Path) -> None:
    """Copy a database with SQLite's online backup.

    Raises
    ------
    DatabaseError
        It cannot be read or copied.
    """
    with (
        translated(),
        closing(sqlite3.connect(_read_only(source), uri=True, timeout=5.0)) as reader,
        closing(sqlite3.connect(target)) as writer,
    ):
        reader.backup(writer, pages=_PAGES, sleep=0.01)
        writer.execute("PRAGMA journal_mode = DELETE")


def check_database(path: Path) -> None:
    """Check all of a database.

    Raises
    ------
    DatabaseError
        It is damaged.
    """
    with translated(), closing(sqlite3.connect(_read_only(path), uri=True)) as connection:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != ("ok",):
        raise BrokenDatabaseError(f"is damaged: {found[0] if found else 'empty'}")


def _read_only(path: Path) -> str:
    return f"file:{quote(str(path.absolute()))}?mode=ro"
