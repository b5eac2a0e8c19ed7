"""Event payload: an event as JSON, schema 1; pure functions.

A later version may add fields; none changes its meaning.  Times appear twice, as Unix seconds (``*_ts``)
and as ISO 8601 in UTC with milliseconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime

from monitor.config import LabelConfig
from monitor.types import EndReason, Event

SCHEMA = 1

_DELIVERY_FIELDS = ("published_ts", "latency_s", "late")


def event_payload(
    event: Event, *, node: str, label: LabelConfig, model: str, published_at: float, late: bool = False
) -> dict[str, object]:
    """Return the start (``phase`` start) or the end (``phase`` end) of an event.

    Parameters
    ----------
    event : Event
    node : str
        Name of this monitor.
    label : LabelConfig
        The label of the event.
    model : str
        Name of the checkpoint.
    published_at : float
        Unix seconds.  ``latency_s`` is the time since the onset, or since the offset for an end; null if a
        recording is replayed faster than real time.
    late : bool
        Whether the message waited for the broker.

    Returns
    -------
    dict
        Ready for JSON: every number is finite.
    """
    payload: dict[str, object] = {
        "schema": SCHEMA,
        "event_type": event.label,
        "phase": "start" if event.ended_at is None else "end",
        "event_id": event.id,
        "node": node,
        "source": event.source,
        "source_name": event.source,
        "label": label.title,
        "score": round(event.score, 3),
        "peak_score": round(event.peak, 3),
        "threshold": label.threshold,
        "prompt": label.prompts[0],
        "onset": iso(event.started_at),
        "onset_ts": round(event.started_at, 3),
        "published_ts": None,
        "latency_s": None,
        "end": None if event.ended_at is None else iso(event.ended_at),
        "duration_s": None if event.ended_at is None else round(event.ended_at - event.started_at, 3),
        "uncertainty_s": round(event.uncertainty_seconds, 3),
        "reason": event.reason,
        "windows": event.windows,
        "level_dbfs": rounded_dbfs(event.level_dbfs),
        "model": model,
        "clip": event.clip,
        "late": None,
    }
    return stamped(payload, happened_at=happened_at(event), published_at=published_at, late=late)


def happened_at(event: Event) -> float:
    """Return Unix seconds of the offset, or of the onset while the event lasts."""
    return event.started_at if event.ended_at is None else event.ended_at


def stamped(
    payload: Mapping[str, object], *, happened_at: float | None, published_at: float, late: bool
) -> dict[str, object]:
    """Fill in the fields that depend on when the message is sent.

    Parameters
    ----------
    payload : mapping
        Of `event_payload`.
    happened_at : float or None
        Unix seconds of the onset, or of the offset for an end; None if unknown.
    published_at, late
        As for `event_payload`.
    """
    latency = math.nan if happened_at is None else published_at - happened_at
    return {
        **payload,
        "published_ts": round(published_at, 3),
        "latency_s": round(latency, 3) if latency >= 0 else None,
        "late": late,
    }


def interrupted(payload: Mapping[str, object]) -> dict[str, object]:
    """Return the end, at an unknown time, of an event during which the monitor was killed."""
    return {**payload, "phase": "end", "reason": EndReason.RESTART}


def attributes_payload(payload: Mapping[str, object]) -> dict[str, object]:
    """Return an `event_payload` without the fields that concern one message."""
    return {key: value for key, value in payload.items() if key not in _DELIVERY_FIELDS}


def seconds_in_source(event: Event, rate: int) -> dict[str, float | None]:
    """Return onset and offset in seconds from the start of a recording; no offset while the event lasts."""
    return {
        "onset_seconds": round(event.start / rate, 3),
        "offset_seconds": None if event.stop is None else round(event.stop / rate, 3),
    }


def as_json(payload: Mapping[str, object]) -> str:
    """Return one line of JSON, with non-ASCII characters unescaped."""
    return json.dumps(payload, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def iso(at: float) -> str:
    """Return Unix seconds as ``2026-11-23T12:00:03.412Z``."""
    rounded = datetime.fromtimestamp(round(at, 3), UTC)
    return rounded.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rounded_dbfs(dbfs: float) -> float | None:
    """Return a level with one decimal; digital silence is None because JSON has no infinity."""
    return round(dbfs, 1) if math.isfinite(dbfs) else None
