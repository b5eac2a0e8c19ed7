"""Reader of the memory: sources, what is kept of each, and its windows in the order of time."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.detection.quantised import Rows
from monitor.memory.labels_file import SUFFIX
from monitor.memory.segment import (
    HOUR_NS,
    INDEX,
    SPEECH_FLAG,
    VECTORS,
    Header,
    Kind,
    MemoryFormatError,
    Segment,
    open_segment,
)

log = logging.getLogger(__name__)

DIRECTORY = "memory"
"""Directory in the state directory."""

_UNCONFIRMED = 64
"""Entries at the end that the disk may not have confirmed when the monitor was killed; more are damage."""

_NAME = 16
"""Digits of the hash of a checkpoint's identity, which names its directory."""


def memory_directory(state: Path, identity: str) -> Path:
    """Return the directory of one checkpoint's memory.

    Parameters
    ----------
    state : Path
        The state directory.
    identity : str
        Of the checkpoint: the embeddings of another one mean something else.
    """
    return state / DIRECTORY / hashlib.sha256(identity.encode()).hexdigest()[:_NAME]


def to_ns(at: float) -> int:
    """Return Unix seconds in nanoseconds; `to_seconds` gives the same float again."""
    whole = int(at)
    return whole * 10**9 + round((at - whole) * 1e9)


