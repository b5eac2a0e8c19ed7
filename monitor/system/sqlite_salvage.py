"""Salvage of a broken SQLite file: its readable rows are copied into a new file.

A copy is made of the file with every intact page of its log, and the known parts of its header are rewritten.
Then each table is read from both ends up to the damage, and between them row by row.
"""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from monitor.system.atomic_file import write_atomic
from monitor.system.sqlite import columns_of, translated
from monitor.system.sqlite_log import USUAL_PAGE, page_size_in, read_log

AT_ONCE = 1000
"""Rows in one transaction."""

PROBED = 5000
"""Most queries for the rows after a damaged place in a table."""

WIDEST_STEP = 8
"""Most rows skipped at once at such a place: fewer than a page holds."""

LARGEST = 20_000_000
"""Largest value, bytes; ours have a few thousand."""

_INTERIOR = 5
"""Type of an interior page of a table."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Table to salvage; tables that others refer to come first."""

    name: str
    number: str | None = None
    """Integer key column, if any."""
    is_sound: Callable[[Row], bool] = lambda _: True
    """Checks the values of a row whose types are right."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Result of a salvage."""

    saved: int
    lost: int
    """Rows that are known to have existed."""
    readable: bool = True
    """The file held a table of ours."""

    def __str__(self) -> str:
        """Return both numbers, for the log."""
        return (
            f"{self.saved} rows saved, {self.lost} lost" if self.readable else "none of its rows can be read"
        )


def salvage(broken: Path, into: sqlite3.Connection, tables: Sequence[Table]) -> Salvaged:
    """Copy the readable rows of a broken file and its log into a new one; the broken one is not changed.

    ``into`` has the tables, and is not in a transaction.

    Raises
    ------
    DatabaseError
        The new file cannot be written; the rows written so far stay.
    """
    draft = broken.with_suffix(".salvage")
    try:
        with translated():
            page_size, known = _copy(broken, draft), True
            for size in dict.fromkeys((page_size, USUAL_PAGE)):
                _rewrite_header(draft, size)
                if _has_tables(draft, tables):
                    break
            else:
                _graft_schema(draft, into.serialize(), page_size)
                known = False
            with closing(_opened(draft)) as connection:
                found = _move(connection, into, tables)
        return found if known or found.saved else Salvaged(0, 0, readable=False)
    finally:
        draft.unlink(missing_ok=True)


def _copy(broken: Path, draft: Path) -> int:
    """Copy the file, with the pages of its log in their places; return the page size."""
    write_atomic(draft, b"")
    with draft.open("r+b") as copy:
        if broken.is_file():
            with broken.open("rb") as file:
                shutil.copyfileobj(file, copy)
        log = read_log(broken) if Path(f"{broken}-wal").is_file() else None
        if log is None:
            copy.seek(0)
            return page_size_in(copy.read(18)) or USUAL_PAGE
        with Path(f"{broken}-wal").open("rb") as file:
            for frame in log.pages():
                file.seek(frame.offset)
                copy.seek((frame.page - 1) * log.page_size)
                copy.write(file.read(log.page_size))
        return log.page_size


def _rewrite_header(draft: Path, page_size: int) -> None:
    """Write the header fields that all our files share; its format version means that there is no log."""
    with draft.open("r+b") as file:
        file.write(b"SQLite format 3\0" + page_size.to_bytes(2, "big") + bytes((1, 1, 0, 64, 32, 32)))
        file.seek(44)
        file.write((4).to_bytes(4, "big"))
        file.seek(56)
        file.write((1).to_bytes(4, "big"))


def _has_tables(draft: Path, tables: Sequence[Table]) -> bool:
    """Return whether any of the tables is in the schema, readable or not."""
    with closing(_opened(draft)) as connection, suppress(sqlite3.Error):
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        return any(table.name in names for table in tables)
    return False


def _graft_schema(draft: Path, template: bytes, page_size: int) -> None:
    """Put the schema of a new file in place of one that cannot be read.

    Tables are created in the same order in every file, and with auto-vacuum their root pages come first, so
    they are where they are in a new file.  Further pages of the schema go to the end.
    Format: https://www.sqlite.org/fileformat2.html#b_tree_pages.
    """
    if int.from_bytes(template[16:18], "big") != page_size:
        return
    first = bytearray(template[:page_size])
    with draft.open("r+b") as file:
        count = -(-file.seek(0, 2) // page_size)
        if first[100] == _INTERIOR:
            cells = int.from_bytes(first[103:105], "big")
            pointers = [int.from_bytes(first[at : at + 2], "big") for at in range(112, 112 + 2 * cells, 2)]
            for place in (108, *pointers):
                child = int.from_bytes(first[place : place + 4], "big")
                count += 1
                first[place : place + 4] = count.to_bytes(4, "big")
                file.seek((count - 1) * page_size)
                file.write(template[(child - 1) * page_size : child * page_size])
        first[18:20] = bytes((1, 1))
        first[28:32] = count.to_bytes(4, "big")
        first[92:96] = first[24:28]
        file.seek(0)
        file.write(first)


def _opened(draft: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(draft.absolute()))}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA writable_schema = ON")  # otherwise a truncated file could not be opened
    return connection


