"""Echo: whether the broker delivers what it has acknowledged, seen by subscribing to it.

MQTT 3.1.1, and QoS 0 in any version, have no way to say that a message is refused: the broker acknowledges
it and drops it.  So we subscribe to what we publish there.  What does not come back is refused, or may not be
read by us: which of the two cannot be known.
"""

from __future__ import annotations

import time

PATIENCE_SECONDS = 15.0
"""From the acknowledgement of a message until it must have come back."""


class DeliveryCheck:
    """Follow the messages that should come back."""

    def __init__(self) -> None:
        self.topics: frozenset[str] = frozenset()
        """Those that are subscribed to."""
        self._sent: dict[str, float] = {}
        self._acknowledged: set[str] = set()
        self._missed: set[str] = set()

    def begin(self, topics: frozenset[str]) -> None:
        """Begin anew on another connection, over which these topics are subscribed to."""
        self.topics = topics
        self._missed &= topics
        self._sent.clear()
        self._acknowledged.clear()

    def sent(self, topic: str) -> None:
        """Note that a message is on its way; it may come back before it is acknowledged."""
        if topic in self.topics:
            self._sent.setdefault(topic, time.monotonic())

    def taken(self, topic: str) -> None:
        """Note that the broker has acknowledged a message."""
        if topic in self._sent:
            self._acknowledged.add(topic)

    def came(self, topic: str) -> None:
        """Note that a message came back."""
        self._forget(topic)
        self._missed.discard(topic)

    def give_up(self, topic: str) -> None:
        """Expect nothing to come back under a topic, until the next connection."""
        self._forget(topic)
        self.topics -= {topic}

    def miss(self) -> bool:
        """Tell whether it is news that something acknowledged has not come back."""
        before = time.monotonic() - PATIENCE_SECONDS
        late = {topic for topic in self._acknowledged if self._sent[topic] < before}
        for topic in late:
            self._forget(topic)
        news = not late <= self._missed
        self._missed |= late
        return news

    def due(self) -> float:
        """Moment, on the monotonic clock, at which the next one is missed."""
        first = min((self._sent[topic] for topic in self._acknowledged), default=float("inf"))
        return first + PATIENCE_SECONDS

    @property
    def trouble(self) -> str | None:
        """What did not come back, as the end of a sentence that begins with the address."""
        if not self._missed:
            return None
        return (
            f"acknowledges what is published under {', '.join(sorted(self._missed))} and does not deliver "
            "it: its access list does not let this user write there, or not read, which cannot be told apart"
        )

    def _forget(self, topic: str) -> None:
        self._sent.pop(topic, None)
        self._acknowledged.discard(topic)
