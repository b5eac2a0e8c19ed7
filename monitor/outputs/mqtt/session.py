"""MQTT session: reconnects whenever the connection breaks, and tracks what was delivered.

One thread, the publisher's, calls everything except `wake`.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from monitor.outputs.mqtt.client_id_conflict import ClientIdConflict
from monitor.outputs.mqtt.connection import Connection
from monitor.outputs.mqtt.connection_events import (
    Acknowledged,
    Connected,
    ConnectionEvent,
    Disconnected,
    Echoed,
    Received,
    SocketOpened,
    Subscribed,
    Unreadable,
)
from monitor.outputs.mqtt.delivery import NO_ANSWER, Delivery
from monitor.outputs.mqtt.negotiation import MQTT_3, MQTT_5, VERSIONS, ConnectOptions, LastWill, Negotiation
from monitor.outputs.mqtt.tls import NOT_MQTT
from monitor.system.backoff import Backoff
from monitor.system.trouble_log import TroubleLog
from monitor.types import ExitCode, OutputError

log = logging.getLogger(__name__)

STABLE_SECONDS = 60.0
"""A connection that lasted this long resets the delay between attempts."""

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds between two attempts; each failure doubles them."""

UNREADABLE_LOG_SECONDS = 600.0
"""Between two log lines about received messages that cannot be read."""

CONNECT_ANSWER_SECONDS = 5.0
"""A broker answers a connect request at once; what is silent for this long does not speak MQTT."""

_DEFAULT_CONDITIONS = f"speaks {VERSIONS[MQTT_5]}"

Connect = Callable[[ConnectOptions, Callable[[Connection, ConnectionEvent], None]], Connection]
"""Starts a `Connection` with the given options; it reports events to the given function."""


class UnreachableError(OutputError):
    """The broker cannot be reached, does not answer, or has not taken all messages."""

    exit_code = ExitCode.UNREACHABLE


