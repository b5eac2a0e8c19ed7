"""Node information: what a monitor is and its state, for a view of many nodes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from monitor.outputs.mqtt.topic_group import TopicGroup
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.payload import SCHEMA, as_json, clock_payload
from monitor.system.clock_sync import ClockSync, read_clock_sync

INFO_SECONDS = 60.0
"""Longest time between two messages; changes of health, events and labels are sent within a second."""

MAX_PROBLEMS, MAX_TEXT = 5, 200
"""Problems in a message, and characters of a text in it."""

MAX_TEXT_OF_SOURCES = 10_000
"""Characters of the texts of all sources together: a reader takes 64 KB of a message."""

_OF_EVENT = ("event_id", "source", "label", "label_name", "started_at", "ended_at", "peak_score")

_OF_SOURCE = ("online", "offline_reason", "offline_text", "overloaded", "level_dbfs")


class NodeInfo(TopicGroup):
    """Information made by the main thread, and published by the publisher's.

    ``entities`` returns how many entities of Home Assistant the node has enabled; used by the publisher's
    thread.
    """

    def __init__(self, topics: Topics, publish: Callable[..., None], entities: Callable[[], int]) -> None:
        super().__init__(topics, publish)
        self._entities = entities
        self._info: Mapping[str, object] | None = None
        self._sent: tuple[Mapping[str, object] | None, int] = (None, 0)
        """What was published, and with how many entities."""
        self._due = -math.inf

    def on_change(self) -> None:
        """Make it again at the next `refresh`; from any thread."""
        self._due = -math.inf

    def refresh(self, snapshot: Callable[[], Mapping[str, Any]]) -> bool:
        """Make the information again if it is due; True if it was.  One thread calls it once a second."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + INFO_SECONDS  # before the snapshot: a change meanwhile counts
        self._info = info_payload(snapshot(), read_clock_sync(), time.time())
        return True

    def publish_changes(self) -> None:
        """Publish it, if it is new."""
        info, entities = self._info, self._entities()
        if info is not None and (info is not self._sent[0] or entities != self._sent[1]):
            self._sent = info, entities
            self._retain_change(self._topics.info(), as_json({**info, "entities": entities}))

    def republish(self) -> None:
        """Publish it, to a broker that may have lost it."""
        self._sent = (None, 0)
        super().republish()


def info_payload(snapshot: Mapping[str, Any], clock: ClockSync, at: float) -> dict[str, object]:
    """Return the information at a time, in Unix seconds, from what `clap-monitor status` shows."""
    events = [label["last_event"] for label in snapshot["labels"] if label["last_event"] is not None]
    last = max(events, key=lambda event: event["started_at"], default=None)
    text = min(MAX_TEXT, MAX_TEXT_OF_SOURCES // max(1, len(snapshot["sources"])))
    return {
        "schema": SCHEMA,
        "at": round(at, 3),
        "started_at": snapshot["started_at"],
        "version": snapshot["version"],
        "model": snapshot["model"]["name"],
        "calibration": snapshot["model"]["calibration"]["source"],
        "armed": snapshot["armed"],
        "real_time_factor": snapshot["real_time_factor"],
        "lag_seconds": snapshot["lag_seconds"],
        **clock_payload(clock),
        "sources": {
            name: {key: _short(source[key], text) for key in _OF_SOURCE}
            for name, source in snapshot["sources"].items()
        },
        "labels": sum(label["enabled"] for label in snapshot["labels"]),
        "events": snapshot["events"],
        "last_event": None if last is None else {key: last[key] for key in _OF_EVENT},
        "problems": [
            {key: _short(text) for key, text in problem.items()}
            for problem in snapshot["problems"][:MAX_PROBLEMS]
        ],
        "watchlist": snapshot["watchlist"],
    }


def _short(value: object, most: int = MAX_TEXT) -> object:
    return value[:most] if isinstance(value, str) else value
