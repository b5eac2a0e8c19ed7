"""Broker limits learned from connections that the broker closed on a message.

Closing is the only way in which a broker of MQTT 3.1.1 can refuse a message, be it for a size limit,
retained messages, QoS 2 or its access list.  The suspect is the oldest message that it had not acknowledged
when it closed the connection.  The second time, that message is left out or sent differently; everything
else goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from monitor.outputs.mqtt.connection_events import BrokerLimits
from monitor.outputs.mqtt.reason_codes import QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED

SMALL_BYTES = 2048
"""A message of this size is too large for no broker."""

CLOSES, CLOSES_IF_ACCEPTED_BEFORE = 2, 5
"""Closed connections that prove a limit; more for what was accepted before, because networks fail."""

RETRY_SECONDS, LONGEST_RETRY_SECONDS = 600.0, 86_400.0
"""Time until a message that is left out is retried; each retry, which may cost a connection, doubles it."""

_HEADER_BYTES = 12
"""Bytes of a packet besides topic and text, at most."""

_EXACTLY_ONCE = 2


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message as it is sent, without its text."""

    topic: str
    size: int
    """Bytes of the packet."""
    qos: int
    retain: bool


SUBSCRIPTION = OutgoingMessage("", 0, 1, retain=False)
"""Stands for the subscribe request."""


def outgoing_message(topic: str, text: str, *, qos: int, retain: bool) -> OutgoingMessage:
    """Describe a message."""
    # A lone surrogate, which cannot be sent, is refused by `Connection.publish`.
    size = len(topic.encode(errors="replace")) + len(text.encode(errors="replace")) + _HEADER_BYTES
    return OutgoingMessage(topic, size, qos, retain)


@dataclass(slots=True)
class _Limit:
    message: OutgoingMessage
    """The one that revealed it."""
    reason: str
    at: float


class LearnedLimits:
    """Learn which messages a broker refuses from those unacknowledged when it closed the connection."""

    def __init__(self) -> None:
        self._suspect: OutgoingMessage | None = None
        self._closes = 0
        self._topics: dict[str, _Limit] = {}
        self._too_large: _Limit | None = None
        self._no_retain: _Limit | None = None
        self._no_qos_2: _Limit | None = None
        self._accepted: dict[str, OutgoingMessage] = {}
        self._retain_accepted = self._qos_2_accepted = False
        self._largest_accepted = SMALL_BYTES
        self._retry_seconds = RETRY_SECONDS

    @property
    def has_suspect(self) -> bool:
        """Whether the last connection was closed on a message, without proof of a limit yet."""
        return self._suspect is not None

    @property
    def limits(self) -> BrokerLimits:
        """Limits known so far."""
        return BrokerLimits(max_qos=2 if self._no_qos_2 is None else 1, retain=self._no_retain is None)

    def accepted(self, message: OutgoingMessage) -> None:
        """Record that the broker has acknowledged a message."""
        self._accepted[message.topic] = message
        self._retain_accepted |= message.retain
        self._qos_2_accepted |= message.qos == _EXACTLY_ONCE
        self._largest_accepted = max(self._largest_accepted, message.size)
        if self._suspect is not None and self._suspect.topic == message.topic:
            self._suspect = None

    def connection_closed(self, message: OutgoingMessage) -> str | None:
        """Record that the connection was closed while this message was the oldest unacknowledged one.

        Returns the limit learned from it, if any, as the predicate of a sentence about the address.
        """
        same = self._suspect is not None and self._suspect.topic == message.topic
        self._suspect, self._closes = message, self._closes + 1 if same else 1
        if self._closes < (CLOSES_IF_ACCEPTED_BEFORE if self._was_accepted(message) else CLOSES):
            return None
        self._suspect = None
        return self._learn(message)

    def refused(self, message: OutgoingMessage, code: int | None) -> None:
        """Record a limit that the broker itself reported by its reason code."""
        now = time.monotonic()
        if code == RETAIN_NOT_SUPPORTED:
            self._no_retain = _Limit(message, "does not accept retained messages", now)
        elif code == QOS_NOT_SUPPORTED:
            self._no_qos_2 = _Limit(message, "does not accept QoS 2", now)

    def objection(self, message: OutgoingMessage) -> str | None:
        """Return why a message must not be sent; None if it may be.

        After a long time a message gets another chance; one closed connection then suffices to leave it out
        again.
        """
        limit = self._topics.get(message.topic)
        if limit is None and self._too_large is not None and message.size >= self._too_large.message.size:
            limit = self._too_large
        if limit is None:
            return None
        if time.monotonic() - limit.at < self._retry_seconds:
            return limit.reason
        self._topics.pop(message.topic, None)
        self._too_large = None if limit is self._too_large else self._too_large
        self._suspect, self._closes = message, CLOSES - 1
        self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)
        return None

    def downgrades(self) -> Iterator[str]:
        """Yield what is sent without retain or with a lower QoS."""
        yield from (limit.reason for limit in (self._no_retain, self._no_qos_2) if limit is not None)

    def _learn(self, message: OutgoingMessage) -> str:
        now = time.monotonic()
        if message == SUBSCRIPTION:
            reason = "closes the connection when this monitor subscribes: commands do not arrive"
            self._topics[message.topic] = _Limit(message, reason, now)
        elif message.qos == _EXACTLY_ONCE and not self._qos_2_accepted:
            reason = f"closes the connection on QoS 2 ({message.topic}): QoS 1 is used"
            self._no_qos_2 = _Limit(message, reason, now)
        elif message.retain and self._is_retain_the_cause(message):
            reason = (
                f"closes the connection on a retained message ({message.topic}): nothing is retained there"
            )
            self._no_retain = _Limit(message, reason, now)
            self._topics = {topic: limit for topic, limit in self._topics.items() if topic == ""}
            self._too_large = None
        elif message.size > self._largest_accepted:
            self._revoke(message)
            reason = f"closes the connection on a message of {message.size:,} bytes ({message.topic})"
            if self._largest_accepted > SMALL_BYTES:
                reason += f", and accepted one of {self._largest_accepted:,}"
            self._too_large = _Limit(message, "too large: the broker closes the connection on it", now)
        else:
            self._revoke(message)
            self._topics[message.topic] = _Limit(message, "the broker closes the connection on it", now)
            reason = f"closes the connection on messages under {message.topic}, which are left out"
        return reason

    def _was_accepted(self, message: OutgoingMessage) -> bool:
        """Return whether the broker has accepted such a message before."""
        accepted = self._accepted.get(message.topic)
        return (
            accepted is not None
            and (accepted.retain, accepted.qos) == (message.retain, message.qos)
            and message.size <= self._largest_accepted
        )

    def _is_retain_the_cause(self, message: OutgoingMessage) -> bool:
        """Return whether the broker never accepted a retained message and the size cannot be the cause."""
        others = (*self._topics.values(), self._too_large)
        other_retained = any(other is not None and other.message.retain for other in others)
        return not self._retain_accepted and (message.size <= SMALL_BYTES or other_retained)

    def _revoke(self, message: OutgoingMessage) -> None:
        """Revoke the limits learned from this message before, which were not the cause."""
        if self._no_retain is not None and self._no_retain.message.topic == message.topic:
            self._no_retain = None
        if self._no_qos_2 is not None and self._no_qos_2.message.topic == message.topic:
            self._no_qos_2 = None