class MqttSession:
    """Publish over one connection after another to the broker at an address, which is for display.

    ``receive`` receives messages under the subscribed topics, in the thread of the connection; it must
    neither block nor fail.
    """

    def __init__(
        self,
        connect: Connect,
        delivery: Delivery,
        *,
        address: str,
        client_id: str,
        receive: Callable[[Received], None],
        negotiation: Negotiation,
    ) -> None:
        self.delivery = delivery
        self.connected = False
        self.trouble: str | None = None
        """Why there is no connection, for display; None while there is one, and before the first attempt."""
        self.unreadable = 0
        """Received messages that could not be read."""
        self.ended = 0
        """Failed attempts and broken connections; in-flight messages are forgotten each time."""
        self._connect = connect
        self.address = address
        self._receive = receive
        self._negotiation = negotiation
        self._client_id_conflict = ClientIdConflict(client_id)
        self._connection: Connection | None = None
        self._options = negotiation.options
        self._events: deque[tuple[Connection, ConnectionEvent]] = deque()
        self._wake = threading.Event()
        self._connect_at = 0.0
        self._backoff = Backoff(FIRST_DELAY, LONGEST_DELAY)
        self._answer_by = math.inf
        self._connected_at = math.inf
        self._logged_trouble = ""
        self._logged_conditions = _DEFAULT_CONDITIONS
        self._unreadable_log = TroubleLog(log, burst=1, seconds=UNREADABLE_LOG_SECONDS)

    @property
    def pending_trouble(self) -> str:
        """What `trouble` would be if the current attempt got no further."""
        if math.isinf(self._answer_by):
            return f"{self.address} has not been reached yet"
        return f"{self.address} {NOT_MQTT.format('no answer so far')}"

    def problems(self) -> list[str]:
        """Return what the broker refuses although we are connected; each begins with its address."""
        conflict = self._client_id_conflict.trouble
        troubles = [*self.delivery.troubles(), *([] if conflict is None else [conflict])]
        return [f"{self.address} {trouble}" for trouble in troubles]

    def wake(self) -> None:
        """End the current or the next `wait`; from any thread."""
        self._wake.set()

    def wait(self, until: float) -> bool:
        """Wait for `wake`, for the broker, or until a monotonic time; keep the connection up.

        Returns whether there is a new connection, on which nothing has been published yet.
        """
        if self._connection is None and time.monotonic() >= self._connect_at:
            self._options = replace(self._negotiation.options, subscribe=self.delivery.subscribes)
            self._connection = self._connect(self._options, self._notify)
        due = min(until, self._answer_by, self.delivery.due())
        if self._connection is None:
            due = min(due, self._connect_at)
        self._wake.wait(None if math.isinf(due) else max(0.0, due - time.monotonic()))
        self._wake.clear()
        before = self._connected_at
        while self._events:
            connection, event = self._events.popleft()
            if connection is self._connection:
                self._handle(event)
        self._check_timeouts()
        return self.connected and self._connected_at != before

    def publish(
        self, topic: str, text: str, *, qos: int, retain: bool = False, event: int | None = None
    ) -> None:
        """Send a message on the current connection; with QoS 0, only an event is tracked."""
        if self._connection is None:
            raise RuntimeError("there is no connection")
        self.delivery.publish(self._connection.publish, (topic, text), qos=qos, retain=retain, event=event)

    def retry_now(self) -> None:
        """Make the next attempt without delay."""
        self._connect_at = 0.0

    def unsubscribe(self) -> None:
        """Ask for no further messages on the current connection."""
        if self._connection is not None:
            self._connection.unsubscribe()

    def close(self) -> None:
        """Disconnect, if connected; `ended` grows once it is done."""
        if self._connection is not None:
            self._connection.close()

    def _notify(self, connection: Connection, event: ConnectionEvent) -> None:
        """Take an event, in the thread of the connection."""
        if isinstance(event, Received):  # other clients decide how many: they must not pile up here
            self._receive(event)
        elif isinstance(event, Unreadable):
            self.unreadable += 1
            self._unreadable_log.warning("mqtt: %s: %s", self.address, event.reason)
        else:
            self._events.append((connection, event))
        self._wake.set()

    def _handle(self, event: ConnectionEvent) -> None:
        match event:
            case SocketOpened():
                self._answer_by = time.monotonic() + CONNECT_ANSWER_SECONDS
            case Connected():
                self._handle_connected(event)
            case Subscribed(refused):
                self.delivery.subscribed(refused)
            case Acknowledged(packet_id, code):
                self.delivery.acknowledge(packet_id, code)
            case Echoed(topic):
                self.delivery.check.received(topic)
            case Disconnected():
                self._handle_end(event)

    def _handle_connected(self, connected: Connected) -> None:
        self._answer_by = math.inf
        if not self._negotiation.connected():
            log.debug("mqtt: %s accepts %s; trying better options once more", self.address, self._options)
            self._drop()
            self._connect_at = 0.0
            return
        self._connected_at = time.monotonic()
        self.delivery.begin(connected, subscribed=self._options.subscribe)
        self.connected, self.trouble = True, None  # last: other threads then ask whether it is subscribed
        self._log_conditions()

    def _log_conditions(self) -> None:
        """Log version, last will and restrictions of the connection when they change."""
        conditions = [f"speaks {VERSIONS[self._options.protocol]}", *self.delivery.downgrades()]
        if self._options.protocol == MQTT_3:
            conditions.insert(1, "which has no way to report a refused message")
        if self._options.will is not LastWill.RETAINED:
            conditions.append(f"last will: {self._options.will.value}")
        text = "; ".join(conditions)
        if text != self._logged_conditions:
            self._logged_conditions = text
            log.info("mqtt: %s %s", self.address, text)

    def _check_timeouts(self) -> None:
        """Give up a connection on which the broker does not answer."""
        if time.monotonic() >= self._answer_by:
            within = f"within {CONNECT_ANSWER_SECONDS:g} s"
            # A broker that accepted a connection before speaks MQTT: it hangs, or its machine is too busy.
            speaks_mqtt = not math.isinf(self._connected_at)
            reason = f"does not answer {within}" if speaks_mqtt else NOT_MQTT.format(f"no answer {within}")
            self._drop()
            self._handle_end(Disconnected(reason, unanswered=True))
        elif self.delivery.check_timeouts():
            self._drop()
            self._handle_end(Disconnected(NO_ANSWER))

    def _drop(self) -> None:
        """Close the connection without waiting for its end."""
        self.close()
        self._connection = None

    def _handle_end(self, end: Disconnected) -> None:
        now = time.monotonic()
        was_connected, trouble = self.connected, f"{self.address} {end.reason}"
        if was_connected and end.reason is not None:
            self.trouble = trouble  # before `connected` changes: other threads read both
        self.connected = False
        self._connection, self._answer_by = None, math.inf
        lasted, conflict_delay = now - self._connected_at, 0.0
        if was_connected:
            self._negotiation.disconnected(end)
            if not self.delivery.end(end):
                self._client_id_conflict.disconnected(end, seconds=lasted)
            conflict_delay = self._client_id_conflict.delay()
        elif end.reason is not None and self._negotiation.refused(end):
            log.debug("mqtt: %s %s", self.address, end.reason)
            self._connect_at = 0.0
            return
        stable = was_connected and lasted >= STABLE_SECONDS
        if stable:
            self._backoff.reset()
        self._connect_at = now + max(self._backoff.next(), conflict_delay)
        self.ended += 1
        if end.reason is None:
            return
        # One line for a broker that stays away or ends every connection, not one for each attempt.
        if trouble != self._logged_trouble or stable:
            log.warning("mqtt: %s", trouble)
        self.trouble = self._logged_trouble = trouble
