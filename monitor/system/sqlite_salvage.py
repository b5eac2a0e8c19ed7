"""Salvage of a broken SQLite file: its readable rows are copied into a new file.

Each table of a readable copy is read from both ends up to the damage, and between them row by row.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.system.sqlite import columns_of, translated
from monitor.system.sqlite_copy import opened, readable_copy

AT_ONCE = 1000
"""Rows in one transaction."""

PROBED = 5000
"""Most queries for the rows after a damaged place in a table."""

WIDEST_STEP = 8
"""Most rows skipped at once at such a place: fewer than a page holds."""

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
            known = readable_copy(broken, draft, {table.name for table in tables}, into.serialize())
            with closing(opened(draft)) as connection:
                found = _move(connection, into, tables)
        return found if known or found.saved else Salvaged(0, 0, readable=False)
    finally:
        draft.unlink(missing_ok=True)


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