def _move(broken: sqlite3.Connection, into: sqlite3.Connection, tables: Sequence[Table]) -> Salvaged:
    saved = lost = 0
    for table in tables:
        wanted = columns_of(into, table.name)
        try:
            there = columns_of(broken, table.name)
        except sqlite3.Error:
            continue
        columns = [name for name in wanted if name in there]
        if not columns:
            continue
        known = _counted(broken, table)
        rows, unread = _Reader(broken, table, columns), 0
        kept = _put(into, table, rows, wanted)
        unread = max(rows.unread + rows.read - kept, known - kept, 0)
        saved, lost = saved + kept, lost + unread
    return Salvaged(saved, lost)


def _counted(broken: sqlite3.Connection, table: Table) -> int:
    """Return the number of rows by the indices, which may be intact where the table is not."""
    counts = [0]
    with suppress(sqlite3.Error):
        query = "SELECT name FROM pragma_index_list(?) WHERE NOT partial"
        for (index,) in broken.execute(query, [table.name]).fetchall():
            with suppress(sqlite3.Error):
                name = index.replace('"', '""')
                query = f'SELECT count(*) FROM {table.name} INDEXED BY "{name}"'  # noqa: S608
                counts.append(broken.execute(query).fetchone()[0])
    return max(counts)


def _put(
    into: sqlite3.Connection, table: Table, rows: _Reader, wanted: Mapping[str, tuple[str, bool]]
) -> int:
    """Insert the valid rows; return how many were inserted."""
    columns = rows.columns
    query = (
        f"INSERT OR IGNORE INTO {table.name} ({', '.join(columns)})"  # noqa: S608 - names of our own
        f" VALUES ({', '.join('?' * len(columns))})"
    )
    kept = waiting = 0
    into.execute("BEGIN IMMEDIATE")
    try:
        for row in rows:
            named = dict(zip(columns, row, strict=True))
            fits = all(_fits(value, *wanted[name]) for name, value in named.items())
            if fits and table.is_sound(named):
                with suppress(sqlite3.IntegrityError):
                    kept += into.execute(query, row).rowcount
            waiting += 1
            if waiting % AT_ONCE == 0:
                into.execute("COMMIT")
                into.execute("BEGIN IMMEDIATE")
        into.execute("COMMIT")
    finally:
        if into.in_transaction:
            into.execute("ROLLBACK")
    return kept


def _fits(value: object, declared: str, needed: bool) -> bool:  # noqa: FBT001
    match declared, value:
        case _, None:
            return not needed
        case "INTEGER", int():
            return True
        case "REAL", int() | float():
            return math.isfinite(value)
        case "TEXT", str():
            return value.isascii() or value.encode("utf-8", "ignore").decode() == value
        case "BLOB", bytes():
            return True
    return False


class _Reader:
    """Rows of a table: from the front, from the back, and those readable in between."""

    def __init__(self, connection: sqlite3.Connection, table: Table, columns: Sequence[str]) -> None:
        self.columns = columns
        self.read = 0
        """Rows read."""
        self.unread = 0
        """Rows that exist and could not be read."""
        self._failed = False
        self._connection = connection
        self._table = table
        self._select = f"SELECT {', '.join(columns)} FROM {table.name}"  # noqa: S608 - names of our own

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows; without a key column only those before the damage."""
        number = self._table.number
        if number is None:
            for row in self._some(self._select):
                self.read += 1
                yield row
            return
        place = self.columns.index(number)
        last = first = None
        for row in self._some(f"{self._select} ORDER BY {number}"):
            if last is not None and row[place] <= last:  # a cyclic tree
                self._failed = True
                break
            last = row[place]
            self.read += 1
            yield row
        if not self._failed:
            return
        for row in self._some(f"{self._select} ORDER BY {number} DESC"):
            if (last is not None and row[place] <= last) or (first is not None and row[place] >= first):
                break
            first = row[place]
            self.read += 1
            yield row
        yield from self._between(last, first)

    def _between(self, last: int | None, first: int | None) -> Iterator[tuple[Any, ...]]:
        """Yield the readable rows between two keys, and skip the others."""
        if last is None and first is None:  # no row at either end
            return
        number, place = self._table.number, self.columns.index(str(self._table.number))
        at = 1 if last is None else last + 1
        stop = at + PROBED if first is None else first
        step = 1
        for _ in range(PROBED):
            if at >= stop:
                break
            begun = at
            for row in self._some(
                f"{self._select} WHERE {number} >= {at} AND {number} < {stop} ORDER BY {number}"
            ):
                if row[place] < at:  # a cyclic tree
                    break
                self.read += 1
                at = row[place] + 1
                yield row
            if not self._failed:
                break
            if at > begun:
                step = 1
                continue
            self.unread += min(step, stop - at) if first is not None else 0
            at, step = at + step, min(2 * step, WIDEST_STEP)

    def _some(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield rows until the end, or until one cannot be read, which sets `_failed`."""
        self._failed = False
        try:
            yield from self._connection.execute(query)
        except sqlite3.Error:
            self._failed = True
