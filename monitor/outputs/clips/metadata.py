"""Clip metadata: a JSON file beside each clip."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monitor.config import LabelConfig
from monitor.outputs.payload import event_payload
from monitor.system.atomic_file import PRIVATE, write_atomic
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import Event

SCHEMA = 1

MAX_BYTES = 1_000_000
"""Limit of the file, which has a few kilobytes."""

LATEST = 1e11
"""Unix seconds, in the year 5138: later times are damage."""

_FIELDS = {"event_id": "id", "peak": "peak_score"}
"""Fields of `Event` that have another name in the JSON, now or before 0.1.0."""

_PACKAGES = ("clap-monitor", "numpy", "soundfile", "torch", "transformers")
"""Packages on which detection depends."""

_ID = re.compile("[0-9A-HJKMNP-TV-Z]{26}")
_MAX_NAME = 200
"""Characters of a name."""


def describe(event: Event, audio: Mapping[str, object], label: LabelConfig, model: str) -> dict[str, Any]:
    """Return the metadata of a clip: the event, which may not have ended, and the recorded audio."""
    return {
        "schema": SCHEMA,
        "event": event_payload(event, label.title) | {"start": event.start, "stop": event.stop},
        "audio": dict(audio),
        "label": label.model_dump(include={"id", "prompts", "against", "threshold"}),
        "model": model,
        "versions": _versions(),
        "locked": False,
    }


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


def write(path: Path, content: Mapping[str, object], *, mode: int = PRIVATE) -> int:
    """Write the file atomically; return its size."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1).encode() + b"\n"
    write_atomic(path, text, mode=mode)
    return len(text)


def read(path: Path) -> dict[str, Any]:
    """Read the file; raises as `read_json`, and a `DamagedError` if it is not a JSON object."""
    content = read_json(path, MAX_BYTES)
    if not isinstance(content, dict):
        raise DamagedError("is not a JSON object")
    return content


def event_of(content: Mapping[str, Any]) -> Event | None:
    """Return the event in the metadata; None if there is no valid one."""
    facts = content.get("event")
    if not isinstance(facts, dict):
        return None
    facts = {_FIELDS.get(name, name): value for name, value in facts.items()}
    known = {name: value for name, value in facts.items() if name in Event.__slots__}
    if known.get("level_dbfs", 0) is None:
        known["level_dbfs"] = -math.inf
    try:
        event = Event(**known)
    except TypeError:  # something is missing
        return None
    return event if _is_plausible(event) else None


def _is_plausible(event: Event) -> bool:
    """Return whether every field has a type and range that the store, the page and the broker accept."""
    times = [event.started_at] if event.ended_at is None else [event.started_at, event.ended_at]
    indices = [event.start, event.windows] if event.stop is None else [event.start, event.windows, event.stop]
    return (
        all(_is_name(word) for word in (event.id, event.source, event.label))
        and _ID.fullmatch(event.id) is not None
        and all(_is_number(at) and 0 <= at <= LATEST for at in times)
        and all(_is_number(score) and 0 <= score <= 1 for score in (event.score, event.peak_score))
        and all(isinstance(index, int) and not isinstance(index, bool) for index in indices)
        and all(_is_number(number) for number in (event.level_dbfs, event.uncertainty_seconds))
        and all(word is None or _is_name(word) for word in (event.reason, event.clip))
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME and value.isprintable()
