"""Segment writer: appends entries and vectors to a new segment, and waits for the disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from monitor.memory.segment import ENTRY, HEADER_BYTES, VECTORS, Entry, Header, Kind, index_path, pair
from monitor.system.atomic_file import PRIVATE, identity


class SegmentWriter:
    """Appends to a new segment; for one thread.

    Parameters
    ----------
    directory : Path
        Of the source.
    first_ns : int
        Time of the first entry; the next number that is free names the files.
    header : Header

    Raises
    ------
    OSError
        The files cannot be made; none is left.
    """

    def __init__(self, directory: Path, first_ns: int, header: Header) -> None:
        self.number = first_ns
        while any(map(os.path.lexists, pair(index_path(directory, self.number)))):
            self.number += 1
        self.index_path = index_path(directory, self.number)
        self.first_ns = first_ns
        self.last_ns = first_ns
        """Time of the newest entry."""
        self.torn = False
        """Half of the entries that could not be written may be in the files."""
        with contextlib.ExitStack() as undo:
            self._vectors = _create(self.index_path.with_suffix(VECTORS), undo)
            self._index = _create(self.index_path, undo)
            _write(self._index, header.packed())
            undo.pop_all()
        self._vector_size = 2 * header.dimension
        self._rows, self._entries = 0, 0

    @property
    def is_there(self) -> bool:
        """Whether the files still are where they were made."""
        return all(
            identity(path) == _identity_of(descriptor)
            for path, descriptor in zip(pair(self.index_path), (self._index, self._vectors), strict=True)
        )

    def append(self, entries: Sequence[Entry]) -> int:
        """Append entries and wait for the disk; return the bytes written.

        Raises
        ------
        OSError
            They cannot be written.  Use this segment no more; unless it is `torn`, none of them is in it.
        """
        packed, vectors = [], []
        rows = self._rows
        for entry in entries:
            packed.append(entry.packed(rows))
            if entry.kind == Kind.WINDOW:
                vectors.append(entry.vector)
                rows += 1
        index, content = b"".join(packed), b"".join(vectors)
        try:
            # The vectors first: an entry in the index always has its vector.
            if content:
                _write(self._vectors, content)
                os.fdatasync(self._vectors)
            _write(self._index, index)
            os.fdatasync(self._index)
        except OSError:
            self._cut()
            raise
        self._rows, self._entries = rows, self._entries + len(entries)
        self.last_ns = max(self.last_ns, *(entry.ended_ns for entry in entries))
        return len(index) + len(content)

    def close(self) -> None:
        """Close the files, and delete them if nothing is in them.

        Raises
        ------
        OSError
            The disk reports an error late.
        """
        if not self._entries and self.is_there:
            for path in pair(self.index_path):
                path.unlink(missing_ok=True)
        # Written a little at a time, it is in the cache in small pages; a search reads it in large ones.
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._vectors, 0, 0, os.POSIX_FADV_DONTNEED)
        for descriptor in (self._vectors, self._index):
            os.close(descriptor)

    def _cut(self) -> None:
        """Take what was written of the last entries out of the files."""
        try:
            os.ftruncate(self._index, HEADER_BYTES + self._entries * ENTRY.itemsize)
            os.ftruncate(self._vectors, self._rows * self._vector_size)
        except OSError:
            self.torn = True


def _create(path: Path, undo: contextlib.ExitStack) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, PRIVATE)
    undo.callback(path.unlink, missing_ok=True)
    undo.callback(os.close, descriptor)
    return descriptor


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _identity_of(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
