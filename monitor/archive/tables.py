"""Tables of a scan: the columns of its Parquet files, schema 1.

A later version may add columns; none changes its meaning.  Times are UTC; docs/scan.md explains the columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from monitor import __version__
from monitor.system.atomic_file import flush_to_disk

SCHEMA = 1

_KEY = "clap_monitor."
"""Before each key in the metadata of a file."""

EVENTS_TABLE, FILES_TABLE, EMBEDDINGS_TABLE = "events", "files", "embeddings"
TABLES = EMBEDDINGS_TABLE, EVENTS_TABLE, FILES_TABLE
"""Folders of the results, in the order in which a part is put there: with its report it is done."""

WHOLE, PARTLY, FAILED = "whole", "partly", "failed"
"""Outcomes of a recording: read to its end; read in part; nothing of it could be read."""

MILLISECONDS = pa.timestamp("ms", tz="UTC")

EVENTS = pa.schema(
    [
        ("file", pa.string()),
        ("source", pa.string()),
        ("label", pa.string()),
        ("label_name", pa.string()),
        ("started_at", MILLISECONDS),
        ("ended_at", MILLISECONDS),
        ("onset_seconds", pa.float64()),
        ("offset_seconds", pa.float64()),
        ("uncertainty_seconds", pa.float64()),
        ("score", pa.float64()),
        ("peak_score", pa.float64()),
        ("threshold", pa.float64()),
        ("windows", pa.int32()),
        ("level_dbfs", pa.float64()),
        ("reason", pa.string()),
    ]
)

FILES = pa.schema(
    [
        ("file", pa.string()),
        ("source", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("started_at", MILLISECONDS),
        ("time_from", pa.string()),
        ("seconds", pa.float64()),
        ("lost_seconds", pa.float64()),
        ("windows", pa.int64()),
        ("scored", pa.int64()),
        ("events", pa.int64()),
        ("size_bytes", pa.int64()),
        ("part", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Origin:
    """What all rows of a file of results come from."""

    model: str
    """Name of the checkpoint."""
    identity: str
    """Text that changes with the checkpoint."""
    settings: str
    """Hash of the labels, the windows and all else that decides about the results."""

    def metadata(self, **more: object) -> dict[str, str]:
        """Return the metadata of a Parquet file."""
        known = {"schema": SCHEMA, "version": __version__, "model": self.model, "identity": self.identity}
        return {
            f"{_KEY}{key}": str(value) for key, value in {**known, "settings": self.settings, **more}.items()
        }


def metadata_of(file: pq.ParquetFile) -> dict[str, str]:
    """Return our own metadata of a Parquet file, without what stands before each key."""
    found = file.schema_arrow.metadata or {}
    texts = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in found.items()}
    return {key.removeprefix(_KEY): text for key, text in texts.items() if key.startswith(_KEY)}


def write_rows(path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]], origin: Origin) -> None:
    """Write a whole Parquet file, and wait for the disk."""
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema.with_metadata(origin.metadata()))
    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        flush_to_disk(file)
