"""Stored segment: what a pair of files has that can be used, whatever happened to them.

The checksums of the last entries are verified whenever a segment is opened, and all of them if anything looks
wrong.  Damaged entries are left out, the others are used.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.detection.quantised import Rows
from monitor.memory.segment import (
    BACK_NS,
    BREAKS,
    ENTRY,
    GATES,
    HEADER_BYTES,
    HOUR_NS,
    VECTORS,
    Header,
    Kind,
    MemoryFormatError,
    read_header,
)
from monitor.system.bounded_read import DamagedError, read_bytes

_TAIL, _TAIL_NS = 16, 2 * 10**9
"""The checksums of this many entries, and of this much time, at the end of a segment are verified when it is
opened: what a power cut may have left half written.  The disk has confirmed all before, twice a second."""

_LARGE_READ = 2**20
"""Bytes from which on it pays to have a file in large pages."""

_POPULATE_READ = 22
"""MADV_POPULATE_READ of Linux 5.14: an error of the file is an error of the call, and never a signal."""

_MOST_BYTES = 64 * 2**20
"""Size limit of an index: 580 entries a second."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The entries of a segment that can be used; vectors are read when they are needed."""

    path: Path
    """The index."""
    header: Header
    entries: NDArray[np.void]
    """Shape (n,), of dtype `ENTRY`; their vectors are there."""
    lost: int = 0
    """Entries that are damaged."""

    @property
    def number(self) -> int:
        """Number of the segment."""
        return int(self.path.stem)

    def vectors(self, rows: NDArray[np.integer]) -> Rows:
        """Read vectors by their numbers, shape (n, d).

        Raises
        ------
        MemoryFormatError
            They cannot be read.
        """
        if not len(rows):
            return np.empty((0, self.header.dimension), dtype=np.int16)
        first, stop = int(rows.min()), int(rows.max()) + 1
        vectors = np.empty((stop - first, self.header.dimension), dtype=np.int16)
        self.read_vectors(first, vectors)
        if np.array_equal(rows, np.arange(first, stop)):
            return vectors
        return vectors[rows.astype(np.intp) - first]

    def read_vectors(self, first: int, into: Rows) -> None:
        """Read the vectors from number ``first`` on into an array, shape (n, d).

        Raises
        ------
        MemoryFormatError
            They cannot be read.
        """
        with self._opened() as descriptor:
            if into.nbytes >= _LARGE_READ:
                _cache_in_large_pages(descriptor)
            self._read(descriptor, first, into)

    def blocks(self, first: int, stop: int, into: Rows) -> Iterator[Rows]:
        """Yield the vectors ``[first, stop)``, each time as many as fit into an array, shape (n, d).

        Raises
        ------
        MemoryFormatError
            They cannot be read.
        """
        with self._opened() as descriptor:
            if 2 * self.header.dimension * (stop - first) >= _LARGE_READ:
                _cache_in_large_pages(descriptor)
            for begin in range(first, stop, len(into)):
                part = into[: stop - begin]
                self._read(descriptor, begin, part)
                yield part

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """Open the vectors; whatever the system refuses is a `MemoryFormatError`."""
        path = self.path.with_suffix(VECTORS)
        try:
            # Without O_NONBLOCK, opening a FIFO that nobody writes to would wait for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            raise MemoryFormatError(f"{path}: {error.strerror}") from error

    def _read(self, descriptor: int, first: int, into: Rows) -> None:
        target = into.reshape(-1).data.cast("B")  # every platform is little-endian
        at = first * 2 * self.header.dimension
        while target:
            read = os.preadv(descriptor, [target], at)
            if not read:
                raise MemoryFormatError(f"{self.path.with_suffix(VECTORS)}: ends too soon")
            target, at = target[read:], at + read


def _cache_in_large_pages(descriptor: int) -> None:
    """Read a file into the cache of the system in pages of 2 MB, if it is not there and the system can.

    From these it is copied three times as fast as from those of 4 KB (benchmarks/past_week.py).
    """
    size = os.fstat(descriptor).st_size
    if _is_cached(descriptor, 0) and _is_cached(descriptor, size - 1):
        return
    with (
        contextlib.suppress(OSError, ValueError),  # an older system, or a file that has gone
        mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ) as pages,
    ):
        pages.madvise(mmap.MADV_HUGEPAGE)
        pages.madvise(_POPULATE_READ)


