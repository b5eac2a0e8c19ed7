"""Archive reader: the embeddings of a scan, read like the memory of a monitor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from monitor.archive.embeddings_file import read_groups
from monitor.archive.results import read_about
from monitor.archive.tables import EMBEDDINGS_TABLE, EVENTS_TABLE, FILES, FILES_TABLE
from monitor.detection.engine import Engine
from monitor.detection.quantised import Rows
from monitor.memory.memory_reader import Chunk, MemoryReader, Span, to_ns
from monitor.memory.replay_diff import Firing
from monitor.memory.segment import Header, MemoryFormatError
from monitor.memory.stored_segment import Segment
from monitor.system.boundary import boundary
from monitor.types import ConfigError

MOST_WINDOWS = 2_000_000
"""Of a `period`: a search needs 24 bytes for each."""

_ROUNDING_SECONDS = 1e-3
"""A window's end in whole nanoseconds less its length may lie this much before the start of its recording."""

_INDEX = ("source", "part", "file", "started_at", "seconds", "windows")
_INDEX_SCHEMA = pa.schema([FILES.field(name) for name in _INDEX])

_PART = r"^[\w-]+$"
"""Name of a part: no path."""


@dataclass(frozen=True, slots=True, eq=False)
class _Group(Segment):
    """Entries and vectors that were read from a group of rows."""

    held: Rows | None = None

    def vectors(self, rows: NDArray[np.integer]) -> Rows:
        """Return vectors by their numbers, shape (n, d)."""
        return self._held[rows.astype(np.intp)]

    def read_vectors(self, first: int, into: Rows) -> None:
        """Copy the vectors from number ``first`` on into an array, shape (n, d)."""
        into[:] = self._held[first : first + len(into)]

    def blocks(self, first: int, stop: int, into: Rows) -> Iterator[Rows]:
        """Yield the vectors ``[first, stop)``, as many at once as would fit into an array."""
        for begin in range(first, stop, len(into)):
            yield self._held[begin : min(stop, begin + len(into))]

    @property
    def _held(self) -> Rows:
        assert self.held is not None  # noqa: S101 - always given
        return self.held


