"""Health topics: health of the sources and of the connection, and warnings when a problem starts or ends."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable

from monitor.audio.source_status import Health
from monitor.outputs.mqtt.health_payloads import health_payload, warning_payloads
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.payload import as_json

LATE_SECONDS = 60.0
"""How long after the last late event the connection counts as late."""

MAX_WARNINGS = 100
"""Warnings that wait for the broker; beyond it, the oldest are dropped."""


class HealthTopics:
    """Health set by any thread and published by the publisher's thread.

    Parameters
    ----------
    topics : Topics
    sources : iterable of str
    publish : callable
        `MqttSession.publish`.
    """

    def __init__(self, topics: Topics, sources: Iterable[str], publish: Callable[..., None]) -> None:
        self._topics = topics
        self._publish = publish
        self._healths = dict.fromkeys(sources, Health())
        self._warnings: deque[tuple[str, str]] = deque(maxlen=MAX_WARNINGS)
        self._late_until = -math.inf
        self._published: dict[str, str] = {}

    def use_topics(self, topics: Topics) -> None:
        """Publish under other topics from now on."""
        self._topics = topics

    def set(self, source: str, health: Health) -> bool:
        """Set the health of a source; True if it changed."""
        before, self._healths[source] = self._healths[source], health
        payloads = warning_payloads(before, health, node=self._topics.node, source=source, at=time.time())
        self._warnings.extend((self._topics.warning(source), as_json(payload)) for payload in payloads)
        return before != health

    def on_late_event(self) -> None:
        """Record that an event had to wait for the broker."""
        self._late_until = time.monotonic() + LATE_SECONDS

    def publish_changes(self) -> None:
        """Publish health that changed, and new warnings."""
        texts = {self._topics.health(): as_json({"late": time.monotonic() < self._late_until})}
        for source, health in self._healths.items():
            texts[self._topics.source_health(source)] = as_json(health_payload(health))
        for topic, text in texts.items():
            if self._published.get(topic) != text:
                self._published[topic] = text
                self._publish(topic, text, qos=1, retain=True)
        while self._warnings:
            self._publish(*self._warnings.popleft(), qos=1)

    def republish(self) -> None:
        """Publish everything, to a broker or a Home Assistant that may have lost it."""
        self._published.clear()
        self.publish_changes()

    def due(self) -> float:
        """Return the monotonic time at which the connection stops counting as late."""
        return self._late_until if time.monotonic() < self._late_until else math.inf
