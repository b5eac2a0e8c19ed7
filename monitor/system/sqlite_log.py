"""Write-ahead logs of SQLite, frame by frame: which frames SQLite will use, and which it will ignore.

SQLite uses a log up to the first invalid frame, and silently ignores the rest, as it must after a power cut.
So a damaged byte in the middle loses everything committed after it.

Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log; format of the index:
https://www.sqlite.org/walformat.html#the_wal_index_file_format.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

USUAL_PAGE = 4096
"""Default page size, bytes."""

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = (0x377F0682, 0x377F0683)
"""Of logs whose checksums are of little-endian and of big-endian words."""

_VERSION = 3_007_000
_INDEX_BYTES = 136
_WORD = 0xFFFF_FFFF

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame of a log: one page."""

    offset: int
    """Of the page, in bytes."""
    page: int
    """Number, from 1."""
    pages: int
    """Size of the database in pages if a transaction ends with it, else 0."""
    salts: Pair
    fits: bool
    """Its checksum continues that of the previous frame, as SQLite requires."""
    intact: bool
    """Its page is undamaged."""


@dataclass(frozen=True, slots=True)
class Log:
    """Content of a log."""

    page_size: int
    frames: tuple[Frame, ...]
    """Frames written since the log was restarted, intact or not."""
    usable: int
    """Frames that SQLite will use: those up to the last transaction before the first fault."""
    lost: int
    """Committed frames after a fault, which SQLite will ignore."""
    missing: int = 0
    """Frames that the index counts and that are gone."""
    readable: bool = True
    """It begins like a log; otherwise SQLite ignores it completely."""

    @property
    def damaged(self) -> bool:
        """Committed data will be ignored."""
        return self.lost > 0 or not self.readable

    def pages(self) -> Iterator[Frame]:
        """Yield the intact frames up to the end of the last transaction, including those after a fault."""
        ends = [number for number, frame in enumerate(self.frames, 1) if frame.intact and frame.pages]
        yield from (frame for frame in self.frames[: max(ends, default=0)] if frame.intact)


def read_log(database: Path) -> Log | None:
    """Read the log beside a database; None if there is none.

    Raises
    ------
    OSError
        It cannot be read.
    """
    try:
        with Path(f"{database}-wal").open("rb") as file:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return Log(USUAL_PAGE, (), 0, 0, readable=False) if header else None
            return _read(file, header, _known_page_size(database), Path(f"{database}-shm"))
    except FileNotFoundError:
        return None


def _read(file: BinaryIO, header: bytes, page_size: int, index: Path) -> Log:
    magic, version, size, _, *salts, first, second = _HEADER.unpack(header)
    big = magic == _MAGIC[1] if magic in _MAGIC else sys.byteorder == "big"
    valid = (
        magic in _MAGIC and version == _VERSION and checksum(header[:24], (0, 0), big=big) == (first, second)
    )
    frames = list(_frames(file, size if valid else page_size, (first, second), big=big))
    own = (salts[0], salts[1]) if valid else _commonest(frames)
    # The salts are in no checksum: a frame that follows from one of ours is one of ours.
    mine: list[Frame] = []
    for frame in frames:
        if frame.salts != own and not (frame.intact and mine):
            break
        mine.append(frame)
    last_of_own = max((n for n, frame in enumerate(frames, 1) if frame.salts == own), default=0)
    mine = frames[: max(len(mine), last_of_own)]
    good = next(
        (n for n, frame in enumerate(mine) if not frame.fits or frame.salts != own or not frame.page),
        len(mine),
    )
    usable = max((n for n, frame in enumerate(mine[:good], 1) if frame.pages), default=0) if valid else 0
    ends = [n for n, frame in enumerate(mine[usable:], 1) if frame.pages]
    indexed = _indexed(index, own) if valid else 0
    # SQLite writes the frame that ends a transaction before the checksums of its earlier frames are right
    # (wal.c, sqlite3WalFrames), so a process that is killed in between leaves one that was never committed.
    unfinished = valid and (indexed <= usable if indexed else len(ends) == 1)
    committed = 0 if unfinished else max(ends, default=0)
    missing = max(0, indexed - len(mine))
    readable = valid or not any(header)  # zeros: a power cut
    return Log(size if valid else page_size, tuple(mine), usable, committed, missing, readable)