class ArchiveReader(MemoryReader):
    """Reads the results of `clap-monitor scan --embeddings`, of which one group of rows is in memory.

    Parameters
    ----------
    folder : Path
        The results.
    identity : str
        Of the checkpoint.

    Raises
    ------
    ConfigError
        There are no embeddings of this checkpoint.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        super().__init__(folder, identity)
        self.directory = folder / EMBEDDINGS_TABLE
        about = read_about(folder)
        if about is None or not about.get("embeddings"):
            raise ConfigError(
                f"--archive: {folder} has no embeddings: they are written by scan --embeddings --out"
            )
        if about.get("identity") != identity:
            raise ConfigError(
                f"--archive: {folder} has embeddings of another checkpoint: {about.get('model')}"
            )
        with boundary(ConfigError, f"--archive: {folder / FILES_TABLE}"):
            table = pq.read_table(folder / FILES_TABLE, columns=list(_INDEX)).drop_null().cast(_INDEX_SCHEMA)
            usable = pc.and_(pc.greater(table["windows"], 0), pc.match_substring_regex(table["part"], _PART))
            order = [("source", "ascending"), ("started_at", "ascending"), ("file", "ascending")]
            self._index = table.filter(usable).sort_by(order)
        self._folder, self._dimension = folder, 0

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that have windows."""
        return tuple(sorted(pc.unique(self._index["source"]).to_pylist()))

    @property
    def others(self) -> tuple[str, ...]:
        """None: results are of one checkpoint."""
        return ()

    def span(self, source: str) -> Span | None:
        """Return from when to when there are recordings of a source; None if there are none."""
        begins, ends, parts = self._recordings(source)
        if not len(parts):
            return None
        return Span(float(begins.min()), float(ends.max()), sum(map(_bytes, map(self._path, parts))))

    def chunks(self, source: str, since: float = 0.0, until: float = float("inf")) -> Iterator[Chunk]:
        """Yield what there is of a source between two moments, recording by recording.

        Parameters
        ----------
        source : str
        since, until : float
            Unix seconds of the ends of windows.
        """
        begins, ends, parts = self._recordings(source)
        since_ns, until_ns = to_ns(since), to_ns(min(until, 2.0**33))
        for place in np.flatnonzero((ends >= since - 1) & (begins <= until)).tolist():
            self._check()
            follows = False
            for segment in self._groups(self._path(parts[place])):
                times = segment.entries["ended_ns"]
                inside = np.flatnonzero((times >= since_ns) & (times <= until_ns))
                if len(inside):
                    first, stop = int(inside[0]), int(inside[-1]) + 1
                    yield Chunk(source, segment, first, segment.entries[first:stop], follows and first == 0)
                follows = bool(len(inside))

    def newest_header(self, source: str) -> Header | None:
        """Return what the windows of the newest recording of a source have in common; None without one."""
        parts = self._recordings(source)[2]
        return next(
            (segment.header for part in parts[-1:] for segment in self._groups(self._path(part))), None
        )

    def as_scanned(self, engine: Engine) -> Engine:
        """Return an engine with the windows of the scan, whatever the configuration has now."""
        self._dimension = engine.model.dimension
        header = next(filter(None, map(self.newest_header, self.sources)), None)
        return engine if header is None else replace(engine, length=header.length, hop=header.hop, hops={})

    def periods(self, source: str, since: float) -> list[tuple[float, float]]:
        """Return stretches of time with about `MOST_WINDOWS` windows each, which hold all since a moment."""
        rows = self._index.filter(pc.equal(self._index["source"], source))
        begins, ends, _ = self._recordings(source)
        number = np.cumsum(rows["windows"].to_numpy()) // MOST_WINDOWS
        edges = [float(begins[place]) for place in np.flatnonzero(np.diff(number, prepend=-1))]
        found = [*zip(edges, [*edges[1:], float(ends.max(initial=0.0)) + 1], strict=True)]
        return [(max(begin, since), end) for begin, end in found if end > since]

    def place(self, source: str, at: float) -> tuple[str, float] | None:
        """Return the recording of a moment, and the seconds from its beginning; None if there is none."""
        begins, ends, _ = self._recordings(source)
        places = np.flatnonzero((begins - _ROUNDING_SECONDS <= at) & (at <= ends + 1))
        if not len(places):
            return None
        rows = self._index.filter(pc.equal(self._index["source"], source))
        place = int(places[-1])
        return str(rows["file"][place].as_py()), max(0.0, at - float(begins[place]))

    def firings(self, since: float, source: str | None = None) -> list[Firing]:
        """Return the events of the scan that began since a moment."""
        with boundary(ConfigError, f"--archive: {self._folder / EVENTS_TABLE}"):
            columns = ["started_at", "ended_at", "source", "label", "peak_score"]
            table = pq.read_table(self._folder / EVENTS_TABLE, columns=columns)
        rows: list[dict[str, Any]] = table.to_pylist()
        return [
            Firing(
                row["started_at"].timestamp(),
                row["ended_at"].timestamp(),
                row["source"],
                row["label"],
                row["peak_score"],
            )
            for row in rows
            if row["started_at"].timestamp() >= since and source in {None, row["source"]}
        ]

    def _recordings(self, source: str) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
        """Return begins, ends and parts of the recordings of a source, in the order of time."""
        rows = self._index.filter(pc.equal(self._index["source"], source))
        begins = rows["started_at"].cast(pa.int64()).to_numpy() / 1000
        return begins, begins + rows["seconds"].to_numpy(), rows["part"].to_pylist()

    def _path(self, part: str) -> Path:
        return self.directory / f"{part}.parquet"

    def _groups(self, path: Path) -> Iterator[_Group]:
        try:
            for header, entries, vectors in read_groups(path):
                if self._dimension not in {0, header.dimension}:
                    self.report(path, f"{path}: has embeddings of another length")
                    return
                yield _Group(path, header, entries, held=vectors)
        except MemoryFormatError as error:
            self.report(path, error)


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
