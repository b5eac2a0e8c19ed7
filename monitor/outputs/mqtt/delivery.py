"""Delivery of messages over one connection after another: what the broker took, refused, or closed on."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from monitor.outputs.mqtt.delivery_check import DeliveryCheck
from monitor.outputs.mqtt.notices import Accepted, Ended, Limits
from monitor.outputs.mqtt.reason_codes import (
    NO_RETAIN,
    NO_SUCH_QOS,
    NOT_ABOUT_A_MESSAGE,
    REFUSING,
    explain_refused_message,
)
from monitor.outputs.mqtt.refused_topics import RefusedTopics
from monitor.outputs.mqtt.suspect_messages import SUBSCRIPTION, Message, SuspectMessages, message_of
from monitor.types import OutputError

log = logging.getLogger(__name__)

T = TypeVar("T")

TAKEN_SECONDS = 5.0
"""A message with QoS 0 has no answer: a broker that has not closed the connection on it by then takes it."""

SILENT = "stopped answering"

Send = Callable[..., int]
"""`Connection.publish`: returns the number by which a message is acknowledged."""


@dataclass(frozen=True, slots=True)
class _Sent(Generic[T]):
    at: float
    """Seconds of the monotonic clock."""
    message: Message
    letter: T | None
    order: int
    """Among all messages."""


class Delivery(Generic[T]):
    """Send messages and note what becomes of them; used by one thread.

    Parameters
    ----------
    address : str
        Of the broker, for people.
    silence_seconds : float
        Given to the broker to answer.
    """

    def __init__(self, address: str, silence_seconds: float) -> None:
        self.arrived: list[T] = []
        """Letters that have been acknowledged, oldest first; whoever publishes takes them out."""
        self.returned: list[T] = []
        """Letters that were refused; whoever publishes takes them out."""
        self.refusals = RefusedTopics()
        self._address = address
        self._silence_seconds = silence_seconds
        self._echo = DeliveryCheck()
        self._suspects = SuspectMessages()
        self._limits = Limits()
        self._sent: dict[int, _Sent[T]] = {}
        self._unasked: dict[str, _Sent[T]] = {}
        """The oldest message with QoS 0 under each topic of which it is not known that the broker took it."""
        self._order = self._answered = 0
        self._subscribed_at = math.inf
        """When the request to subscribe was sent, while it has no answer."""
        self._subscription_trouble: str | None = None

    @property
    def unacknowledged(self) -> int:
        """Messages on their way, with and without a letter."""
        return len(self._sent)

    @property
    def suspicious(self) -> bool:
        """True if the last connection ended, as it seems, for something that was sent."""
        return self._suspects.suspects

    @property
    def subscribes(self) -> bool:
        """Whether to subscribe on the next connection."""
        return self._suspects.objection(SUBSCRIPTION) is None

    def troubles(self) -> Iterator[str]:
        """Say what the broker does not take, each as the end of a sentence that begins with its address."""
        for trouble in (self.refusals.trouble, self._subscription_trouble, self._echo.trouble):
            if trouble is not None:
                yield trouble

    def lessened(self) -> Iterator[str]:
        """Say what is sent in another way than it should be."""
        if not self._limits.retain:
            yield "does not keep retained messages"
        yield from self._suspects.lessened()

    def begin(self, accepted: Accepted, *, subscribed: bool) -> None:
        """Begin on another connection.

        Parameters
        ----------
        accepted : Accepted
        subscribed : bool
            Whether the broker was asked to subscribe.
        """
        self._limits = accepted.limits
        self._subscribed_at = time.monotonic() if subscribed else math.inf
        self.refusals.connected()
        self._echo.begin(accepted.own)

    def publish(
        self, send: Send, message: tuple[str, str], *, qos: int, retain: bool, letter: T | None
    ) -> None:
        """Send a message; what the broker is known not to take is refused unsent, or sent with less.

        Parameters
        ----------
        send : callable
        message : tuple of str
            Topic and text.
        qos : int
        retain : bool
        letter : object or None
            Comes back in `arrived` or `returned`.  Without QoS and letter nobody asks what became of it.
        """
        learned = self._suspects.limits
        qos = min(qos, self._limits.max_qos, learned.max_qos)
        retain = retain and self._limits.retain and learned.retain
        topic, text = message
        described = message_of(topic, text, qos=qos, retain=retain)
        objection = self._objection(described)
        if objection is not None:
            self._refuse(described, letter, objection, unsent=True)
            return
        try:
            number = send(topic, text, qos=qos, retain=retain)
        except OutputError as error:
            self._refuse(described, letter, str(error), unsent=True)
            return
        self._order += 1
        sent = _Sent(time.monotonic(), described, letter, self._order)
        if qos or letter is not None:
            self._sent[number] = sent
        else:
            self._unasked.setdefault(topic, sent)
        self._echo.sent(topic)

    def acknowledge(self, number: int, code: int) -> None:
        """Take the answer of the broker to a message."""
        sent = self._sent.pop(number, None)
        if sent is None:
            return
        self._answered = max(self._answered, sent.order)
        self._note_taken(lambda unasked: unasked.order < sent.order)
        if code >= REFUSING:
            self._refuse(sent.message, sent.letter, explain_refused_message(code), unsent=False)
            return
        self._suspects.taken(sent.message)
        self._echo.taken(sent.message.topic)
        self.refusals.accept(sent.message.topic)
        if sent.letter is not None:
            self.arrived.append(sent.letter)

    def came_back(self, topic: str) -> None:
        """Note that one of our own messages was delivered to us."""
        self._echo.came(topic)

    def subscribed(self, refused: tuple[tuple[str, int], ...]) -> None:
        """Take the answer of the broker to the subscription."""
        self._subscribed_at = math.inf
        self._suspects.taken(SUBSCRIPTION)
        own = {topic for topic, _ in refused if topic in self._echo.topics}
        for topic in own:
            self._echo.give_up(topic)
            log.info("mqtt: %s does not let us read %s: what it refuses cannot be seen", self._address, topic)
        others = [(topic, code) for topic, code in refused if topic not in own]
        if others:
            named = ", ".join(f"{topic} ({explain_refused_message(code)})" for topic, code in others)
            self._note_subscription(f"refuses subscriptions, so commands do not arrive: {named}")
        else:
            self._subscription_trouble = None

    def due(self) -> float:
        """Moment, on the monotonic clock, at which an answer is missed."""
        return min(self._acknowledge_by(), self._subscribed_at + self._silence_seconds, self._echo.due())

    def judge_silence(self) -> bool:
        """Note which answers are missed; True if the broker answers nothing any more."""
        now = time.monotonic()
        self._note_taken(lambda unasked: unasked.at < now - TAKEN_SECONDS)
        if self._echo.miss():
            log.warning("mqtt: %s %s", self._address, self._echo.trouble)
        if now >= self._subscribed_at + self._silence_seconds:
            self._subscribed_at = math.inf
            self._note_subscription("does not answer the request to subscribe: commands may not arrive")
        return now >= self._acknowledge_by()

    def end(self, end: Ended) -> bool:
        """Note the end of the connection; True if it may have been for something that was sent."""
        before = time.monotonic() - TAKEN_SECONDS
        self._note_taken(lambda unasked: unasked.at < before)
        suspect = self._suspect(end)
        self._sent.clear()
        self._unasked.clear()
        self._subscribed_at = math.inf
        if suspect is None:
            return False
        self._suspects.refused(suspect, retain=end.code == NO_RETAIN, qos=end.code == NO_SUCH_QOS)
        learned = self._suspects.closed(suspect)
        if learned is not None:
            log.warning("mqtt: %s %s", self._address, learned)
            if suspect == SUBSCRIPTION:
                self._subscription_trouble = learned
        return True

    def _objection(self, message: Message) -> str | None:
        most = self._limits.max_bytes
        if most is not None and message.size > most:
            return f"{message.size:,} bytes, and the broker takes {most:,}"
        return self._suspects.objection(message)

    def _refuse(self, message: Message, letter: T | None, why: str, *, unsent: bool) -> None:
        if letter is not None:
            self.returned.append(letter)
        if self.refusals.refuse(message.topic, why, holds=letter is not None, unsent=unsent):
            log.warning("mqtt: %s %s", self._address, self.refusals.trouble)

    def _note_taken(self, is_taken: Callable[[_Sent[T]], bool]) -> None:
        """Forget the oldest messages with QoS 0 of which this tells that the broker took them."""
        while self._unasked and is_taken(oldest := next(iter(self._unasked.values()))):
            del self._unasked[oldest.message.topic]
            self._suspects.taken(oldest.message)

    def _note_subscription(self, trouble: str) -> None:
        if trouble != self._subscription_trouble:
            log.warning("mqtt: %s %s", self._address, trouble)
        self._subscription_trouble = trouble

    def _acknowledge_by(self) -> float:
        oldest = next(iter(self._sent.values()), None)
        return math.inf if oldest is None else oldest.at + self._silence_seconds

    def _suspect(self, end: Ended) -> Message | None:
        """Return the oldest message that the broker had not answered, if it may have been the cause."""
        if end.why is None or end.malformed or end.code in NOT_ABOUT_A_MESSAGE:
            return None
        if not math.isinf(self._subscribed_at):
            return SUBSCRIPTION
        pending = sorted((*self._sent.values(), *self._unasked.values()), key=lambda sent: sent.order)
        if not pending or (end.why == SILENT and self._answered < pending[0].order):
            return None  # it does not answer anything
        return pending[0].message
