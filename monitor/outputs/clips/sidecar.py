"""What is known of a clip, as JSON beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from monitor.outputs.payload import iso
from monitor.types import Event
from monitor.whole import write_whole

SCHEMA = 1


def describe(event: Event, kept: Mapping[str, object], about: Mapping[str, object]) -> dict[str, Any]:
    """Say what there is to say of a clip.

    Parameters
    ----------
    event : Event
        As it was when the clip was written: a long one may not have ended.
    kept : mapping
        What of the audio is in the clip.
    about : mapping
        The model, the label, the versions.
    """
    facts = {name: value for name, value in asdict(event).items() if name != "clip"}
    if not math.isfinite(event.level_dbfs):
        facts["level_dbfs"] = None
    return {
        "schema": SCHEMA,
        "onset": iso(event.started_at),
        "event": facts,
        "kept": dict(kept),
        **about,
        "locked": False,
    }


def write(path: Path, content: Mapping[str, object]) -> int:
    """Write it, whole or not at all; return its size."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1).encode() + b"\n"
    write_whole(path, text)
    return len(text)


def read(path: Path) -> dict[str, Any]:
    """Return what stands there; nothing if it cannot be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def event_of(content: Mapping[str, Any]) -> Event | None:
    """Return the event that a sidecar tells of, None if it tells of none."""
    facts = content.get("event")
    if not isinstance(facts, dict):
        return None
    known = {name: value for name, value in facts.items() if name in Event.__slots__}
    try:
        event = Event(
            **{**known, "level_dbfs": -math.inf if known["level_dbfs"] is None else known["level_dbfs"]}
        )
        return event if _is_sound(event) else None
    except (TypeError, KeyError):
        return None


def _is_sound(event: Event) -> bool:
    numbers = (event.started_at, event.score, event.peak, event.windows, event.uncertainty_seconds)
    ended = event.ended_at is None or isinstance(event.ended_at, int | float)
    words = all(isinstance(word, str) for word in (event.id, event.source, event.label))
    return words and ended and all(isinstance(number, int | float) for number in numbers)
