"""Event table: events of a fleet as Parquet, schema 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.fleet.event_feed import FleetEvent

SCHEMA = 1
"""Version of the columns, in the metadata of each file; a later version may add some."""

_MILLISECONDS = pa.timestamp("ms", tz="UTC")

COLUMNS = pa.schema(
    [
        ("node", pa.string()),
        ("source", pa.string()),
        ("event_id", pa.string()),
        ("phase", pa.string()),
        ("label", pa.string()),
        ("label_name", pa.string()),
        ("started_at", _MILLISECONDS),
        ("ended_at", _MILLISECONDS),
        ("published_at", _MILLISECONDS),
        ("received_at", _MILLISECONDS),
        ("duration_seconds", pa.float64()),
        ("uncertainty_seconds", pa.float64()),
        ("latency_seconds", pa.float64()),
        ("score", pa.float64()),
        ("peak_score", pa.float64()),
        ("threshold", pa.float64()),
        ("level_dbfs", pa.float64()),
        ("clock_error_seconds", pa.float64()),
        ("windows", pa.int32()),
        ("clock_synchronised", pa.bool_()),
        ("late", pa.bool_()),
        ("reason", pa.string()),
        ("clip", pa.string()),
        ("clip_outcome", pa.string()),
        ("prompt", pa.string()),
        ("model", pa.string()),
    ],
    metadata={"clap_monitor_fleet_events": str(SCHEMA)},
)
"""Columns with the names of the keys of an event; times are UTC."""

_LATEST = 4e9
"""Unix seconds up to which a time is one."""


def write_table(batches: Iterable[list[FleetEvent]], path: Path) -> None:
    """Write batches of events into one file; what is not of the type of its column is null.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with pq.ParquetWriter(path, COLUMNS, compression="zstd") as writer:
        for batch in batches:
            rows = [{field.name: _value(event, field) for field in COLUMNS} for event in batch]
            writer.write_table(pa.Table.from_pylist(rows, schema=COLUMNS))


def _value(event: Mapping[str, Any], field: Any) -> object:
    value, kind = event.get(field.name), field.type
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else None
    if pa.types.is_boolean(kind):
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if pa.types.is_timestamp(kind):
        return round(1000 * value) if 0 <= value <= _LATEST else None
    if pa.types.is_integer(kind):
        return int(value) if abs(value) < 2**31 else None
    return float(value)
