"""What is said about an event, and under which topic; pure functions.

The JSON is schema 1: a field may be added to it, none changes its meaning.  Times are given twice, as
Unix seconds (``*_ts``) and as ISO 8601 in UTC with milliseconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from monitor.audio.source_status import Health
from monitor.config import LabelConfig
from monitor.types import Event

SCHEMA = 1

TRIGGER = "detected"
"""All that a trigger says."""

_OVERLOADED = "windows are left out: the model is slower than the hop"
_OF_ONE_MESSAGE = ("published_ts", "latency_s", "late")


@dataclass(frozen=True, slots=True)
class Topics:
    """Where one node says what, below the base topic."""

    base: str
    node: str

    def status(self) -> str:
        """Whether the monitor runs: online or offline, retained, also its last will."""
        return f"{self.base}/{self.node}/status"

    def source_status(self, source: str) -> str:
        """Whether a source hears anything: online or offline, retained."""
        return f"{self.base}/{self.node}/{source}/status"

    def event(self, source: str) -> str:
        """Every start and every end, as JSON; never retained."""
        return f"{self.base}/{self.node}/{source}/event"

    def state(self, source: str, label: str) -> str:
        """ON while an event of this label lasts, else OFF; retained."""
        return f"{self.event(source)}/{label}/state"

    def attributes(self, source: str, label: str) -> str:
        """JSON of the newest event of this label; retained."""
        return f"{self.event(source)}/{label}/attributes"

    def level(self, source: str) -> str:
        """JSON with the level, at most once a second; not retained."""
        return f"{self.base}/{self.node}/{source}/level"

    def trigger(self, source: str, label: str) -> str:
        """A word when an event of this label starts; never retained, and never late."""
        return f"{self.event(source)}/{label}/trigger"

    def source_health(self, source: str) -> str:
        """JSON of what is wrong with a source; retained."""
        return f"{self.base}/{self.node}/{source}/health"

    def warning(self, source: str) -> str:
        """JSON when something begins to be wrong with a source, and when it is over; never retained."""
        return f"{self.base}/{self.node}/{source}/warning"

    def health(self) -> str:
        """JSON of what is wrong with the way to the broker; retained."""
        return f"{self.base}/{self.node}/health"

    def armed(self) -> str:
        """ON while it listens at all, else OFF; retained."""
        return f"{self.base}/{self.node}/armed/state"

    def arm(self) -> str:
        """Where ON and OFF are said to it."""
        return f"{self.base}/{self.node}/armed/set"

    def threshold(self, source: str, label: str) -> str:
        """Score from which a label counts as heard at a source; retained."""
        return f"{self.base}/{self.node}/{source}/threshold/{label}"

    def set_threshold(self, source: str, label: str) -> str:
        """Where another one is said to it."""
        return f"{self.threshold(source, label)}/set"

    def labels(self) -> str:
        """JSON list of all labels; retained."""
        return f"{self.base}/{self.node}/labels"

    def put_label(self) -> str:
        """Where a label is said to it, to be added, changed or removed."""
        return f"{self.labels()}/set"

    def refused(self) -> str:
        """JSON of a command that was refused: its topic and why; never retained."""
        return f"{self.base}/{self.node}/refused"

    def score(self, source: str, label: str) -> str:
        """Newest score of a label, when it moves; not retained."""
        return f"{self.base}/{self.node}/{source}/score/{label}"

    def last(self, source: str) -> str:
        """JSON of the event of a source that started last; retained."""
        return f"{self.base}/{self.node}/{source}/last"

    def commands(self) -> tuple[str, ...]:
        """Filters of everything that may be said to it."""
        return self.arm(), self.set_threshold("+", "+"), self.put_label()

    def retained(self, labels: Mapping[str, Iterable[str]]) -> set[str]:
        """Everything of a node that the broker keeps, given the labels of each source."""
        kept = {self.status(), self.health(), self.armed(), self.labels()}
        for source in labels:
            kept |= {self.source_status(source), self.source_health(source), self.last(source)}
            for label in labels[source]:
                kept |= {self.state(source, label), self.attributes(source, label)}
                kept.add(self.threshold(source, label))
        return kept


def event_payload(
    event: Event, *, node: str, label: LabelConfig, model: str, published_at: float, late: bool = False
) -> dict[str, object]:
    """Say what there is to say when an event starts (``phase`` start) or ends (``phase`` end).

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
        Unix seconds; ``latency_s`` is the time from the onset, or at the end from the offset, until
        then, and null for a recording that is replayed faster than it was recorded.
    late : bool
        It waited for the broker.

    Returns
    -------
    dict
        Ready for JSON: no value in it is infinite or not a number.
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
        "level_dbfs": _level(event.level_dbfs),
        "model": model,
        "clip": event.clip,
        "late": None,
    }
    return stamped(payload, happened_at=newest_moment(event), published_at=published_at, late=late)


