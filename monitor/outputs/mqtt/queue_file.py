"""Letters to the broker, in a file: written before they are sent, taken out when they have arrived.

Also in the file: which events have started and not ended, so that whoever opens it after a crash can
say that they are over.  SQLite stays in here; what goes wrong with it comes out as a `JournalError`.
"""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.system.atomic_file import identity
from monitor.system.bounded_read import DamagedError, parse_json
from monitor.system.sqlite import (
    BrokenDatabaseError,
    DatabaseError,
    open_database,
    refuse_damage,
    refuse_other_tables,
    translated,
)
from monitor.system.sqlite_salvage import Row, Salvaged, Table, salvage

_VERSION = 1
_MOST_LETTERS = 2**60
_TABLES = """
BEGIN;
CREATE TABLE letters (number INTEGER PRIMARY KEY, put_at REAL, sum INTEGER, content BLOB);
CREATE TABLE lasting (event_id TEXT PRIMARY KEY, put_at REAL, sum INTEGER, content BLOB) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
"""


JournalError = DatabaseError
BrokenJournalError = BrokenDatabaseError


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """The start or the end of an event as it is told, but for what depends on when it is sent."""

    number: int
    """In the order of events: from 1 in this run, up to 0 if an earlier run left it."""
    topic: str
    payload: Mapping[str, object]
    """Of `event_message`."""
    happened_at: float | None
    """Unix seconds of what it tells, the onset or the offset; None if that is not known."""
    put_at: float
    """Unix seconds since when it waits."""

    @property
    def event_id(self) -> str:
        """Of the event."""
        return str(self.payload["event_id"])

    @property
    def source(self) -> str:
        """Of the event."""
        return str(self.payload["source"])

    @property
    def label(self) -> str:
        """Identifier of the label of the event."""
        return str(self.payload["event_type"])

    @property
    def lasts(self) -> bool:
        """True if it tells of a start."""
        return self.payload["phase"] == "start"


class QueueFile:
    """Letters in a file, for one process at a time; used by one thread.

    Parameters
    ----------
    path : Path
        Of the file, made if it is not there.

    Raises
    ------
    JournalError
        If it cannot be opened, also because another process has it.
    BrokenJournalError
        If it was damaged, or made by another version.
    """

    def __init__(self, path: Path) -> None:
        with translated(), ExitStack() as undo:
            self._connection = open_database(path, _prepare, busy_seconds=0, autocommit=False)
            undo.callback(self._connection.close)
            last, count, size = self._one(
                "SELECT coalesce(max(number), 0), count(*), coalesce(sum(length(content)), 0) FROM letters"
            )
            rows = self._connection.execute(
                "SELECT put_at, sum, content FROM lasting ORDER BY put_at"
            ).fetchall()
            if last >= _MOST_LETTERS:
                raise BrokenJournalError("is damaged: its letters have numbers that were never given")
            self.lasting = [_letter(n - len(rows) + 1, *row) for n, row in enumerate(rows)]
            """Starts, from earlier runs, of events that never ended; numbered for the ends to come."""
            undo.pop_all()
        self._path, self._identity = path, identity(path)
        self.count = count
        """Letters in the file."""
        self.bytes = size
        """What they take up, without SQLite's own share."""
        self._before = last + len(rows)

    def write(self, new: Collection[QueuedMessage], gone: Iterable[int]) -> None:
        """Put letters in and take others out, by number: all of it, or nothing.

        Once this returns, all of it survives a power cut.
        """
        with translated(), self._connection:
            for letter in new:
                self._put_in(letter)
            taken = [size for number in gone if (size := self._take_out(number)) is not None]
        self.count += len(new) - len(taken)
        self.bytes += sum(len(_content(letter)) for letter in new) - sum(taken)

    def read(self, most: int, after: float = -math.inf) -> list[QueuedMessage]:
        """Return the oldest letters whose numbers are larger than ``after``, oldest first."""
        query = "SELECT number, put_at, sum, content FROM letters WHERE number > ? ORDER BY number LIMIT ?"
        with translated():
            rows = self._connection.execute(query, [after + self._before, most]).fetchall()
            return [_letter(number - self._before, *row) for number, *row in rows]

    def trim(self, *, most_bytes: int, put_after: float, spare: Collection[int]) -> int:
        """Take out what is too old, and the oldest of what is too much, but for some; return how many."""
        query = "SELECT number, put_at, length(content) FROM letters ORDER BY number"
        excess, doomed = self.bytes - most_bytes, []
        with translated():
            for number, put_at, size in self._connection.execute(query):
                if excess <= 0 and put_at >= put_after:
                    break
                if number - self._before not in spare:
                    excess -= size
                    doomed.append(number - self._before)
        if doomed:
            self.write([], doomed)
        return len(doomed)

    @property
    def is_in_place(self) -> bool:
        """The file is still where it was: else what is written goes where nobody will find it."""
        return identity(self._path) == self._identity

    @property
    def newest(self) -> float | None:
        """Unix seconds at which the newest letter was put in; None if there is none."""
        with translated():
            (at,) = self._one("SELECT max(put_at) FROM letters")
        return None if at is None else float(at)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def save_from(self, broken: Path) -> Salvaged:
        """Put in what can be read of a broken file, before anything else is; another `QueueFile` reads it.

        Raises
        ------
        JournalError
            It cannot be written.
        """
        self._connection.isolation_level = None
        try:
            return salvage(broken, self._connection, _SAVED)
        finally:
            (self.count,) = self._one("SELECT count(*) FROM letters")

    def _one(self, query: str) -> tuple[Any, ...]:
        return tuple(self._connection.execute(query).fetchone())

    def _put_in(self, letter: QueuedMessage) -> None:
        content = _content(letter)
        row = (letter.put_at, zlib.crc32(content), content)
        self._connection.execute(
            "INSERT INTO letters VALUES (?, ?, ?, ?)", [letter.number + self._before, *row]
        )
        if letter.lasts:
            self._connection.execute("REPLACE INTO lasting VALUES (?, ?, ?, ?)", [letter.event_id, *row])
        else:
            self._connection.execute("DELETE FROM lasting WHERE event_id = ?", [letter.event_id])

    def _take_out(self, number: int) -> int | None:
        """Take one letter out; return its size, None if it is not there."""
        key = [number + self._before]
        found = self._connection.execute("SELECT length(content) FROM letters WHERE number = ?", key)
        size = found.fetchone()
        self._connection.execute("DELETE FROM letters WHERE number = ?", key)
        return size and int(size[0])


