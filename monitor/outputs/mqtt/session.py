"""Link to the broker: a connection that is made again whenever it breaks, and what has arrived over it.

Everything but `wake` is called by one thread, the one that publishes.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from monitor.outputs.mqtt.client_id_conflict import ClientIdConflict
from monitor.outputs.mqtt.connection import Connection
from monitor.outputs.mqtt.connection_terms import MQTT_3, MQTT_5, VERSIONS, Negotiation, Terms, Will
from monitor.outputs.mqtt.delivery import SILENT, Delivery
from monitor.outputs.mqtt.notices import (
    Accepted,
    Acknowledged,
    Echoed,
    Ended,
    LeftOut,
    Notice,
    Opened,
    Received,
    Subscribed,
)
from monitor.outputs.mqtt.refused_topics import RefusedTopics
from monitor.outputs.mqtt.tls import NOT_MQTT
from monitor.system.backoff import Backoff

log = logging.getLogger(__name__)

T = TypeVar("T")

STABLE_SECONDS = 60.0
"""A connection that lasted so long ends the series of growing delays."""

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds between two attempts; each failure doubles them."""

SAID_SECONDS = 600.0
"""From one line in the log about messages to us that cannot be read to the next."""

_USUAL = f"speaks {VERSIONS[MQTT_5]}"

Connect = Callable[[Terms, Callable[[Connection, Notice], None]], Connection]
"""Begins a `Connection` on the given terms, that reports to the function it is given."""


