"""Segment: one source for at most an hour, in a pair of files that are only ever appended to.

::

    NUMBER.index     64 bytes of header, then 32 bytes for each entry
    NUMBER.vectors   2 * d bytes for each scored window: its embedding in units of 1 / 32767

NUMBER is the time of the first entry in Unix nanoseconds.  An entry is a scored window, a run of windows that
were not scored, a break of the audio, or a change of the labels in force, with which each segment begins.  A
checksum covers it and its vector.  A process that is killed may leave half an entry at the end, which is not
read.  A segment names the one that it goes on from, whatever the clock did between them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from monitor.types import EndReason, GateReason, MonitorError

INDEX, VECTORS = ".index", ".vectors"
"""Suffixes of the pair."""

HOUR_NS = 3_600 * 10**9

BACK_NS = 10**9
"""A clock that goes back by more begins a new segment."""

_MAGIC = b"CLAPMEM1"
_HEADER = struct.Struct("<8sIIIIQ28xI")  # magic, dimension, rate, length, hop, after, CRC-32
HEADER_BYTES = _HEADER.size

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

MOST_DIMENSIONS = 8_192

_MOST_WINDOWS = 1_000
"""Windows of a source in a second."""

_NUMBER = 19
"""Digits of the number of a segment."""

SPEECH_FLAG = 1
"""Bit of ``flags``: the window contains speech."""

PATTERN_FLAGS = {"t3": 2, "t4": 4}
"""Bits of ``flags``: temporal patterns of alarms in the newest seconds."""

DISTANCE_SHIFT = 3
"""Bits of ``flags`` from here on: distance of an unusual window, in units of 1 / 8191; 0 of all others."""

GATES = tuple(GateReason)
BREAKS = (EndReason.GAP, EndReason.END, EndReason.SHUTDOWN)
"""Why the audio is interrupted, or the monitor was stopped."""


class MemoryFormatError(MonitorError):
    """A segment cannot be read."""


class Kind(IntEnum):
    """Kind of the entry."""

    WINDOW = 0
    """A scored window; ``count`` is the number of its vector."""
    GATED = 1
    """``count`` windows in a row that were not scored, up to this one; `GATES` has the reason."""
    BREAK = 2
    """The audio is interrupted after sample ``stop``; `BREAKS` has the reason."""
    LABELS = 3
    """These labels are in force from here on; ``stop`` is the number of their file."""


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
    after: int = 0
    """Number of the segment that this one goes on from; 0: the monitor started, or could not tell."""

    def packed(self) -> bytes:
        """Return the header as it stands in the file."""
        content = _HEADER.pack(_MAGIC, self.dimension, self.rate, self.length, self.hop, self.after, 0)[:-4]
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


def index_path(directory: Path, number: int) -> Path:
    """Return the path of the index of a segment."""
    return directory / f"{number:0{_NUMBER}d}{INDEX}"


def is_index(path: Path) -> bool:
    """Return whether a path is that of an index, by its name."""
    return path.suffix == INDEX and len(path.stem) == _NUMBER and path.stem.isascii() and path.stem.isdigit()


def pair(path: Path) -> tuple[Path, Path]:
    """Return both files of a segment, the index first."""
    return path, path.with_suffix(VECTORS)


def read_header(path: Path, content: bytes) -> Header:
    """Return the header with which the content of an index begins.

    Raises
    ------
    MemoryFormatError
        It is not the header of a segment.
    """
    if len(content) < _HEADER.size or not content.startswith(_MAGIC):
        raise MemoryFormatError(f"{path}: is not a segment of the memory")
    _, dimension, rate, length, hop, after, crc = _HEADER.unpack_from(content)
    sane = 0 < dimension <= MOST_DIMENSIONS and 0 < hop <= length and 0 < rate <= _MOST_WINDOWS * hop
    if zlib.crc32(content[: _HEADER.size - 4]) != crc or not sane:
        raise MemoryFormatError(f"{path}: its header is damaged")
    return Header(dimension, rate, length, hop, after)
