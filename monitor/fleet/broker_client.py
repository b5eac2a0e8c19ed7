"""Broker client: what a command reads from the broker and publishes there, kept connected by a thread."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

from monitor.config import MqttConfig, read_password
from monitor.outputs.mqtt.connection import Connection, ConnectionProfile
from monitor.outputs.mqtt.connection_events import Received
from monitor.outputs.mqtt.delivery import Delivery
from monitor.outputs.mqtt.negotiation import Negotiation
from monitor.outputs.mqtt.session import MqttSession, UnreachableError
from monitor.outputs.mqtt.tls import broker_address, tls_context
from monitor.types import ConfigError, OutputError

CONNECT_SECONDS = 15.0
"""Longest wait for the first connection."""

QUIET_SECONDS = 1.0
"""Once no retained message has come for this long, all have come."""

ANSWER_SECONDS = 15.0
"""Longest wait for the acknowledgement of a message."""

MAX_WAITING = 100
"""Messages that wait to be published."""

_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class _Message:
    number: int
    topic: str
    text: str


class BrokerClient:
    """Connection to the broker that is made again whenever it breaks; a context manager.

    Parameters
    ----------
    config : MqttConfig
        With a host.
    filters : tuple of str
        Topic filters to subscribe to.
    receive : callable
        Receives each message in the thread of the connection.  It must not fail; as long as it waits, the
        broker sends nothing more.

    Raises
    ------
    ConfigError
        There is no host, or a file of the configuration cannot be used.
    """

    def __init__(
        self, config: MqttConfig, filters: tuple[str, ...], receive: Callable[[Received], None]
    ) -> None:
        if config.host is None:
            raise ConfigError("mqtt.host: not set; name the broker there, or with --broker")
        self._receive = receive
        address = broker_address(config)
        name = f"clap-monitor-fleet-{secrets.token_hex(4)}"
        profile = ConnectionProfile(
            config=config,
            client_id=name,
            password=read_password(config),
            tls=tls_context(config),
            max_queued=MAX_WAITING,
            filters=filters,
        )
        self._session = MqttSession(
            partial(Connection, profile),
            Delivery(address, config.keepalive_seconds),
            address=address,
            client_id=name,
            receive=self._on_message,
            negotiation=Negotiation(config.protocol),
        )
        self._received_at = self._retained_at = 0.0
        self._to_publish: deque[_Message] = deque(maxlen=MAX_WAITING)
        self._answers: dict[int, bool] = {}
        self._numbered = 0
        self._unsubscribing = self._closed = False
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._session.wake()
        self._thread.join(CONNECT_SECONDS)

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._session.connected

    @property
    def trouble(self) -> str | None:
        """What is wrong at the moment, for display; None if all is well."""
        if not self._session.connected:
            return self._session.trouble or self._session.pending_trouble
        return next(iter(self._session.problems()), None)

    @property
    def is_quiet(self) -> bool:
        """Whether no message has come for `QUIET_SECONDS`, or there is no connection."""
        return not self._session.connected or time.monotonic() >= self._received_at + QUIET_SECONDS

    def unsubscribe(self) -> None:
        """Ask for no further messages; those that the broker holds for us come until it `is_quiet`."""
        self._received_at = time.monotonic()
        self._unsubscribing = True
        self._session.wake()

    def wait_connected(self, seconds: float = CONNECT_SECONDS) -> None:
        """Wait for the first connection, and for the answer to the subscription.

        Raises
        ------
        UnreachableError
            There is none.
        """
        until = time.monotonic() + seconds
        while not (self._session.connected and self._session.delivery.is_subscribed):
            if time.monotonic() >= until:
                raise UnreachableError(f"mqtt: {self.trouble}")
            time.sleep(_LOOK_SECONDS)

    def wait_retained(self) -> None:
        """Wait until no retained message has come for `QUIET_SECONDS`; raises as `wait_connected`."""
        self.wait_connected()
        self._retained_at = max(self._retained_at, time.monotonic())
        while (left := self._retained_at + QUIET_SECONDS - time.monotonic()) > 0:
            time.sleep(left)

    def publish(self, topic: str, text: str) -> None:
        """Publish a retained message, and wait until the broker has it.

        Raises
        ------
        OutputError
            The broker refuses it, or does not answer.
        """
        self._numbered += 1
        number = self._numbered
        self._to_publish.append(_Message(number, topic, text))
        self._session.wake()
        until = time.monotonic() + ANSWER_SECONDS
        while number not in self._answers:
            if time.monotonic() >= until:
                raise UnreachableError(f"mqtt: {self.trouble or 'the broker does not answer'}")
            time.sleep(_LOOK_SECONDS)
        if not self._answers.pop(number):
            raise OutputError(f"mqtt: {self.trouble or f'the broker refuses {topic}'}")

    def _on_message(self, message: Received) -> None:
        self._received_at = time.monotonic()
        if message.retained:
            self._retained_at = self._received_at
        self._receive(message)

    def _run(self) -> None:
        session, delivery = self._session, self._session.delivery
        while not self._closed:
            session.wait(time.monotonic() + 1.0)
            self._answers |= dict.fromkeys(delivery.acknowledged, True)
            self._answers |= dict.fromkeys(delivery.returned, False)
            delivery.acknowledged.clear()
            delivery.returned.clear()
            if self._unsubscribing:
                self._unsubscribing = False
                session.unsubscribe()
            while session.connected and self._to_publish:
                message = self._to_publish.popleft()
                session.publish(message.topic, message.text, qos=1, retain=True, event=message.number)
        session.close()
        until = time.monotonic() + 1.0
        while session.connected and time.monotonic() < until:
            session.wait(until)