class MqttSession(Generic[T]):
    """Publish over one connection after another.

    Parameters
    ----------
    connect : callable
    address : str
        Of the broker, for people.
    silence_seconds : float
        A connection on which a message is not acknowledged for so long counts as broken.
    receive : callable
        Takes what is said under the topics listened to, in the thread of the connection; it must neither
        block nor fail.
    negotiation : Negotiation or None
        None: any terms.
    client_id : str
        Ours, for people.
    answer_seconds : float
        A broker says at once whether it lets us in; what is silent for so long is none.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        address: str,
        silence_seconds: float,
        receive: Callable[[Received], None] = lambda _: None,
        negotiation: Negotiation | None = None,
        client_id: str = "",
        answer_seconds: float = 5.0,
    ) -> None:
        self.connected = False
        self.trouble: str | None = None
        """Why there is no connection, for people; None while there is one, and before the first attempt."""
        self.left_out = 0
        """Messages to us that could not be read."""
        self.ended = 0
        """Attempts that failed and connections that broke; a letter not acknowledged by then is forgotten."""
        self._connect = connect
        self._address = address
        self._receive = receive
        self._answer_seconds = answer_seconds
        self._negotiation = negotiation or Negotiation()
        self._contention = ClientIdConflict(client_id)
        self._delivery: Delivery[T] = Delivery(address, silence_seconds)
        self._connection: Connection | None = None
        self._terms = self._negotiation.terms
        self._notices: deque[tuple[Connection, Notice]] = deque()
        self._wake = threading.Event()
        self._dial_at = 0.0
        self._backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)
        self._answer_by = math.inf
        self._accepted_at = math.inf
        self._said_trouble = ""
        self._said_conditions = _USUAL
        self._said_left_out_at = -math.inf

    @property
    def arrived(self) -> list[T]:
        """Letters that have been acknowledged, oldest first; whoever publishes takes them out."""
        return self._delivery.arrived

    @property
    def returned(self) -> list[T]:
        """Letters that were refused; whoever publishes takes them out."""
        return self._delivery.returned

    @property
    def refusals(self) -> RefusedTopics:
        """What the broker does not take."""
        return self._delivery.refusals

    @property
    def suspicious(self) -> bool:
        """True if the last connection ended, as it seems, for something that was sent."""
        return self._delivery.suspicious

    @property
    def unacknowledged(self) -> int:
        """Messages on their way, with and without a letter."""
        return self._delivery.unacknowledged

    @property
    def doubt(self) -> str:
        """What can be said, as `trouble` would say it, of an attempt that has come to nothing so far."""
        if math.isinf(self._answer_by):
            return f"{self._address} has not been reached yet"
        return f"{self._address} {NOT_MQTT.format('no answer so far')}"

    def problems(self) -> list[str]:
        """Say what is wrong with the broker though it lets us in; each begins with its address."""
        contended = self._contention.trouble
        found = [*self._delivery.troubles(), *([] if contended is None else [contended])]
        return [f"{self._address} {trouble}" for trouble in found]

    def wake(self) -> None:
        """End the current or the next `wait`; from any thread."""
        self._wake.set()

    def wait(self, until: float) -> bool:
        """Wait for `wake`, for the broker, or for a moment of the monotonic clock; keep the connection up.

        Returns
        -------
        bool
            Whether there is a new connection, on which nothing has been said yet.
        """
        if self._connection is None and time.monotonic() >= self._dial_at:
            self._terms = replace(self._negotiation.terms, subscribe=self._delivery.subscribes)
            self._connection = self._connect(self._terms, self._notify)
        due = min(until, self._answer_by, self._delivery.due())
        if self._connection is None:
            due = min(due, self._dial_at)
        self._wake.wait(None if math.isinf(due) else max(0.0, due - time.monotonic()))
        self._wake.clear()
        before = self._accepted_at
        while self._notices:
            connection, notice = self._notices.popleft()
            if connection is self._connection:
                self._take(notice)
        self._judge_silence()
        return self.connected and self._accepted_at != before

    def publish(
        self, topic: str, text: str, *, qos: int, retain: bool = False, letter: T | None = None
    ) -> None:
        """Send a message on the connection there is; without QoS and letter nobody asks what became of it."""
        if self._connection is None:
            raise RuntimeError("there is no connection")
        self._delivery.publish(self._connection.publish, (topic, text), qos=qos, retain=retain, letter=letter)

    def hurry(self) -> None:
        """Make the next attempt at once."""
        self._dial_at = 0.0

    def close(self) -> None:
        """Take leave of the broker, if there is one; `ended` grows once it is done."""
        if self._connection is not None:
            self._connection.close()

    def _notify(self, connection: Connection, notice: Notice) -> None:
        if isinstance(notice, Received):  # others say it, as often as they like: it never waits here
            self._receive(notice)
        elif isinstance(notice, LeftOut):
            self._leave_out(notice.why)
        else:
            self._notices.append((connection, notice))
        self._wake.set()

    def _take(self, notice: Notice) -> None:
        match notice:
            case Opened():
                self._answer_by = time.monotonic() + self._answer_seconds
            case Accepted():
                self._accept(notice)
            case Subscribed(refused):
                self._delivery.subscribed(refused)
            case Acknowledged(number, code):
                self._delivery.acknowledge(number, code)
            case Echoed(topic):
                self._delivery.came_back(topic)
            case Ended():
                self._end(notice)

    def _accept(self, accepted: Accepted) -> None:
        self._answer_by = math.inf
        if not self._negotiation.accepted():
            log.debug("mqtt: %s takes %s; better terms are tried once more", self._address, self._terms)
            self._drop()
            self._dial_at = 0.0
            return
        self.connected, self.trouble = True, None
        self._accepted_at = time.monotonic()
        self._delivery.begin(accepted, subscribed=self._terms.subscribe)
        self._say_conditions()

    def _say_conditions(self) -> None:
        """Log on which terms there is a connection, if they are others than before."""
        conditions = [f"speaks {VERSIONS[self._terms.protocol]}", *self._delivery.lessened()]
        if self._terms.protocol == MQTT_3:
            conditions.insert(1, "which has no way to say that a message is refused")
        if self._terms.will is not Will.RETAINED:
            conditions.append(f"last will: {self._terms.will.value}")
        said = "; ".join(conditions)
        if said != self._said_conditions:
            self._said_conditions = said
            log.info("mqtt: %s %s", self._address, said)

    def _leave_out(self, why: str) -> None:
        """Count a message to us that cannot be read; in paho's thread, for a flood must not pile up."""
        self.left_out += 1
        if time.monotonic() - self._said_left_out_at >= SAID_SECONDS:
            self._said_left_out_at = time.monotonic()
            log.warning("mqtt: %s: %s (%d so far)", self._address, why, self.left_out)

    def _judge_silence(self) -> None:
        """Give up a connection on which the broker does not say what it must."""
        if time.monotonic() >= self._answer_by:
            within = f"within {self._answer_seconds:g} s"
            # A broker that let us in before speaks MQTT: it hangs, or its machine is too busy.
            spoke = not math.isinf(self._accepted_at)
            why = f"does not answer {within}" if spoke else NOT_MQTT.format(f"no answer {within}")
            self._drop()
            self._end(Ended(why, wordless=True))
        elif self._delivery.judge_silence():
            self._drop()
            self._end(Ended(SILENT))

    def _drop(self) -> None:
        """Leave the connection without waiting for its end."""
        self.close()
        self._connection = None

    def _end(self, end: Ended) -> None:
        now = time.monotonic()
        was_connected, trouble = self.connected, f"{self._address} {end.why}"
        if was_connected and end.why is not None:
            self.trouble = trouble  # before the next line: who sees that there is no connection may ask why
        self.connected = False
        self._connection, self._answer_by = None, math.inf
        if was_connected:
            self._negotiation.begin()
            self._negotiation.broke(end)
            if not self._delivery.end(end):
                self._contention.ended(end, lasted=now - self._accepted_at)
        elif end.why is not None and self._negotiation.failed(end):
            log.debug("mqtt: %s %s", self._address, end.why)
            self._dial_at = 0.0
            return
        stable = was_connected and now - self._accepted_at >= STABLE_SECONDS
        if stable:
            self._backoff.reset()
        delay = self._contention.delay() if was_connected else None
        self._dial_at = now + max(self._backoff.next(), delay or 0.0)
        self.ended += 1
        if end.why is None:
            return
        # A broker that stays away, or ends every connection, is one line, not one for each attempt.
        if trouble != self._said_trouble or stable:
            log.warning("mqtt: %s", trouble)
        self.trouble = self._said_trouble = trouble
