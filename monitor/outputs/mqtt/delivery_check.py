"""Delivery check: subscribes to our own topics to see whether the broker delivers what it acknowledges.

MQTT 3.1.1, and QoS 0 in any version, cannot report a refused message: the broker acknowledges it and drops
it.  A message that does not come back was refused, or we may not read the topic; the two look the same.
"""

from __future__ import annotations

import math
import time

TIMEOUT_SECONDS = 15.0
"""From the acknowledgement of a message until it must have come back."""


class DeliveryCheck:
    """Track the messages that must come back."""

    def __init__(self) -> None:
        self.topics: frozenset[str] = frozenset()
        """Topics that are checked."""
        self._sent: dict[str, float] = {}
        self._acknowledged: set[str] = set()
        self._missed: set[str] = set()

    def begin(self, topics: frozenset[str]) -> None:
        """Start again on a new connection that subscribes to these topics."""
        self.topics = topics
        self._missed &= topics
        self._sent.clear()
        self._acknowledged.clear()

    def sent(self, topic: str) -> None:
        """Record that a message is in flight; it may come back before it is acknowledged."""
        if topic in self.topics:
            self._sent.setdefault(topic, time.monotonic())

    def acknowledged(self, topic: str) -> None:
        """Record that the broker has acknowledged a message."""
        if topic in self._sent:
            self._acknowledged.add(topic)

    def received(self, topic: str) -> None:
        """Record that a message came back."""
        self._forget(topic)
        self._missed.discard(topic)

    def skip(self, topic: str) -> None:
        """Stop checking a topic until the next connection."""
        self._forget(topic)
        self.topics -= {topic}

    def find_missed(self) -> bool:
        """Find messages that did not come back in time; True if a topic is newly affected."""
        before = time.monotonic() - TIMEOUT_SECONDS
        late = {topic for topic in self._acknowledged if self._sent[topic] < before}
        for topic in late:
            self._forget(topic)
        is_new = not late <= self._missed
        self._missed |= late
        return is_new

    def due(self) -> float:
        """Return the monotonic time of the next timeout."""
        return min((self._sent[topic] for topic in self._acknowledged), default=math.inf) + TIMEOUT_SECONDS

    @property
    def trouble(self) -> str | None:
        """Undelivered topics as the predicate of a sentence about the address."""
        if not self._missed:
            return None
        return (
            f"acknowledges what is published under {', '.join(sorted(self._missed))} and does not deliver "
            "it: its access list denies this user either writing or reading there"
        )

    def _forget(self, topic: str) -> None:
        self._sent.pop(topic, None)
        self._acknowledged.discard(topic)
