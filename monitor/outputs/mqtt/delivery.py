"""Delivery of messages over successive connections: in flight, acknowledged, or refused."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from monitor.outputs.mqtt.connection_events import BrokerLimits, Connected, Disconnected
from monitor.outputs.mqtt.delivery_check import DeliveryCheck
from monitor.outputs.mqtt.learned_limits import SUBSCRIPTION, LearnedLimits, OutgoingMessage, outgoing_message
from monitor.outputs.mqtt.reason_codes import NOT_ABOUT_A_MESSAGE, REFUSED, explain_refused_message
from monitor.outputs.mqtt.refused_topics import RefusedTopics
from monitor.types import OutputError

log = logging.getLogger(__name__)

ACCEPTED_SECONDS = 5.0
"""QoS 0 has no acknowledgement: if the connection is still open by then, the broker accepted the message."""

NO_ANSWER = "stopped answering"

Send = Callable[..., int]
"""`Connection.publish`: returns the packet id by which a message is acknowledged."""


@dataclass(frozen=True, slots=True)
class _InFlight:
    at: float
    """Monotonic seconds."""
    message: OutgoingMessage
    event: int | None
    """Queue number, if it is an event."""
    order: int
    """Among all messages."""


class Delivery:
    """Send messages and track their acknowledgements; used by one thread.

    ``address`` is the broker's, for display; it must answer within ``timeout_seconds``.
    """

    def __init__(self, address: str, timeout_seconds: float) -> None:
        self.acknowledged: list[int] = []
        """Queue numbers of acknowledged events, oldest first; the publisher empties the list."""
        self.returned: list[int] = []
        """Queue numbers of refused events; the publisher empties the list."""
        self.refused_topics = RefusedTopics()
        self._address = address
        self._timeout_seconds = timeout_seconds
        self.check = DeliveryCheck()
        self.learned = LearnedLimits()
        self._limits = BrokerLimits()
        self._in_flight: dict[int, _InFlight] = {}
        self._unconfirmed: dict[str, _InFlight] = {}
        """Oldest QoS 0 message under each topic that the broker may not have accepted yet."""
        self._order = self._last_answered = 0
        self._subscribed_at = math.inf
        """When the subscribe request was sent; infinity once it is answered."""
        self._subscription_trouble: str | None = None

    @property
    def unacknowledged(self) -> int:
        """Messages in flight, events or not."""
        return len(self._in_flight)

    @property
    def subscribes(self) -> bool:
        """Whether to subscribe on the next connection."""
        return self.learned.objection(SUBSCRIPTION) is None

    @property
    def is_subscribed(self) -> bool:
        """Whether no answer to a subscribe request is missing."""
        return math.isinf(self._subscribed_at)

    def troubles(self) -> Iterator[str]:
        """Yield what the broker refuses, each as the predicate of a sentence about its address."""
        for trouble in (self.refused_topics.trouble, self._subscription_trouble, self.check.trouble):
            if trouble is not None:
                yield trouble

    def downgrades(self) -> Iterator[str]:
        """Yield what is sent without retain or with a lower QoS."""
        if not self._limits.retain:
            yield "does not keep retained messages"
        yield from self.learned.downgrades()

    def begin(self, connected: Connected, *, subscribed: bool) -> None:
        """Begin on a new connection, with or without a subscribe request in flight."""
        self._limits = connected.limits
        self._subscribed_at = time.monotonic() if subscribed else math.inf
        self.refused_topics.on_connect()
        self.check.begin(connected.own_topics)

    def publish(
        self, send: Send, message: tuple[str, str], *, qos: int, retain: bool, event: int | None
    ) -> None:
        """Send a message (topic and text), in a lesser way if the broker is known to refuse it, or return it.

        ``event`` is the queue number of an event, which comes back in `acknowledged` or `returned`.  With QoS
        0, only an event is tracked.
        """
        learned = self.learned.limits
        qos = min(qos, self._limits.max_qos, learned.max_qos)
        retain = retain and self._limits.retain and learned.retain
        topic, text = message
        outgoing = outgoing_message(topic, text, qos=qos, retain=retain)
        objection = self._objection(outgoing)
        if objection is not None:
            self._refuse(outgoing, event, objection, unsent=True)
            return
        try:
            packet_id = send(topic, text, qos=qos, retain=retain)
        except OutputError as error:
            self._refuse(outgoing, event, str(error), unsent=True)
            return
        self._order += 1
        in_flight = _InFlight(time.monotonic(), outgoing, event, self._order)
        if qos or event is not None:
            self._in_flight[packet_id] = in_flight
        else:
            self._unconfirmed.setdefault(topic, in_flight)
        self.check.sent(topic)

    def acknowledge(self, packet_id: int, code: int) -> None:
        """Handle the answer of the broker to a message."""
        sent = self._in_flight.pop(packet_id, None)
        if sent is None:
            return
        self._last_answered = max(self._last_answered, sent.order)
        self._confirm(lambda other: other.order < sent.order)
        if code >= REFUSED:
            self._refuse(sent.message, sent.event, explain_refused_message(code), unsent=False)
            return
        self.learned.accepted(sent.message)
        self.check.acknowledged(sent.message.topic)
        self.refused_topics.accept(sent.message.topic)
        if sent.event is not None:
            self.acknowledged.append(sent.event)

    def subscribed(self, refused: tuple[tuple[str, int], ...]) -> None:
        """Handle the answer of the broker to the subscribe request."""
        self._subscribed_at = math.inf
        self.learned.accepted(SUBSCRIPTION)
        own = {topic for topic, _ in refused if topic in self.check.topics}
        for topic in own:
            self.check.skip(topic)
            text = "mqtt: %s does not allow reading %s: refused messages cannot be detected"
            log.info(text, self._address, topic)
        others = [(topic, code) for topic, code in refused if topic not in own]
        if others:
            named = ", ".join(f"{topic} ({explain_refused_message(code)})" for topic, code in others)
            self._set_subscription_trouble(f"refuses subscriptions, so commands do not arrive: {named}")
        else:
            self._subscription_trouble = None

    def due(self) -> float:
        """Return the monotonic time of the next timeout."""
        return min(self._acknowledge_by(), self._subscribed_at + self._timeout_seconds, self.check.due())

    def check_timeouts(self) -> bool:
        """Handle missing answers; True if the broker answers nothing any more."""
        now = time.monotonic()
        self._confirm(lambda sent: sent.at < now - ACCEPTED_SECONDS)
        if self.check.find_missed():
            log.warning("mqtt: %s %s", self._address, self.check.trouble)
        if now >= self._subscribed_at + self._timeout_seconds:
            self._subscribed_at = math.inf
            self._set_subscription_trouble("does not answer the subscribe request: commands may not arrive")
        return now >= self._acknowledge_by()

    def end(self, end: Disconnected) -> bool:
        """Handle the end of the connection; True if a message may have been the cause."""
        before = time.monotonic() - ACCEPTED_SECONDS
        self._confirm(lambda sent: sent.at < before)
        suspect = self._suspect(end)
        self._in_flight.clear()
        self._unconfirmed.clear()
        self._subscribed_at = math.inf
        if suspect is None:
            return False
        self.learned.refused(suspect, end.code)
        learned = self.learned.connection_closed(suspect)
        if learned is not None:
            log.warning("mqtt: %s %s", self._address, learned)
            if suspect == SUBSCRIPTION:
                self._subscription_trouble = learned
        return True

    def _objection(self, message: OutgoingMessage) -> str | None:
        max_bytes = self._limits.max_bytes
        if max_bytes is not None and message.size > max_bytes:
            return f"{message.size:,} bytes, and the broker accepts {max_bytes:,}"
        return self.learned.objection(message)

    def _refuse(self, message: OutgoingMessage, event: int | None, reason: str, *, unsent: bool) -> None:
        if event is not None:
            self.returned.append(event)
        if self.refused_topics.refuse(message.topic, reason, is_event=event is not None, unsent=unsent):
            log.warning("mqtt: %s %s", self._address, self.refused_topics.trouble)

    def _confirm(self, is_accepted: Callable[[_InFlight], bool]) -> None:
        """Confirm the oldest QoS 0 messages as accepted."""
        while self._unconfirmed and is_accepted(oldest := next(iter(self._unconfirmed.values()))):
            del self._unconfirmed[oldest.message.topic]
            self.learned.accepted(oldest.message)

    def _set_subscription_trouble(self, trouble: str) -> None:
        if trouble != self._subscription_trouble:
            log.warning("mqtt: %s %s", self._address, trouble)
        self._subscription_trouble = trouble

    def _acknowledge_by(self) -> float:
        oldest = next(iter(self._in_flight.values()), None)
        return math.inf if oldest is None else oldest.at + self._timeout_seconds

    def _suspect(self, end: Disconnected) -> OutgoingMessage | None:
        """Return the oldest message that the broker had not answered, if it may have been the cause."""
        if end.reason is None or end.malformed or end.code in NOT_ABOUT_A_MESSAGE:
            return None
        if not math.isinf(self._subscribed_at):
            return SUBSCRIPTION
        pending = (*self._in_flight.values(), *self._unconfirmed.values())
        oldest = min(pending, key=lambda sent: sent.order, default=None)
        if oldest is None or (end.reason == NO_ANSWER and self._last_answered < oldest.order):
            return None  # the broker answers nothing at all
        return oldest.message