def _content(letter: QueuedMessage) -> bytes:
    content = {"topic": letter.topic, "happened_at": letter.happened_at, "payload": letter.payload}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _letter(number: int, put_at: float, checksum: int, content: bytes) -> QueuedMessage:
    # SQLite notices what breaks its own structure, not what changes a value.
    if not isinstance(content, bytes) or zlib.crc32(content) != checksum:
        raise BrokenJournalError("is damaged: a letter is not what was written")
    try:
        known = parse_json(content)
    except DamagedError as error:
        raise BrokenJournalError(f"is damaged: a letter {error}") from error
    if not _has_what_is_told(known) or not isinstance(put_at, int | float):
        raise BrokenJournalError("is damaged: a letter is not one of ours")
    return QueuedMessage(number, known["topic"], known["payload"], known["happened_at"], put_at)


def _has_what_is_told(content: Any) -> bool:
    if not isinstance(content, dict) or not isinstance(payload := content.get("payload"), dict):
        return False
    happened_at = content.get("happened_at", "")
    told = all(isinstance(payload.get(name), str) for name in ("event_id", "source", "event_type", "phase"))
    return (
        told
        and isinstance(content.get("topic"), str)
        and (happened_at is None or isinstance(happened_at, int | float))
    )


def _prepare(connection: sqlite3.Connection) -> None:
    # One process holds the file as long as it lives: two of them would both send what is in it.
    # Without others nothing is shared between processes either: a file less, on any file system.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    # With WAL, NORMAL would survive our own crash but not always a power cut: it leaves the newest
    # commits to the kernel.  A commit took 11 ms in the median and 140 ms at times, on a busy machine:
    # too much for the analysis, which therefore never comes here, and little for a message.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 1000000")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not version and not tables:
        connection.executescript(_TABLES)
    elif version != _VERSION:
        raise BrokenJournalError(f"is of version {version}, not {_VERSION}")
    refuse_damage(connection)
    with closing(sqlite3.connect(":memory:")) as template:
        template.executescript(_TABLES)
        refuse_other_tables(connection, template)
    connection.execute("BEGIN IMMEDIATE")  # whether it can be written, which its header decides as well
    connection.execute("ROLLBACK")


def _is_a_letter(row: Row) -> bool:
    """Tell whether a letter that was read from a broken file is what was written."""
    try:
        _letter(0, row["put_at"], row["sum"], row["content"])
    except BrokenJournalError:
        return False
    return bool(abs(row.get("number", 0)) < _MOST_LETTERS)


_SAVED = (Table("letters", "number", _is_a_letter), Table("lasting", None, _is_a_letter))
