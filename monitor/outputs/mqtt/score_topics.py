"""Score topics: the newest level and scores of every source, at most once a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from monitor.outputs.mqtt.topic_group import TopicGroup
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.payload import as_json, rounded_dbfs
from monitor.types import Scores

INTERVAL_SECONDS = 1.0
REPEAT_SECONDS = 30.0
"""An unchanged score is repeated after this time, because Home Assistant lets old ones expire."""


class ScoreTopics(TopicGroup):
    """Scores set by the analysis and published by the publisher's thread; only the newest counts."""

    def __init__(self, topics: Topics, publish: Callable[..., None]) -> None:
        super().__init__(topics, publish)
        self._newest: dict[str, Scores] = {}
        self._due: dict[str, float] = {}
        self._scores: dict[str, tuple[str, float]] = {}
        """Newest text of each topic, and the monotonic time at which it was published."""

    def set(self, scores: Scores) -> None:
        """Set the scores of a window."""
        self._newest[scores.source] = scores

    def republish(self) -> None:
        """Publish all scores of the next window, and nothing that is older."""
        self._newest.clear()
        self._scores.clear()

    def publish_changes(self) -> None:
        """Publish levels, and scores that changed by a hundredth, of each source once a second."""
        now = time.monotonic()
        for source in tuple(self._newest):
            if now < self._due.get(source, 0.0):
                continue
            self._due[source] = now + INTERVAL_SECONDS
            scores = self._newest.pop(source)
            level = {"level_dbfs": rounded_dbfs(scores.level_dbfs)}
            self._publish(self._topics.level(source), as_json(level), qos=0)
            for label, value in zip(scores.labels, scores.values.tolist(), strict=True):
                self._publish_score(self._topics.score(source, label), f"{value:.2f}", now)

    def due(self) -> float:
        """Return the monotonic time of the next `publish_changes`."""
        return min((self._due.get(source, 0.0) for source in tuple(self._newest)), default=math.inf)

    def _publish_score(self, topic: str, text: str, now: float) -> None:
        before, at = self._scores.get(topic, ("", -math.inf))
        if text != before or now - at >= REPEAT_SECONDS:
            self._scores[topic] = (text, now)
            self._publish(topic, text, qos=0)
