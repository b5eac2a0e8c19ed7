"""Embeddings of one recording as a Parquet file: the entries that a memory has, in groups of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from monitor.archive.tables import Origin, metadata_of
from monitor.detection.quantised import Rows
from monitor.memory.entries import joined
from monitor.memory.segment import BREAKS, ENTRY, GATES, Entry, Header, Kind, MemoryFormatError
from monitor.system.atomic_file import flush_to_disk
from monitor.system.boundary import boundary

_GROUP = 3_600
"""Rows in a group: 4 MB at d = 512, so that little is in memory when they are written and read."""

_HEADER_KEYS = ("dimension", "rate", "length", "hop")

_CODES = {("gated", str(reason)): code for code, reason in enumerate(GATES)} | {
    ("break", str(reason)): code for code, reason in enumerate(BREAKS)
}
"""Numbers of reasons in a memory, by kind and reason."""

_TEXTS = ("file", "source", "kind", "reason")


def embeddings_schema(dimension: int) -> pa.Schema:
    """Return the columns, for embeddings of a length."""
    return pa.schema(
        [
            ("file", pa.string()),
            ("source", pa.string()),
            ("ended_at", pa.timestamp("ns", tz="UTC")),
            ("stop", pa.int64()),
            ("kind", pa.string()),
            ("reason", pa.string()),
            ("count", pa.uint32()),
            ("level_dbfs", pa.float32()),
            ("flags", pa.uint16()),
            ("embedding", pa.list_(pa.int16(), dimension)),
        ]
    )


class EmbeddingsWriter:
    """Writes the entries of one recording; the end of the context waits for the disk.

    Parameters
    ----------
    path : Path
    header : Header
        What all windows have in common.
    origin : Origin
    file, source : str
    """

    def __init__(self, path: Path, header: Header, origin: Origin, file: str, source: str) -> None:
        self._header, self._file, self._source = header, file, source
        keys = {key: getattr(header, key) for key in _HEADER_KEYS}
        schema = embeddings_schema(header.dimension).with_metadata(origin.metadata(**keys))
        self._sink = path.open("wb")
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            use_dictionary=list(_TEXTS),
            column_encoding={"embedding.list.element": "BYTE_STREAM_SPLIT"},
        )
        self._schema = schema
        self._entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Add an entry; windows in a row that were not scored for the same reason become one."""
        longer = joined(self._entries[-1], entry, self._header.hop) if self._entries else None
        if longer is not None:
            self._entries[-1] = longer
            return
        if len(self._entries) == _GROUP:
            self._write()
        self._entries.append(entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._entries:
            self._write()
        self._writer.close()
        flush_to_disk(self._sink)
        self._sink.close()

    def _write(self) -> None:
        entries, dimension = self._entries, self._header.dimension
        empty = bytes(2 * dimension)
        values = np.frombuffer(b"".join(entry.vector or empty for entry in entries), dtype="<i2")
        without = pa.array([not entry.vector for entry in entries])
        columns = {
            "file": [self._file] * len(entries),
            "source": [self._source] * len(entries),
            "ended_at": pa.array([entry.ended_ns for entry in entries], pa.int64()),
            "stop": [entry.stop for entry in entries],
            "kind": [entry.kind.name.lower() for entry in entries],
            "reason": [_reason(entry) for entry in entries],
            "count": [entry.count for entry in entries],
            "level_dbfs": np.array([entry.level for entry in entries], dtype=np.float32),
            "flags": [entry.flags for entry in entries],
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(values), dimension, mask=without),
        }
        arrays = [
            column.cast(kind) if isinstance(column, pa.Array) else pa.array(column, kind)
            for column, kind in zip(columns.values(), self._schema.types, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=_GROUP)
        self._entries = []


def _reason(entry: Entry) -> str | None:
    if entry.kind == Kind.GATED:
        return str(GATES[entry.reason])
    return str(BREAKS[entry.reason]) if entry.kind == Kind.BREAK else None


def read_groups(path: Path) -> Iterator[tuple[Header, NDArray[np.void], Rows]]:
    """Yield each group of rows: what its windows have in common, entries of dtype `ENTRY`, and vectors.

    The vectors are those of the windows, shape (n, d); ``count`` of a window is the number of its vector.

    Raises
    ------
    MemoryFormatError
        It is not such a file, or cannot be read.
    """
    if not path.is_file():  # a pipe would never end
        raise MemoryFormatError(f"{path}: is not a file")
    with boundary(MemoryFormatError, str(path)):
        file = pq.ParquetFile(path)
        known = metadata_of(file)
        header = Header(**{key: int(known[key]) for key in _HEADER_KEYS})
    if min(getattr(header, key) for key in _HEADER_KEYS) < 1:
        raise MemoryFormatError(f"{path}: has windows of length 0")
    try:
        for number in range(file.num_row_groups):
            with boundary(MemoryFormatError, str(path)):
                found = _entries(file.read_row_group(number), header.dimension)
            yield header, *found
    finally:
        file.close()


def _entries(table: pa.Table, dimension: int) -> tuple[NDArray[np.void], Rows]:
    entries = np.zeros(len(table), dtype=ENTRY)
    entries["ended_ns"] = table["ended_at"].cast(pa.int64()).to_numpy()
    for name in ("stop", "flags", "count"):
        entries[name] = table[name].to_numpy()
    entries["level"] = table["level_dbfs"].to_numpy()
    kinds, reasons = table["kind"].to_pylist(), table["reason"].to_pylist()
    entries["kind"] = [Kind[kind.upper()] for kind in kinds]
    codes = [_CODES.get((kind, reason), 0) for kind, reason in zip(kinds, reasons, strict=True)]
    entries["reason"] = codes
    vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, dimension)
    windows = entries["kind"] == Kind.WINDOW
    entries["count"][windows] = np.arange(int(windows.sum()))
    return entries, vectors
