"""What every file of SQLite needs: its errors in our words, and a way out when it is broken."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DatabaseError(Exception):
    """The file cannot be used now; its text is the reason."""


class BrokenDatabaseError(DatabaseError):
    """What is in the file is not what was written."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLite and the file system say into a `DatabaseError`."""
    try:
        yield
    except sqlite3.Error as error:
        # Only the lower byte is the kind of error, the rest says more about it.
        kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if kind in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise BrokenDatabaseError(f"is damaged: {error}") from error
        raise DatabaseError(f"cannot be used: {error}") from error
    except OSError as error:
        raise DatabaseError(f"cannot be used: {error.strerror or error}") from error


def refuse_damage(connection: sqlite3.Connection) -> None:
    """Look at all that is in the file.

    Raises
    ------
    BrokenDatabaseError
        Its structure is not what it should be.
    """
    with translated():
        (fault,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if fault != "ok":
        raise BrokenDatabaseError(f"is damaged: {fault}")


def set_aside(path: Path) -> Path:
    """Move a broken file out of the way, in place of an older one; return where it is now.

    Raises
    ------
    DatabaseError
        If it cannot be moved.
    """
    aside = path.with_name(f"{path.stem}.broken{path.suffix}")
    with translated():
        # The log first: beside a new file an old log would be taken for its own.
        for suffix in ("-wal", "-shm", ""):
            old, new = Path(f"{path}{suffix}"), Path(f"{aside}{suffix}")
            if old.exists():
                old.replace(new)
            else:
                new.unlink(missing_ok=True)
    return aside
