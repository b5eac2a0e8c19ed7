"""Segment: one source for at most an hour, in a pair of files that are only ever appended to.

::

    NUMBER.index     64 bytes of header, then 32 bytes for each entry
    NUMBER.vectors   2 * d bytes for each scored window: its embedding in units of 1 / 32767

NUMBER is the time of the first entry in Unix nanoseconds.  An entry is a scored window, a run of windows that
were not scored, a break of the audio, or a change of the labels in force.  A checksum covers
it and its vector.  A process that is killed may leave half an entry at the end: a reader stops at the last
whole one.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.detection.quantised import Rows
from monitor.system.atomic_file import PRIVATE
from monitor.types import BreakReason, GateReason, MonitorError

INDEX, VECTORS = ".index", ".vectors"
"""Suffixes of the pair."""

HOUR_NS = 3_600 * 10**9

_MAGIC = b"CLAPMEM1"
_HEADER = struct.Struct("<8sIIIIB35xI")  # magic, dimension, rate, length, hop, follows, CRC-32
_ENTRY = struct.Struct("<qqfBBHI")  # without the CRC-32 that ends it

ENTRY = np.dtype(
    [
        ("ended_ns", "<i8"),
        ("stop", "<i8"),
        ("level", "<f4"),
        ("kind", "u1"),
        ("reason", "u1"),
        ("flags", "<u2"),
        ("count", "<u4"),
        ("crc", "<u4"),
    ]
)
"""One entry of an index; see `Entry`."""

_TAIL = 64
"""Entries at the end of a segment whose checksums are verified when it is opened: those that a power cut may
have left half written.  The disk has confirmed all before."""

MOST_DIMENSIONS = 8_192

SPEECH_FLAG = 1
"""Bit of ``flags``: the window contains speech."""

PATTERN_FLAGS = {"t3": 2, "t4": 4}
"""Bits of ``flags``: temporal patterns of alarms in the newest seconds."""

GATES = tuple(GateReason)
BREAKS = tuple(BreakReason)


class MemoryFormatError(MonitorError):
    """A segment cannot be read."""


class Kind(IntEnum):
    """What an entry is."""

    WINDOW = 0
    """A scored window; ``count`` is the number of its vector."""
    GATED = 1
    """``count`` windows in a row that were not scored, up to this one; `GATES` has the reason."""
    BREAK = 2
    """The audio is interrupted after sample ``stop``; `BREAKS` has the reason."""
    LABELS = 3
    """Other labels are in force from here on; ``stop`` is the number of their file."""


@dataclass(frozen=True, slots=True)
class Header:
    """What all windows of a segment have in common."""

    dimension: int
    """Numbers in an embedding."""
    rate: int
    """Samples per second."""
    length: int
    """Samples in a window."""
    hop: int
    """Samples from one window to the next."""
    follows: bool = False
    """The segment goes on where the one before ends; otherwise the monitor started, or its clock was set."""

    def packed(self) -> bytes:
        """Return the header as it stands in the file."""
        content = _HEADER.pack(_MAGIC, self.dimension, self.rate, self.length, self.hop, self.follows, 0)[:-4]
        return content + struct.pack("<I", zlib.crc32(content))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, as it is appended."""

    ended_ns: int
    """Unix nanoseconds when its last sample was captured."""
    stop: int
    """Sample index after the last sample of the window."""
    kind: Kind = Kind.WINDOW
    level: float = 0.0
    """RMS of the newest hop in dB of full scale."""
    reason: int = 0
    flags: int = 0
    count: int = 1
    vector: bytes = b""
    """Embedding of a scored window."""

    def packed(self, row: int) -> bytes:
        """Return the entry as it stands in the file; ``row`` is the number of its vector."""
        count = row if self.kind == Kind.WINDOW else self.count
        content = _ENTRY.pack(self.ended_ns, self.stop, self.level, self.kind, self.reason, self.flags, count)
        return content + struct.pack("<I", zlib.crc32(self.vector, zlib.crc32(content)))


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
        The files cannot be made.
    """

    def __init__(self, directory: Path, first_ns: int, header: Header) -> None:
        number = first_ns
        while (directory / f"{number:019d}{INDEX}").exists():
            number += 1
        self.index_path = directory / f"{number:019d}{INDEX}"
        self.first_ns = first_ns
        self.last_ns = first_ns
        """Time of the newest entry."""
        self.header = header
        self._vectors = _create(self.index_path.with_suffix(VECTORS))
        try:
            self._index = _create(self.index_path)
        except OSError:
            os.close(self._vectors)
            raise
        self._rows = 0
        self._write(self._index, header.packed())

    def append(self, entries: Sequence[Entry]) -> int:
        """Append entries and wait for the disk; return the bytes written.

        Raises
        ------
        OSError
            They cannot be written whole; use this segment no more.
        """
        packed, vectors = [], []
        for entry in entries:
            packed.append(entry.packed(self._rows))
            if entry.kind == Kind.WINDOW:
                vectors.append(entry.vector)
                self._rows += 1
        index, rows = b"".join(packed), b"".join(vectors)
        # The vectors first: an entry in the index always has its vector.
        if rows:
            self._write(self._vectors, rows)
            os.fdatasync(self._vectors)
        self._write(self._index, index)
        os.fdatasync(self._index)
        self.last_ns = max(self.last_ns, *(entry.ended_ns for entry in entries))
        return len(index) + len(rows)

    def close(self) -> None:
        """Close the files."""
        os.close(self._vectors)
        os.close(self._index)

    @staticmethod
    def _write(descriptor: int, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, PRIVATE)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The whole entries of a segment; vectors are read when they are needed."""

    path: Path
    """The index."""
    header: Header
    entries: NDArray[np.void]
    """Shape (n,), of dtype `ENTRY`; their vectors are there."""
    lost: int = 0
    """Entries behind the last one that can be used."""

    def vectors(self, first: int, stop: int) -> Rows:
        """Read the vectors ``[first, stop)``.

        Raises
        ------
        MemoryFormatError
            They cannot be read.
        """
        size = 2 * self.header.dimension
        rows = np.empty(
            (stop - first, self.header.dimension), dtype=np.int16
        )  # every platform is little-endian
        target = rows.reshape(-1).data.cast("B")
        try:
            with self.path.with_suffix(VECTORS).open("rb", buffering=0) as file:
                file.seek(first * size)
                while target:
                    read = file.readinto(target)
                    if not read:
                        raise MemoryFormatError(f"{self.path}: its vectors end too soon")
                    target = target[read:]
        except OSError as error:
            raise MemoryFormatError(f"{self.path}: {error.strerror}") from error
        return rows

    def intact(self, first: int, stop: int) -> NDArray[np.bool_]:
        """Return for each of the entries ``[first, stop)`` whether its checksum is right.

        Raises
        ------
        MemoryFormatError
            Their vectors cannot be read.
        """
        entries = self.entries[first:stop]
        rows = entries["count"][entries["kind"] == Kind.WINDOW]
        vectors = iter(self.vectors(int(rows[0]), int(rows[-1]) + 1) if len(rows) else ())
        found = np.zeros(len(entries), dtype=bool)
        for place, entry in enumerate(entries):
            vector = next(vectors).tobytes() if entry["kind"] == Kind.WINDOW else b""
            found[place] = zlib.crc32(vector, zlib.crc32(entry.tobytes()[:-4])) == int(entry["crc"])
        return found