def _frames(file: BinaryIO, page_size: int, before: Pair, *, big: bool) -> Iterator[Frame]:
    """Yield every frame; each is checked against what the one before it says, so one fault hides no other."""
    held: Frame | None = None
    told = counted = before
    while len(head := file.read(_FRAME.size)) == _FRAME.size:
        page, pages, *rest = _FRAME.unpack(head)
        offset, body = file.tell(), file.read(page_size)
        whole = len(body) == page_size
        found = (rest[2], rest[3])
        sums = [checksum(head[:8] + body, start, big=big) if whole else (-1, -1) for start in (told, counted)]
        if held is not None:
            # What follows from the frame before as it is, and not from its checksum: only that was damaged.
            yield replace(held, intact=True) if found == sums[1] != sums[0] else held
        held = Frame(offset, page, pages, (rest[0], rest[1]), fits=found == sums[0], intact=found in sums)
        told, counted = found, sums[0]
    if held is not None:
        yield held


def checksum(content: bytes, start: Pair, *, big: bool) -> Pair:
    """Return SQLite's checksum of content whose length is a multiple of 8 bytes.

    Of pairs of words x, y it makes ``a += x + b; b += y + a``.  That is linear, so the sums of all pairs are
    taken at once, each multiplied by what the steps after it do to it.
    """
    words = np.frombuffer(content, ">u4" if big else "<u4").astype(np.uint32)
    x, both = words[::2], words[::2] + words[1::2]
    one, two, three = _powers(len(x))
    a, b = start
    first = int(np.sum(one[:-1][::-1] * x + two[:-1][::-1] * both, dtype=np.uint32))
    second = int(np.sum(two[:-1][::-1] * x + three[:-1][::-1] * both, dtype=np.uint32))
    last = int(one[-1]), int(two[-1]), int(three[-1])
    return (last[0] * a + last[1] * b + first) & _WORD, (last[1] * a + last[2] * b + second) & _WORD


@lru_cache(maxsize=4)
def _powers(steps: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
    """Powers 0 to ``steps`` of the matrix (1 1; 1 2): its first, its two equal, and its last entries."""
    entries = [(1, 0, 1)]
    for _ in range(steps):
        one, two, three = entries[-1]
        entries.append(((one + two) & _WORD, (two + three) & _WORD, (two + three * 2) & _WORD))
    columns = np.array(entries, dtype=np.uint32)
    return columns[:, 0], columns[:, 1], columns[:, 2]


def _commonest(frames: list[Frame]) -> Pair:
    found = Counter(frame.salts for frame in frames).most_common(1)
    return found[0][0] if found else (0, 0)


def page_size_in(header: bytes) -> int | None:
    """Return the page size that the first 18 bytes of a database state; None if it is not possible."""
    size = int.from_bytes(header[16:18], "big")
    return size if size >= 512 and size & (size - 1) == 0 else None  # noqa: PLR2004 - the smallest


def _known_page_size(database: Path) -> int:
    try:
        with database.open("rb") as file:
            return page_size_in(file.read(18)) or USUAL_PAGE
    except OSError:
        return USUAL_PAGE


def _indexed(index: Path, salts: Pair) -> int:
    """Return the number of frames by the index, which has its header twice; 0 if it is not usable."""
    try:
        with index.open("rb") as file:
            content = file.read(_INDEX_BYTES)
    except OSError:
        return 0
    if len(content) < _INDEX_BYTES or content[:48] != content[48:96]:
        return 0
    # In native byte order, except for the salts, which are as in the log.
    return int(struct.unpack("=I", content[16:20])[0]) if struct.unpack(">2I", content[32:40]) == salts else 0
