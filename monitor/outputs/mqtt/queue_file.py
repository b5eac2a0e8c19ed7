"""Queue file: events written to disk before they are sent, and removed when the broker has acknowledged them.

It also holds the events that have started and not ended, so that the next run can end them after a crash.
"""

from __future__ import annotations

import math
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.outputs.payload import as_json
from monitor.system.atomic_file import identity
from monitor.system.bounded_read import DamagedError, parse_json
from monitor.system.sqlite import (
    BrokenDatabaseError,
    open_database,
    refuse_damage,
    refuse_other_tables,
    translated,
)
from monitor.system.sqlite_salvage import Row, Salvaged, Table, salvage

_VERSION = 1
_MAX_NUMBER = 2**60
# The names of the tables belong to the file format: queued messages, and starts without an end.
_TABLES = """
BEGIN;
CREATE TABLE letters (number INTEGER PRIMARY KEY, put_at REAL, sum INTEGER, content BLOB);
CREATE TABLE lasting (event_id TEXT PRIMARY KEY, put_at REAL, sum INTEGER, content BLOB) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """Start or end of an event, without the fields that depend on when it is sent."""

    number: int
    """Position in the queue: from 1 in this run, up to 0 for messages of earlier runs."""
    topic: str
    payload: Mapping[str, object]
    """Of `event_message`."""
    happened_at: float | None
    """Unix seconds of the onset or the offset; None if unknown."""
    queued_at: float
    """Unix seconds."""

    @property
    def event_id(self) -> str:
        """Id of the event."""
        return str(self.payload["event_id"])

    @property
    def source(self) -> str:
        """Source of the event."""
        return str(self.payload["source"])

    @property
    def label(self) -> str:
        """Identifier of the label of the event."""
        return str(self.payload["event_type"])

    @property
    def is_start(self) -> bool:
        """Whether it is the start of the event."""
        return self.payload["phase"] == "start"


class QueueFile:
    """Queued messages in a file, which is created if missing, for one process at a time; used by one thread.

    Raises
    ------
    DatabaseError
        The file cannot be opened, for example because another process has it open.
    BrokenDatabaseError
        The file is damaged, or of another version.
    """

    def __init__(self, path: Path) -> None:
        with translated(), ExitStack() as undo:
            self._connection = open_database(path, _prepare, busy_seconds=0, autocommit=False)
            undo.callback(self._connection.close)
            last, count, size = self._one(
                "SELECT coalesce(max(number), 0), count(*), coalesce(sum(length(content)), 0) FROM letters"
            )
            unfinished = "SELECT put_at, sum, content FROM lasting ORDER BY put_at"
            rows = self._connection.execute(unfinished).fetchall()
            if last >= _MAX_NUMBER:
                raise BrokenDatabaseError("is damaged: numbers of messages are out of range")
            self.unfinished = [_message(n - len(rows) + 1, *row) for n, row in enumerate(rows)]
            """Starts, in earlier runs, of events that never ended; numbered for the ends to come."""
            undo.pop_all()
        self._path, self._identity = path, identity(path)
        self.count = count
        """Messages in the file."""
        self.bytes = size
        """Size of their contents."""
        self._offset = last + len(rows)

    def write(self, new: Collection[QueuedMessage], removed: Iterable[int]) -> None:
        """Add messages and remove others, by number, in one transaction that survives a power cut."""
        with translated(), self._connection:
            for message in new:
                self._insert(message)
            sizes = [size for number in removed if (size := self._delete(number)) is not None]
        self.count += len(new) - len(sizes)
        self.bytes += sum(len(_content(message)) for message in new) - sum(sizes)

    def read(self, limit: int, after: float = -math.inf) -> list[QueuedMessage]:
        """Return the oldest messages with numbers above ``after``, oldest first."""
        query = "SELECT number, put_at, sum, content FROM letters WHERE number > ? ORDER BY number LIMIT ?"
        with translated():
            rows = self._connection.execute(query, [after + self._offset, limit]).fetchall()
            return [_message(number - self._offset, *row) for number, *row in rows]

    def trim(self, *, max_bytes: int, queued_after: float, keep: Collection[int]) -> int:
        """Remove messages that are too old, and the oldest above the size limit; return how many.

        Older ones than ``queued_after``, in Unix seconds, are too old; the numbers in ``keep`` stay.
        """
        query = "SELECT number, put_at, length(content) FROM letters ORDER BY number"
        excess, removed = self.bytes - max_bytes, []
        with translated():
            for number, queued_at, size in self._connection.execute(query):
                if excess <= 0 and queued_at >= queued_after:
                    break
                if number - self._offset not in keep:
                    excess -= size
                    removed.append(number - self._offset)
        if removed:
            self.write([], removed)
        return len(removed)

    @property
    def is_in_place(self) -> bool:
        """Whether the path still leads to this file; if not, the next run would not find what is written."""
        return identity(self._path) == self._identity

    @property
    def newest_at(self) -> float | None:
        """Unix seconds at which the newest message was queued; None if the file is empty."""
        with translated():
            (at,) = self._one("SELECT max(put_at) FROM letters")
        return None if at is None else float(at)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def salvage_from(self, broken: Path) -> Salvaged:
        """Copy the readable rows of a broken file into this empty one; then open it anew.

        Raises
        ------
        DatabaseError
            It cannot be written.
        """
        self._connection.isolation_level = None
        try:
            return salvage(broken, self._connection, _SALVAGED_TABLES)
        finally:
            (self.count,) = self._one("SELECT count(*) FROM letters")

    def _one(self, query: str) -> tuple[Any, ...]:
        return tuple(self._connection.execute(query).fetchone())

    def _insert(self, message: QueuedMessage) -> None:
        content = _content(message)
        row = (message.queued_at, zlib.crc32(content), content)
        self._connection.execute(
            "INSERT INTO letters VALUES (?, ?, ?, ?)", [message.number + self._offset, *row]
        )
        if message.is_start:
            self._connection.execute("REPLACE INTO lasting VALUES (?, ?, ?, ?)", [message.event_id, *row])
        else:
            self._connection.execute("DELETE FROM lasting WHERE event_id = ?", [message.event_id])

    def _delete(self, number: int) -> int | None:
        """Delete a message; return its size, None if it is not in the file."""
        key = [number + self._offset]
        found = self._connection.execute("SELECT length(content) FROM letters WHERE number = ?", key)
        size = found.fetchone()
        self._connection.execute("DELETE FROM letters WHERE number = ?", key)
        return size and int(size[0])


def _content(message: QueuedMessage) -> bytes:
    content = {"topic": message.topic, "happened_at": message.happened_at, "payload": message.payload}
    return as_json(content).encode()


def _message(number: int, queued_at: float, checksum: int, content: bytes) -> QueuedMessage:
    # SQLite detects damage to its structure, not to a value.
    if not isinstance(content, bytes) or zlib.crc32(content) != checksum:
        raise BrokenDatabaseError("is damaged: the checksum of a message is wrong")
    try:
        fields = parse_json(content)
    except DamagedError as error:
        raise BrokenDatabaseError(f"is damaged: a message {error}") from error
    if not _is_valid(fields) or not isinstance(queued_at, int | float):
        raise BrokenDatabaseError("is damaged: a message lacks fields")
    return QueuedMessage(number, fields["topic"], fields["payload"], fields["happened_at"], queued_at)


def _is_valid(content: Any) -> bool:
    if not isinstance(content, dict) or not isinstance(payload := content.get("payload"), dict):
        return False
    happened_at = content.get("happened_at", "")
    required = ("event_id", "source", "event_type", "phase")
    return (
        all(isinstance(payload.get(name), str) for name in required)
        and isinstance(content.get("topic"), str)
        and (happened_at is None or isinstance(happened_at, int | float))
    )


def _prepare(connection: sqlite3.Connection) -> None:
    # One process holds the file as long as it lives: two would both send its messages.
    # Without other processes there is no shared-memory file either, so any file system works.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    # With WAL, NORMAL survives a crash of this process but not always a power cut: the newest commits stay
    # in the kernel.  A commit took 11 ms in the median and up to 140 ms on a busy machine: too much for the
    # analysis, which therefore never calls this, and little for a message.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 1000000")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not version and not tables:
        connection.executescript(_TABLES)
    elif version != _VERSION:
        raise BrokenDatabaseError(f"is of version {version}, not {_VERSION}")
    refuse_damage(connection)
    with closing(sqlite3.connect(":memory:")) as template:
        template.executescript(_TABLES)
        refuse_other_tables(connection, template)
    connection.execute("BEGIN IMMEDIATE")  # fails if the file cannot be written, which its header decides too
    connection.execute("ROLLBACK")


def _is_intact(row: Row) -> bool:
    """Return whether a row of a broken file is what was written."""
    try:
        _message(0, row["put_at"], row["sum"], row["content"])
    except BrokenDatabaseError:
        return False
    return bool(abs(row.get("number", 0)) < _MAX_NUMBER)


_SALVAGED_TABLES = (Table("letters", "number", _is_intact), Table("lasting", None, _is_intact))