def open_segment(path: Path) -> Segment:
    """Open a segment, which a running monitor may be appending to.

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
        content = path.read_bytes()
        rows_size = path.with_suffix(VECTORS).stat().st_size
    except OSError as error:
        raise MemoryFormatError(f"{path}: {error.strerror}") from error
    header = _header(path, content)
    body = content[_HEADER.size :]
    found = np.frombuffer(body[: len(body) // ENTRY.itemsize * ENTRY.itemsize], dtype=ENTRY)
    plausible = _plausible(found, int(path.stem), rows_size // (2 * header.dimension))
    tail = max(0, plausible - _TAIL)
    intact = Segment(path, header, found[:plausible]).intact(tail, plausible)
    whole = plausible if intact.all() else tail + int(np.argmin(intact))
    return Segment(path, header, found[:whole], lost=len(found) - whole)


def _header(path: Path, content: bytes) -> Header:
    if len(content) < _HEADER.size or not content.startswith(_MAGIC):
        raise MemoryFormatError(f"{path}: is not a segment of the memory")
    _, dimension, rate, length, hop, follows, crc = _HEADER.unpack_from(content)
    sane = 0 < dimension <= MOST_DIMENSIONS and rate > 0 and 0 < hop <= length
    if zlib.crc32(content[: _HEADER.size - 4]) != crc or not sane:
        raise MemoryFormatError(f"{path}: its header is damaged")
    return Header(dimension, rate, length, hop, follows=bool(follows))


def _plausible(entries: NDArray[np.void], first_ns: int, rows: int) -> int:
    """Return how many entries from the first on can be right, whatever their checksums say."""
    windows = entries["kind"] == Kind.WINDOW
    expected = np.cumsum(windows) - 1
    right = (
        (entries["kind"] <= max(Kind))
        & (entries["ended_ns"] >= first_ns - HOUR_NS)
        & (entries["ended_ns"] <= first_ns + 2 * HOUR_NS)
        & (~windows | ((entries["count"] == expected) & (expected < rows)))
        & (entries["stop"] >= 0)
        & ((entries["kind"] != Kind.GATED) | (entries["reason"] < len(GATES)))
        & ((entries["kind"] != Kind.BREAK) | (entries["reason"] < len(BREAKS)))
    )
    return len(entries) if right.all() else int(np.argmin(right))
