"""Readable copy of a broken SQLite file: the pages of its log in their places, header and schema repaired.

Format: https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from monitor.system.atomic_file import write_atomic
from monitor.system.sqlite_log import USUAL_PAGE, page_size_in, read_log

LARGEST = 20_000_000
"""Largest value, bytes; ours have a few thousand."""

_INTERIOR = 5
"""Type of an interior page of a table."""


def readable_copy(broken: Path, draft: Path, tables: Collection[str], template: bytes) -> bool:
    """Copy a file with every intact page of its log; return whether it has one of the tables itself.

    Otherwise it gets the schema of ``template``, the bytes of a new file.
    """
    page_size = _copy(broken, draft)
    for size in dict.fromkeys((page_size, USUAL_PAGE)):
        _rewrite_header(draft, size)
        if _has_tables(draft, tables):
            return True
    _graft_schema(draft, template, page_size)
    return False


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


def _has_tables(draft: Path, tables: Collection[str]) -> bool:
    """Return whether any of the tables is in the schema, readable or not."""
    with closing(opened(draft)) as connection, suppress(sqlite3.Error):
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        return not names.isdisjoint(tables)
    return False


def _graft_schema(draft: Path, template: bytes, page_size: int) -> None:
    """Put the schema of a new file in place of one that cannot be read.

    Tables are created in the same order in every file, and with auto-vacuum their root pages come first, so
    they are where they are in a new file.  Further pages of the schema go to the end.
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


def opened(draft: Path) -> sqlite3.Connection:
    """Open a copy, read only, however damaged it is."""
    uri = f"file:{quote(str(draft.absolute()))}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA writable_schema = ON")  # otherwise a truncated file could not be opened
    return connection