def _is_cached(descriptor: int, place: int) -> bool:
    """Return whether a byte can be read without the disk."""
    try:
        return os.preadv(descriptor, [bytearray(1)], place, os.RWF_NOWAIT) == 1
    except OSError:  # it is not, or this file system cannot tell
        return False


def open_segment(path: Path) -> Segment:
    """Open a segment, which a running monitor may be appending to.

    The checksums of the last entries are verified, or all of them if anything looks wrong.

    Parameters
    ----------
    path : Path
        Its index.

    Raises
    ------
    MemoryFormatError
        It is not a segment, or cannot be read.
    """
    try:
        content = read_bytes(path, _MOST_BYTES)
        vectors = path.with_suffix(VECTORS).stat()
    except DamagedError as error:
        raise MemoryFormatError(f"{path}: {error}") from error
    except OSError as error:
        raise MemoryFormatError(f"{error.filename or path}: {error.strerror}") from error
    if not stat.S_ISREG(vectors.st_mode):
        raise MemoryFormatError(f"{path.with_suffix(VECTORS)}: is not a regular file")
    header = read_header(path, content)
    count = (len(content) - HEADER_BYTES) // ENTRY.itemsize
    found = np.frombuffer(content, dtype=ENTRY, count=count, offset=HEADER_BYTES)
    possible = _possible(found, header, int(path.stem), rows=vectors.st_size // (2 * header.dimension))
    segment = Segment(path, header, found)
    if possible.all() and _in_order(found) and _intact(segment, _tail(found)).all():
        return segment
    right = np.flatnonzero(possible)
    right = right[_intact(segment, right)]
    return Segment(path, header, found[right], lost=count - len(right))


def _tail(entries: NDArray[np.void]) -> NDArray[np.intp]:
    """Return the places of the last entries."""
    times = entries["ended_ns"]
    last = np.arange(max(0, len(times) - _TAIL), len(times))
    return np.union1d(last, np.flatnonzero(times >= times[-1] - _TAIL_NS)) if len(times) else last


def _possible(entries: NDArray[np.void], header: Header, first_ns: int, *, rows: int) -> NDArray[np.bool_]:
    """Return which entries can be right, whatever their checksums say."""
    kind, reason, count = entries["kind"], entries["reason"], entries["count"]
    longest = 2 * HOUR_NS // 10**9 * header.rate // header.hop
    possible: NDArray[np.bool_] = (
        (kind <= max(Kind))
        & (entries["ended_ns"] >= first_ns - HOUR_NS)
        & (entries["ended_ns"] <= first_ns + 2 * HOUR_NS)
        & (entries["stop"] >= 0)
        & ((kind != Kind.WINDOW) | (count < rows))
        & ((kind != Kind.GATED) | ((reason < len(GATES)) & (count <= longest)))
        & ((kind != Kind.BREAK) | (reason < len(BREAKS)))
    )
    return possible


def _in_order(entries: NDArray[np.void]) -> bool:
    """Return whether times and vectors go on from each entry to the next."""
    rows = entries["count"][entries["kind"] == Kind.WINDOW]
    forth = bool((np.diff(entries["ended_ns"]) >= -BACK_NS).all())
    return forth and np.array_equal(rows, np.arange(len(rows)))


def _intact(segment: Segment, places: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which of some entries have the right checksum."""
    entries = segment.entries[places]
    windows = entries["kind"] == Kind.WINDOW
    content = memoryview(entries.tobytes())
    vectors, size = (
        memoryview(segment.vectors(entries["count"][windows]).tobytes()),
        2 * segment.header.dimension,
    )
    found = []
    for place, (is_window, expected) in enumerate(
        zip(windows.tolist(), entries["crc"].tolist(), strict=True)
    ):
        begin = place * ENTRY.itemsize
        crc = zlib.crc32(content[begin : begin + ENTRY.itemsize - 4])
        if is_window:
            crc, vectors = zlib.crc32(vectors[:size], crc), vectors[size:]
        found.append(crc == expected)
    return np.array(found, dtype=bool)
