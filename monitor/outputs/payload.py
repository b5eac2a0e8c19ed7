"""Event payload: the one JSON shape of an event, schema 1; pure functions.

MQTT, hooks, standard output, the API, the live stream, the status and the metadata of a clip show an event
with the keys of `event_payload`.  A later version may add keys; none changes its meaning.  Times are Unix
seconds (``*_at``), lengths are seconds (``*_seconds``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime

from monitor.config import LabelConfig
from monitor.detection.near_misses import NearMiss
from monitor.system.clock_sync import ClockSync
from monitor.types import EndReason, Event

SCHEMA = 1

_DELIVERY_KEYS = ("published_at", "latency_seconds", "late")


def event_payload(event: Event, label_name: str) -> dict[str, object]:
    """Return an event, as it is known now, ready for JSON: every number is finite."""
    ended = event.ended_at is not None or event.reason is not None
    return {
        "schema": SCHEMA,
        "event_id": event.id,
        "phase": "end" if ended else "start",
        "source": event.source,
        "label": event.label,
        "label_name": label_name,
        "started_at": round(event.started_at, 3),
        "ended_at": None if event.ended_at is None else round(event.ended_at, 3),
        "duration_seconds": None if event.ended_at is None else round(event.ended_at - event.started_at, 3),
        "uncertainty_seconds": round(event.uncertainty_seconds, 3),
        "score": round(event.score, 3),
        "peak_score": round(event.peak_score, 3),
        "windows": event.windows,
        "level_dbfs": rounded_dbfs(event.level_dbfs),
        "reason": event.reason,
        "clip": event.clip,
        "clip_outcome": event.clip_outcome,
        **({"like": list(event.like)} if event.like else {}),
    }


def event_message(
    event: Event, *, node: str, label: LabelConfig, model: str, published_at: float, clock: ClockSync
) -> dict[str, object]:
    """Return an `event_payload` with what a receiver elsewhere cannot know.

    ``node`` and ``model`` are the names of this monitor and of the checkpoint, ``clock`` is how well its
    clock is synchronised; the others are those of `stamped`.
    """
    payload = event_payload(event, label.title) | {
        "event_type": event.label,  # what an event entity of Home Assistant requires
        "started_at_iso": iso(event.started_at),
        "node": node,
        "threshold": label.threshold,
        "prompt": next(iter(label.prompts), None),
        "model": model,
        **clock_payload(clock),
    }
    return stamped(payload, happened_at=happened_at(event), published_at=published_at, late=False)


def clock_payload(clock: ClockSync) -> dict[str, object]:
    """Return how well the clock is synchronised, ready for JSON."""
    error = clock.error_seconds
    return {
        "clock_synchronised": clock.synchronised,
        "clock_error_seconds": None if error is None else round(error, 6),
    }


def near_miss_payload(miss: NearMiss) -> dict[str, object]:
    """Return a near miss, ready for JSON."""
    return {
        "source": miss.source,
        "label": miss.label,
        "peak_at": round(miss.peak_at, 3),
        "peak_score": round(miss.peak_score, 3),
        "threshold": miss.threshold,
        "reason": miss.reason,
        "against": miss.against,
        "windows": miss.windows,
        "windows_needed": miss.windows_needed,
        "level_dbfs": rounded_dbfs(miss.level_dbfs),
    }


def happened_at(event: Event) -> float:
    """Return Unix seconds of the offset, or of the onset while the event lasts."""
    return event.started_at if event.ended_at is None else event.ended_at


def stamped(
    payload: Mapping[str, object], *, happened_at: float | None, published_at: float, late: bool
) -> dict[str, object]:
    """Fill in the fields of an `event_message` that depend on when it is sent.

    Parameters
    ----------
    payload : mapping
    happened_at : float or None
        Unix seconds of the onset, or of the offset for an end; None if unknown.
    published_at : float
        Unix seconds.  ``latency_seconds`` is the time since ``happened_at``; null if a recording is replayed
        faster than real time.
    late : bool
        Whether the message waited for the broker.
    """
    latency = math.nan if happened_at is None else published_at - happened_at
    return {
        **payload,
        "published_at": round(published_at, 3),
        "latency_seconds": round(latency, 3) if latency >= 0 else None,
        "late": late,
    }


def interrupted(payload: Mapping[str, object]) -> dict[str, object]:
    """Return the end, at an unknown time, of an event during which the monitor was killed."""
    return {**payload, "phase": "end", "reason": EndReason.RESTART}


def attributes_payload(payload: Mapping[str, object]) -> dict[str, object]:
    """Return an `event_message` without the keys that concern one message."""
    return {key: value for key, value in payload.items() if key not in _DELIVERY_KEYS}


def seconds_in_source(event: Event, rate: int) -> dict[str, float | None]:
    """Return onset and offset in seconds from the start of a recording; no offset while the event lasts."""
    return {
        "onset_seconds": round(event.start / rate, 3),
        "offset_seconds": None if event.stop is None else round(event.stop / rate, 3),
    }


def as_json(payload: object) -> str:
    """Return one line of JSON, with non-ASCII characters unescaped."""
    return json.dumps(payload, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def iso(at: float) -> str:
    """Return Unix seconds as ``2026-11-23T12:00:03.412Z``."""
    rounded = datetime.fromtimestamp(round(at, 3), UTC)
    return rounded.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rounded_dbfs(dbfs: float | None) -> float | None:
    """Return a level with one decimal; digital silence is None because JSON has no infinity."""
    return None if dbfs is None or not math.isfinite(dbfs) else round(dbfs, 1)
