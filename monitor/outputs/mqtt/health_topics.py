"""Health topics: health of the sources and of the connection, and warnings when a problem starts or ends."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from monitor.audio.source_status import OVERLOADED, Health
from monitor.outputs.mqtt.topic_group import Changes, TopicGroup
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.payload import SCHEMA, as_json

LATE_SECONDS = 60.0
"""How long after the last late event the connection counts as late."""

MAX_WARNINGS = 100
"""Warnings that wait for the broker; beyond it, the oldest are dropped."""


class HealthTopics(TopicGroup):
    """Health set by any thread and published by the publisher's thread."""

    def __init__(self, topics: Topics, sources: Iterable[str], publish: Callable[..., None]) -> None:
        super().__init__(topics, publish)
        self._healths = dict.fromkeys(sources, Health())
        self._changes = Changes(self._healths)
        self._warnings: deque[tuple[str, str]] = deque(maxlen=MAX_WARNINGS)
        self._late_until = -math.inf

    def set(self, source: str, health: Health) -> bool:
        """Set the health of a source; True if it changed."""
        before, self._healths[source] = self._healths[source], health
        for warning in _warnings(before, health):
            place = {
                "schema": SCHEMA,
                "node": self._topics.node,
                "source": source,
                "at": round(time.time(), 3),
            }
            self._warnings.append((self._topics.warning(source), as_json(place | warning)))
        if before != health:
            self._changes.add(source)
        return before != health

    def on_late_event(self) -> None:
        """Record that an event had to wait for the broker."""
        self._late_until = time.monotonic() + LATE_SECONDS

    def publish_changes(self) -> None:
        """Publish health that changed, and new warnings."""
        is_late = time.monotonic() < self._late_until
        self._retain_change(self._topics.health(), as_json({"late": is_late}))
        for source in self._changes.take():
            text = as_json(_payload(self._healths[source]))
            self._retain_change(self._topics.source_health(source), text)
        while self._warnings:
            self._publish(*self._warnings.popleft(), qos=1)

    def republish(self) -> None:
        """Publish everything, to a broker or a Home Assistant that may have lost it."""
        self._changes.add(*self._healths)
        super().republish()

    def due(self) -> float:
        """Return the monotonic time at which the connection stops counting as late."""
        return self._late_until if time.monotonic() < self._late_until else math.inf


def _payload(health: Health) -> dict[str, object]:
    return {
        "offline": health.offline_reason is not None,
        "offline_reason": health.offline_reason,
        "offline_text": health.offline_text,
        "overloaded": health.overloaded,
        "dropped_seconds": round(health.dropped_seconds, 1),
    }


def _warnings(before: Health, after: Health) -> Iterator[dict[str, object]]:
    """Yield the problems that started (``phase`` start) and ended (``phase`` end)."""
    was_offline, is_offline = before.offline_reason is not None, after.offline_reason is not None
    for name, was_active, is_active, reason, text in (
        ("offline", was_offline, is_offline, after.offline_reason, after.offline_text),
        ("overloaded", before.overloaded, after.overloaded, None, OVERLOADED),
    ):
        if was_active != is_active:
            yield {
                "warning": name,
                "phase": "start" if is_active else "end",
                "reason": reason if is_active else None,
                "text": text if is_active else None,
                "dropped_seconds": round(after.dropped_seconds, 1),
            }
