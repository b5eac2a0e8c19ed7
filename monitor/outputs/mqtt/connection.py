"""Connection to the broker: one attempt, from its start to its end; `session` makes the next.

A `Connection` never reconnects: the session makes a new one.  So paho, which would resend its own queue after
a reconnect, can neither replace a newer state by an old one nor send an event that waited for an hour as new.

Whatever a broker sends, paho's thread does not end unnoticed: the connection ends with a reason.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from monitor.config import MqttConfig
from monitor.outputs.mqtt.connection_events import (
    Acknowledged,
    BrokerLimits,
    Connected,
    ConnectionEvent,
    Disconnected,
    Echoed,
    Received,
    SocketOpened,
    Subscribed,
    Unreadable,
)
from monitor.outputs.mqtt.negotiation import MQTT_3, MQTT_5, ConnectOptions, LastWill
from monitor.outputs.mqtt.paho_client import MAX_CONTENT_BYTES, MAX_IN_FLIGHT, MAX_PACKET_BYTES, PahoClient
from monitor.outputs.mqtt.reason_codes import explain_disconnect, explain_refused_connection
from monitor.outputs.mqtt.tls import CLOSED_AFTER_TLS, CONNECT_SECONDS, NOT_MQTT, explain_connect_error
from monitor.system.boundary import boundary, printable
from monitor.types import OutputError

NOT_UTF8 = "a message under a topic that is not UTF-8 is left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionProfile:
    """What all connections to one broker have in common."""

    config: MqttConfig
    """With a host."""
    client_id: str
    """The broker disconnects an older client with the same one."""
    password: str | None = None
    tls: ssl.SSLContext | None = None
    """Of `tls_context`."""
    will_topic: str | None = None
    """Topic under which the broker publishes ``offline`` if the connection breaks; None: no last will."""
    max_queued: int
    """Messages that may wait in paho; further ones are never acknowledged."""
    filters: tuple[str, ...] = ()
    """Topic filters to subscribe to, for commands and births."""
    own_topics: frozenset[str] = frozenset()
    """Topics of this monitor, subscribed to in order to see whether the broker delivers what is published."""


class Connection:
    """One attempt to connect, and the connection that it becomes.

    Nothing here blocks: a thread of paho resolves names and sends bytes.  ``notify`` receives this connection
    and an event, in that thread; it must neither block nor fail.
    """

    def __init__(
        self,
        profile: ConnectionProfile,
        options: ConnectOptions,
        notify: Callable[[Connection, ConnectionEvent], None],
    ) -> None:
        self._profile, self._notify = profile, notify
        # A broker that can report a refused message need not send everything back.
        checked = options.subscribe and (options.protocol == MQTT_3 or not profile.config.qos)
        self._own_topics = profile.own_topics if checked else frozenset()
        self._filters = (*profile.filters, *sorted(self._own_topics)) if options.subscribe else ()
        self._connected = False
        self._closed = False
        self._over = False
        self._subscription: int | None = None
        config = profile.config
        self._client = client = PahoClient(options.protocol, profile.client_id, self._on_broken)
        client.connect_timeout = CONNECT_SECONDS
        client.max_queued_messages_set(profile.max_queued)
        if profile.will_topic is not None and options.will is not LastWill.NONE:
            retain = options.will is LastWill.RETAINED
            client.will_set(profile.will_topic, "offline", qos=int(retain), retain=retain)
        client.username_pw_set(config.username, profile.password)
        if profile.tls is not None:
            client.tls_set_context(profile.tls)
        client.on_socket_open = self._on_socket_open
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        properties = None
        if options.protocol == MQTT_5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = MAX_PACKET_BYTES
        # With `connect_async` the first failure, too, arrives as a callback in paho's thread.
        client.connect_async(config.host or "", config.port, config.keepalive_seconds, properties=properties)
        client.loop_start()

    def publish(self, topic: str, text: str, *, qos: int, retain: bool) -> int:
        """Hand a message to paho; return the packet id by which it is acknowledged.

        paho's own return code is not reliable: a message that it reports as failed may be delivered.  Only
        `Acknowledged` counts.

        Raises
        ------
        OutputError
            MQTT cannot carry the message: its topic or text is not valid UTF-8, or too long.
        """
        with boundary(OutputError, printable(topic)):
            return self._client.publish(topic, text, qos=qos, retain=retain).mid

    def unsubscribe(self) -> None:
        """Ask for no further messages; those that the broker holds still come."""
        if self._filters:
            self._client.unsubscribe(list(self._filters))

    def close(self) -> None:
        """Disconnect cleanly, so that the broker does not send the last will; `Disconnected` follows."""
        self._closed = True
        self._client.disconnect()

    def _emit(self, event: ConnectionEvent) -> None:
        if not self._over:
            self._over = isinstance(event, Disconnected)
            self._notify(self, event)

    def _on_socket_open(self, _client: Client, _data: Any, _socket: Any) -> None:
        self._emit(SocketOpened())

    def _on_connect(
        self,
        client: Client,
        _data: Any,
        _flags: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._closed:
            client.disconnect()  # closed while paho was still looking up the host
        elif self._connected:
            return  # a second one has no meaning
        elif code.is_failure:
            self._emit(self._refusal(explain_refused_connection, code, properties))
        else:
            self._connected = True
            self._client.limit_in_flight(getattr(properties, "ReceiveMaximum", MAX_IN_FLIGHT))
            if self._filters:
                _, self._subscription = client.subscribe([(topic, 1) for topic in self._filters])
            self._emit(Connected(_limits(properties), self._own_topics))

    def _on_connect_fail(self, client: Client, _data: Any) -> None:
        error = sys.exception()  # paho passes no reason, but calls this while it handles the exception
        self._emit(Disconnected(explain_connect_error(error, tls=self._profile.tls is not None)))
        client.disconnect()  # ends paho's own retries

    def _on_subscribe(
        self, _client: Client, _data: Any, packet_id: int, codes: list[ReasonCode], _: Properties | None
    ) -> None:
        if packet_id != self._subscription:
            return
        answers = zip(self._filters, codes, strict=False)  # a broker may send too few or too many codes
        self._emit(Subscribed(tuple((topic, code.value) for topic, code in answers if code.is_failure)))

    def _on_publish(
        self, _client: Client, _data: Any, packet_id: int, code: ReasonCode, _: Properties | None
    ) -> None:
        # With QoS 2 the broker has already accepted: a packet id that it has forgotten changes nothing.
        refused = code.is_failure and code.packetType != PacketTypes.PUBCOMP
        self._emit(Acknowledged(packet_id, code.value if refused else 0))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # violates the protocol, but some brokers forward whatever is published
            self._emit(Unreadable(NOT_UTF8))
            return
        if topic in self._own_topics:
            if not message.retain:  # a retained one is from before
                self._emit(Echoed(topic))
        elif len(message.payload) > MAX_CONTENT_BYTES:
            size, shown = self._client.packet_bytes, printable(topic[:100])
            self._emit(Unreadable(f"a message of {size:,} bytes under {shown} is left out: too large"))
        else:
            text = message.payload.decode(errors="replace")  # any client may send any bytes
            self._emit(Received(topic, text, message.retain))

    def _on_disconnect(
        self,
        _client: Client,
        _data: Any,
        flags: DisconnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server and not self._closed:
            self._emit(self._refusal(explain_disconnect, code, properties))
        else:
            self._emit(self._end_without_packet(code))

    def _refusal(
        self, explain: Callable[[int, str, str], str], code: ReasonCode, properties: Properties | None
    ) -> Disconnected:
        other_server = printable(str(getattr(properties, "ServerReference", ""))[:100])
        return Disconnected(explain(code.value, self._profile.client_id, other_server), code=code.value)

    def _end_without_packet(self, code: ReasonCode) -> Disconnected:
        if self._closed:
            return Disconnected(None)
        if self._connected and code == "Protocol error":
            return Disconnected("sent something that is not MQTT", malformed=True)
        if self._connected:
            timed_out = code == "Keep alive timeout"
            return Disconnected("stopped answering" if timed_out else "closed the connection")
        if self._profile.tls is not None:
            # With TLS 1.3 a broker checks our certificate after our side of the handshake.
            return Disconnected(CLOSED_AFTER_TLS, unanswered=True)
        reason = NOT_MQTT.format("it closed the connection without an MQTT answer")
        return Disconnected(reason, unanswered=True)

    def _on_broken(self, reason: str) -> None:
        """Report a packet that paho cannot read; paho's thread ends with it."""
        if self._closed:
            self._emit(Disconnected(None))
        elif self._connected:
            self._emit(Disconnected(f"sent something that is not MQTT ({reason})", malformed=True))
        else:
            self._emit(Disconnected(NOT_MQTT.format(reason), malformed=True))


def _limits(properties: Properties | None) -> BrokerLimits:
    return BrokerLimits(
        max_qos=getattr(properties, "MaximumQoS", 2),
        retain=bool(getattr(properties, "RetainAvailable", 1)),
        max_bytes=getattr(properties, "MaximumPacketSize", None),
    )
