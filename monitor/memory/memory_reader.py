"""Reader of the memory: sources, what is kept of each, and its windows in the order of time."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.detection.quantised import Rows
from monitor.memory.segment import (
    HOUR_NS,
    INDEX,
    SPEECH_FLAG,
    Header,
    Kind,
    MemoryFormatError,
    is_index,
    pair,
)
from monitor.memory.stored_segment import Segment, open_segment

log = logging.getLogger(__name__)

DIRECTORY = "memory"
"""Directory in the state directory."""

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
    whole = ns // 10**9
    return whole + (ns - whole * 10**9) / 1e9


@dataclass(frozen=True, eq=False)
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
    def labels_before(self) -> int | None:
        """Number of the labels file in force before its first entry; None if its segment begins with it."""
        before = self.segment.entries[: self.first]
        numbers = before["stop"][before["kind"] == Kind.LABELS]
        return int(numbers[-1]) if len(numbers) else None

    @cached_property
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
        return self.entries["stop"][self.windows].astype(np.int64)

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
        return self.segment.vectors(self._rows)

    def blocks(self, into: Rows) -> Iterator[Rows]:
        """Yield `vectors`, each time as many as fit into an array, shape (n, d), which is used again.

        Raises
        ------
        MemoryFormatError
            They cannot be read.
        """
        rows = self._rows
        if not len(rows) or int(rows[-1]) - int(rows[0]) != len(rows) - 1:  # some are missing between
            yield from np.split(self.vectors, range(len(into), len(rows), len(into)))
            return
        yield from self.segment.blocks(int(rows[0]), int(rows[-1]) + 1, into)

    @cached_property
    def _rows(self) -> NDArray[np.uint32]:
        """Numbers of the vectors."""
        rows: NDArray[np.uint32] = self.entries["count"][self.windows]
        return rows


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
        """Names of the sources that have a memory."""
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
        """Return the memory of a source; None if there is none."""
        paths = self._paths(source)
        oldest, newest = self._times(paths), self._times(reversed(paths))
        if oldest is None or newest is None:
            return None
        first, last = to_seconds(np.array([oldest.min(), newest.max()]))
        return Span(float(first), float(last), sum(map(pair_bytes, paths)))

    def _times(self, paths: Iterable[Path]) -> NDArray[np.int64] | None:
        """Return the times in the first of some segments that has any."""
        for path in paths:
            segment = self._open(path)
            if segment is not None and len(segment.entries):
                times: NDArray[np.int64] = segment.entries["ended_ns"]
                return times
        return None

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
                continue
            segment = self._open(path)
            if segment is None:
                continue
            times = segment.entries["ended_ns"].copy()
            inside = np.flatnonzero((times >= since_ns) & (times <= until_ns))
            if not len(inside):
                continue
            first, stop = int(inside[0]), int(inside[-1]) + 1
            follows = last is not None and segment.header.after == last.number and first == 0
            yield Chunk(source, segment, first, segment.entries[first:stop], follows)
            last = segment

    def periods(self, source: str, since: float) -> list[tuple[float, float]]:  # noqa: ARG002 - of an archive
        """Return stretches of time to look at one after the other: all since a moment, in Unix seconds."""
        return [(since, float("inf"))]

    def place(self, source: str, at: float) -> tuple[str, float] | None:  # noqa: ARG002 - of an archive
        """Return the recording of a moment, and its seconds in it; None: a memory has no recordings."""
        return None

    def newest_header(self, source: str) -> Header | None:
        """Return what the windows of the newest segment of a source have in common; None without one."""
        segments = map(self._open, reversed(self._paths(source)))
        return next((segment.header for segment in segments if segment is not None), None)

    def _paths(self, source: str) -> list[Path]:
        return segment_paths(self.directory / source)

    def _open(self, path: Path) -> Segment | None:
        try:
            segment = open_segment(path)
        except MemoryFormatError as error:
            self.report(path, error)
            return None
        if segment.lost:
            self.report(path, f"{path}: {segment.lost} of its entries are damaged")
        return segment

    def report(self, path: Path, reason: object) -> None:
        """Log, once for each segment, why it cannot be read, or not all of it."""
        if path not in self._damaged:
            self._damaged.add(path)
            log.warning("memory: %s; the rest is used", reason)


def _go_on() -> None:
    """Never give up."""


def segment_paths(directory: Path) -> list[Path]:
    """Return the indices of the segments of one source, oldest first."""
    try:
        return sorted(filter(is_index, directory.glob(f"*{INDEX}")))
    except OSError:
        return []


def pair_bytes(path: Path) -> int:
    """Return the bytes of a segment; 0 if it has gone."""
    total = 0
    for each in pair(path):
        try:
            total += each.stat().st_size
        except OSError:
            continue
    return total