def to_seconds(ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Unix nanoseconds in seconds."""
    seconds: NDArray[np.float64] = ns // 10**9 + (ns % 10**9) / 1e9
    return seconds


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Part of a segment, at most an hour of one source."""

    source: str
    segment: Segment
    first: int
    """Place of its first entry in the segment."""
    entries: NDArray[np.void]
    """Its entries, of dtype `monitor.memory.segment.ENTRY`, shape (m,)."""
    follows: bool
    """It goes on where the last chunk ended; otherwise nothing before it counts."""

    @property
    def windows(self) -> NDArray[np.intp]:
        """Places of the scored windows among the entries, shape (n,)."""
        return np.flatnonzero(self.entries["kind"] == Kind.WINDOW)

    @property
    def ended_at(self) -> NDArray[np.float64]:
        """Unix seconds of the ends of the scored windows, shape (n,)."""
        return to_seconds(self.entries["ended_ns"][self.windows])

    @property
    def stops(self) -> NDArray[np.int64]:
        """Sample index after each scored window, shape (n,)."""
        stops: NDArray[np.int64] = self.entries["stop"][self.windows].astype(np.int64)
        return stops

    @property
    def levels(self) -> NDArray[np.float32]:
        """Level of the newest hop of each scored window in dB of full scale, shape (n,)."""
        levels: NDArray[np.float32] = self.entries["level"][self.windows].astype(np.float32)
        return levels

    @property
    def speech(self) -> NDArray[np.bool_]:
        """Which scored windows contain speech, shape (n,)."""
        speech: NDArray[np.bool_] = (self.entries["flags"][self.windows] & SPEECH_FLAG) > 0
        return speech

    @property
    def vectors(self) -> Rows:
        """Embeddings of the scored windows in units of 1 / 32767, shape (n, d), read now.

        Raises
        ------
        MemoryFormatError
            They cannot be read.
        """
        rows = self.entries["count"][self.windows]
        if not len(rows):
            return np.empty((0, self.segment.header.dimension), dtype=np.int16)
        return self.segment.vectors(int(rows[0]), int(rows[-1]) + 1)


@dataclass(frozen=True, slots=True)
class Span:
    """What is kept of a source."""

    since: float
    """Unix seconds of the first entry."""
    until: float
    """Unix seconds of the last entry."""
    bytes: int


class MemoryReader:
    """Reads the memory of one checkpoint; every call looks at the files anew, as a monitor may be running.

    Parameters
    ----------
    state : Path
        The state directory.
    identity : str
        Of the checkpoint.
    """

    def __init__(self, state: Path, identity: str) -> None:
        self.directory = memory_directory(state, identity)
        self._every = state / DIRECTORY
        self._damaged: set[Path] = set()
        self._check: Callable[[], None] = _go_on

    def checked(self, check: Callable[[], None]) -> MemoryReader:
        """Return a reader of the same files that calls ``check`` before each segment, which may raise."""
        found = copy.copy(self)
        found._check = check  # noqa: SLF001 - of the same class
        return found

    @property
    def damaged(self) -> tuple[Path, ...]:
        """Segments that could not be read so far, or only in part."""
        return tuple(sorted(self._damaged))

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources of which something is kept."""
        try:
            return tuple(
                sorted(path.name for path in self.directory.iterdir() if any(path.glob(f"*{INDEX}")))
            )
        except OSError:
            return ()

    @property
    def others(self) -> tuple[str, ...]:
        """Directories of other checkpoints; their embeddings mean something else."""
        try:
            found = sorted(path.name for path in self._every.iterdir() if any(path.glob(f"*/*{INDEX}")))
        except OSError:
            return ()
        return tuple(name for name in found if name != self.directory.name)

    def span(self, source: str) -> Span | None:
        """Return what is kept of a source; None if nothing is."""
        paths = self._paths(source)
        segments = [segment for path in (paths[:1] + paths[-1:]) if (segment := self._open(path)) is not None]
        times = [segment.entries["ended_ns"] for segment in segments if len(segment.entries)]
        if not times:
            return None
        first, last = to_seconds(np.array([min(map(np.min, times)), max(map(np.max, times))]))
        return Span(float(first), float(last), sum(map(pair_bytes, paths)))

    def chunks(self, source: str, since: float = 0.0, until: float = float("inf")) -> Iterator[Chunk]:
        """Yield what is kept of a source between two moments, in the order of time.

        Parameters
        ----------
        source : str
        since, until : float
            Unix seconds of the ends of windows.
        """
        last: Segment | None = None
        since_ns = to_ns(since)
        until_ns = to_ns(min(until, 2.0**33))
        for path in self._paths(source):
            self._check()
            number = int(path.stem)
            if number > until_ns or number + 2 * HOUR_NS < since_ns:
                last = None
                continue
            segment = self._open(path)
            if segment is None or not len(segment.entries):
                last = None
                continue
            times = segment.entries["ended_ns"]
            inside = np.flatnonzero((times >= since_ns) & (times <= until_ns))
            if not len(inside):
                last = None
                continue
            first, stop = int(inside[0]), int(inside[-1]) + 1
            follows = segment.header.follows and last is not None and first == 0
            yield Chunk(source, segment, first, segment.entries[first:stop], follows)
            last = segment

    def newest_header(self, source: str) -> Header | None:
        """Return what the windows of the newest segment of a source have in common; None without one."""
        paths = self._paths(source)
        segment = self._open(paths[-1]) if paths else None
        return None if segment is None else segment.header

    def labels_before(self, ns: int) -> int | None:
        """Return the number of the newest labels file that is not newer than a moment in Unix nanoseconds."""
        numbers = [int(path.name.removesuffix(SUFFIX)) for path in self.directory.glob(f"*{SUFFIX}")]
        return max((number for number in numbers if number <= ns), default=None)

    def _paths(self, source: str) -> list[Path]:
        return segment_paths(self.directory / source)

    def _open(self, path: Path) -> Segment | None:
        try:
            segment = open_segment(path)
        except MemoryFormatError as error:
            self._report(path, str(error))
            return None
        if segment.lost > _UNCONFIRMED:
            self._report(path, f"{path}: is damaged after {len(segment.entries)} entries")
        return segment

    def _report(self, path: Path, text: str) -> None:
        if path not in self._damaged:
            self._damaged.add(path)
            log.warning("memory: %s; what is behind it is left out", text)


def _go_on() -> None:
    """Never give up."""


def segment_paths(directory: Path) -> list[Path]:
    """Return the indices of the segments of one source, oldest first."""
    try:
        return sorted(path for path in directory.glob(f"*{INDEX}") if path.stem.isdecimal())
    except OSError:
        return []


def pair_bytes(path: Path) -> int:
    """Return the bytes of a segment; 0 if it has gone."""
    total = 0
    for each in (path, path.with_suffix(VECTORS)):
        try:
            total += each.stat().st_size
        except OSError:
            continue
    return total