def newest_moment(event: Event) -> float:
    """Unix seconds of what is told of an event: of its offset, or of its onset while it lasts."""
    return event.started_at if event.ended_at is None else event.ended_at


def stamped(
    payload: Mapping[str, object], *, happened_at: float | None, published_at: float, late: bool
) -> dict[str, object]:
    """Say of an event what depends on when it is sent; all else stays as it is.

    Parameters
    ----------
    payload : mapping
        Of `event_payload`.
    happened_at : float or None
        Unix seconds of the onset, or at the end of the offset; None if that is not known.
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


def broken_off(payload: Mapping[str, object]) -> dict[str, object]:
    """Say that an event is over of which nobody knows when it ended: the monitor was killed meanwhile."""
    return {**payload, "phase": "end", "reason": "restart"}


def attributes_payload(payload: Mapping[str, object]) -> dict[str, object]:
    """Say what stays known of an event: its `event_payload` without what concerns one message."""
    return {key: value for key, value in payload.items() if key not in _OF_ONE_MESSAGE}


def seconds_in_source(event: Event, rate: int) -> dict[str, float | None]:
    """Where an event lies in a recording, in seconds from its start; no offset while it lasts."""
    return {
        "onset_seconds": round(event.start / rate, 3),
        "offset_seconds": None if event.stop is None else round(event.stop / rate, 3),
    }


def refused_payload(topic: str, why: str) -> dict[str, object]:
    """Say which command was refused, and why."""
    return {"topic": topic, "reason": why}


def level_payload(dbfs: float) -> dict[str, float | None]:
    """Level in dB of full scale; digital silence is null, for JSON has no infinity."""
    return {"dbfs": _level(dbfs)}


def health_payload(health: Health) -> dict[str, object]:
    """What is wrong with a source, and what that has cost."""
    return {
        "deaf": health.deaf is not None,
        "reason": health.deaf,
        "overloaded": health.overloaded,
        "dropped_seconds": round(health.dropped_seconds, 1),
    }


def warning_payloads(
    before: Health, after: Health, *, node: str, source: str, at: float
) -> list[dict[str, object]]:
    """What began to be wrong with a source (``phase`` start), and what is over (``phase`` end).

    Parameters
    ----------
    before, after : Health
    node, source : str
    at : float
        Unix seconds.
    """
    wrong = {
        "deaf": (before.deaf is not None, after.deaf is not None, after.deaf),
        "overloaded": (before.overloaded, after.overloaded, _OVERLOADED),
    }
    return [
        {
            "schema": SCHEMA,
            "warning": name,
            "phase": "start" if is_wrong else "end",
            "node": node,
            "source": source,
            "at": iso(at),
            "reason": reason if is_wrong else None,
            "dropped_seconds": round(after.dropped_seconds, 1),
        }
        for name, (was_wrong, is_wrong, reason) in wrong.items()
        if was_wrong != is_wrong
    ]


def as_json(payload: Mapping[str, object]) -> str:
    """One line of JSON, letters of every language as they are."""
    return json.dumps(payload, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def iso(at: float) -> str:
    """Unix seconds as ``2026-11-23T12:00:03.412Z``."""
    rounded = datetime.fromtimestamp(round(at, 3), UTC)
    return rounded.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level(dbfs: float) -> float | None:
    return round(dbfs, 1) if math.isfinite(dbfs) else None
