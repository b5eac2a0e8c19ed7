"""The newest score of every label, said to the broker while it moves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from monitor.outputs.mqtt.topics import Topics
from monitor.types import Scores

EVERY_SECONDS = 1.0
AGAIN_SECONDS = 30.0
"""A score that stays the same is said again after so long, for Home Assistant lets old ones expire."""


class ScoreTopics:
    """Noted by the analysis, said by the thread that publishes: only the newest counts.

    Parameters
    ----------
    publish : callable
        Sends one message: `Link.publish`.
    """

    def __init__(self, topics: Topics, publish: Callable[..., None]) -> None:
        self._topics = topics
        self._publish = publish
        self._newest: dict[str, Scores] = {}
        self._due: dict[str, float] = {}
        self._said: dict[str, tuple[str, float]] = {}

    def move(self, topics: Topics) -> None:
        """Say everything under other topics from now on."""
        self._topics = topics

    def note(self, scores: Scores) -> None:
        """Take the scores of a window."""
        self._newest[scores.source] = scores

    def say_anew(self) -> None:
        """Say all of them when they come next."""
        self._newest.clear()
        self._said.clear()

    def say(self) -> None:
        """Say what has moved by a hundredth, of each source once a second."""
        now = time.monotonic()
        for source in tuple(self._newest):
            if now < self._due.get(source, 0.0):
                continue
            self._due[source] = now + EVERY_SECONDS
            scores = self._newest.pop(source)
            for label, value in zip(scores.labels, scores.values.tolist(), strict=True):
                self._say(self._topics.score(source, label), f"{value:.2f}", now)

    def due(self) -> float:
        """Moment, on the monotonic clock, at which there is something to say."""
        return min((self._due.get(source, 0.0) for source in tuple(self._newest)), default=math.inf)

    def _say(self, topic: str, text: str, now: float) -> None:
        before, at = self._said.get(topic, ("", -math.inf))
        if text != before or now - at >= AGAIN_SECONDS:
            self._said[topic] = (text, now)
            self._publish(topic, text, qos=0)
