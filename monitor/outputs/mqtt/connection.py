"""Connection to the broker, from the attempt to its end; the only file that knows paho.

A `Connection` never reconnects: whoever uses it makes a new one.  So paho, which would send what it
still holds once more after a reconnect, cannot put an old state in place of a newer one, nor send an
event that waited for an hour as if it were new.

Whatever a broker sends, paho's thread does not end unseen: the connection ends with a reason.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, Literal

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from monitor.outputs.mqtt.connection_terms import MQTT_3, MQTT_5, Profile, Terms, Will
from monitor.outputs.mqtt.notices import (
    Accepted,
    Acknowledged,
    Echoed,
    Ended,
    LeftOut,
    Limits,
    Notice,
    Opened,
    Received,
    Subscribed,
)
from monitor.outputs.mqtt.reason_codes import REFUSING, explain_end, explain_refused_connection
from monitor.outputs.mqtt.tls import CONNECT_SECONDS, NO_WORD, NOT_MQTT, explain
from monitor.system.boundary import boundary, printable
from monitor.types import OutputError

MOST_BYTES = 65_536
"""Of the content of a message to us; a longer one is left out."""

MOST_PACKET = 2 * MOST_BYTES
"""Bytes of a packet that are kept; the longest topic has half of them."""

AT_ONCE = 20
"""Messages that have been sent and not acknowledged; more wait in paho."""

MOST_UNFINISHED = 100
"""Messages with QoS 2 that a broker has begun to send and not completed; we never ask for any."""

_WITH_REASON = 3  # bytes of an answer that has a reason code

NOT_UTF8 = "a message under a topic that is not UTF-8 is left out"


class Connection:
    """One attempt to connect, and the connection that it becomes.

    Nothing here blocks: names are resolved and bytes are sent in a thread of paho.  ``notify`` takes this
    connection and a notice, in that thread: it must not block and not fail.
    """

    def __init__(self, profile: Profile, terms: Terms, notify: Callable[[Connection, Notice], None]) -> None:
        self._profile, self._notify = profile, notify
        # A broker that can say what it refuses is not asked to send everything back.
        watched = terms.subscribe and (terms.protocol == MQTT_3 or not profile.config.qos)
        self._own = profile.own if watched else frozenset()
        self._filters = (*profile.listen, *sorted(self._own)) if terms.subscribe else ()
        self._accepted = False
        self._closed = False
        self._over = False
        self._subscription: int | None = None
        config = profile.config
        self._client = client = _Client(terms.protocol, profile.client_id, self._on_broken)
        client.connect_timeout = CONNECT_SECONDS
        client.max_queued_messages_set(profile.queue)
        if profile.will is not None and terms.will is not Will.NONE:
            lasting = terms.will is Will.RETAINED
            client.will_set(profile.will, "offline", qos=int(lasting), retain=lasting)
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
        if terms.protocol == MQTT_5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = MOST_PACKET
        # With `connect_async` the first failure, too, comes as a callback, in paho's thread.
        client.connect_async(config.host or "", config.port, config.keepalive_seconds, properties=properties)
        client.loop_start()

    def publish(self, topic: str, text: str, *, qos: int, retain: bool) -> int:
        """Hand a message to paho; return the number by which it is acknowledged.

        paho's own return code says nothing that can be relied on: a message that it reports as
        failed may be delivered.  Only `Acknowledged` counts.

        Raises
        ------
        OutputError
            It is no message of MQTT: its topic or its text cannot be written in UTF-8, or is too long.
        """
        with boundary(OutputError, printable(topic)):
            return self._client.publish(topic, text, qos=qos, retain=retain).mid

    def close(self) -> None:
        """Take leave of the broker, which then does not send the last will; `Ended` follows."""
        self._closed = True
        self._client.disconnect()

    def _tell(self, notice: Notice) -> None:
        if not self._over:
            self._over = isinstance(notice, Ended)
            self._notify(self, notice)

    def _on_socket_open(self, _client: Client, _data: Any, _socket: Any) -> None:
        self._tell(Opened())

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, more: Properties | None
    ) -> None:
        if self._closed:
            client.disconnect()  # closed while paho was still looking for the host
        elif self._accepted:
            return  # once more, which means nothing
        elif reason.is_failure:
            why = explain_refused_connection(
                reason.value, client_id=self._profile.client_id, elsewhere=_elsewhere(more)
            )
            self._tell(Ended(why, code=reason.value))
        else:
            self._accepted = True
            self._client.limit_at_once(getattr(more, "ReceiveMaximum", AT_ONCE))
            if self._filters:
                _, self._subscription = client.subscribe([(topic, 1) for topic in self._filters])
            self._tell(Accepted(_limits(more), self._own))

    def _on_connect_fail(self, client: Client, _data: Any) -> None:
        error = sys.exception()  # paho passes no reason, but calls this while it handles one
        self._tell(Ended(explain(error, tls=self._profile.tls is not None)))
        client.disconnect()  # ends paho's own retries

    def _on_subscribe(
        self, _client: Client, _data: Any, message: int, reasons: list[ReasonCode], _more: Properties | None
    ) -> None:
        if message != self._subscription:
            return
        answers = zip(self._filters, reasons, strict=False)  # a broker may answer too little, or too much
        self._notify(
            self, Subscribed(tuple((topic, reason.value) for topic, reason in answers if reason.is_failure))
        )

    def _on_publish(
        self, _client: Client, _data: Any, message: int, reason: ReasonCode, _more: Properties | None
    ) -> None:
        # With QoS 2 the broker has decided before: that it has forgotten the number changes nothing.
        refused = reason.is_failure and reason.packetType != PacketTypes.PUBCOMP
        self._tell(Acknowledged(message, reason.value if refused else 0))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except (
            UnicodeDecodeError
        ):  # against the protocol, but some brokers hand on whatever somebody publishes
            self._tell(LeftOut(NOT_UTF8))
            return
        if topic in self._own:
            if not message.retain:  # else it is from before
                self._tell(Echoed(topic))
        elif len(message.payload) > MOST_BYTES:
            size, shown = self._client.packet_bytes, printable(topic[:100])
            self._tell(LeftOut(f"a message of {size:,} bytes under {shown} is left out: too large"))
        else:
            text = message.payload.decode(errors="replace")  # it may be anything, from anyone
            self._tell(Received(topic, text, message.retain))

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, more: Properties | None
    ) -> None:
        self._tell(self._end(reason, more, told=flags.is_disconnect_packet_from_server))

    def _end(self, reason: ReasonCode, more: Properties | None, *, told: bool) -> Ended:
        if self._closed:
            return Ended(None)
        if told:
            why = explain_end(reason.value, client_id=self._profile.client_id, elsewhere=_elsewhere(more))
            return Ended(why, code=reason.value)
        malformed = reason == "Protocol error"
        if self._accepted and malformed:
            return Ended("sent something that is not MQTT", malformed=True)
        if self._accepted:
            stopped = reason == "Keep alive timeout"
            return Ended("stopped answering" if stopped else "closed the connection")
        if self._profile.tls is not None:
            # With TLS 1.3 a broker judges our certificate after our side of the handshake.
            return Ended(NO_WORD, wordless=True)
        return Ended(NOT_MQTT.format("it closed the connection without an MQTT answer"), wordless=True)

    def _on_broken(self, why: str) -> None:
        """Take what the broker sent and paho cannot read; its thread ends with it."""
        if self._closed:
            self._tell(Ended(None))
        elif self._accepted:
            self._tell(Ended(f"sent something that is not MQTT ({why})", malformed=True))
        else:
            self._tell(Ended(NOT_MQTT.format(why), malformed=True))


class _Client(Client):
    """paho's client, held to the protocol where it forgets it.

    Each override says what happens without it, and has a test in `tests/outputs/test_odd_broker.py`, for it
    relies on names inside of paho.  ``on_broken`` takes what ends paho's thread, in that thread.
    """

    def __init__(self, protocol: int, client_id: str, on_broken: Callable[[str], None]) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion(protocol),
            reconnect_on_failure=False,
        )
        self._on_broken = on_broken
        self._waking = threading.RLock()
        """Held while another thread wakes paho's, so that what wakes it is not closed meanwhile."""

    @property
    def packet_bytes(self) -> int:
        """Size of the packet that is being read."""
        return int(self._in_packet["remaining_length"])

    def limit_at_once(self, most: int) -> None:
        """Let fewer messages be on their way; paho has no way to do so once the broker has said how many."""
        self._max_inflight_messages = min(AT_ONCE, most)

    def _thread_main(self) -> None:
        # Without it, what a broken packet makes paho raise ends its thread: connected for ever, and deaf.
        try:
            with boundary(OutputError, "paho"):
                super()._thread_main()
        except OutputError as error:
            self._sock_close()
            self._on_broken(str(error).removeprefix("paho: "))
        finally:
            # Without it, two sockets of each connection stay open until a full garbage collection.
            with self._waking:
                self._reset_sockets()

    def _packet_queue(self, *arguments: Any, **options: Any) -> MQTTErrorCode:
        with self._waking:
            return super()._packet_queue(*arguments, **options)

    def _sock_recv(self, bufsize: int) -> bytes:
        # Without it, a message of 120 MB takes 370 MB for a moment.  The beginning is kept, with the topic.
        packet = self._in_packet["packet"]
        if len(packet) > MOST_PACKET:
            del packet[MOST_PACKET:]
        return super()._sock_recv(min(bufsize, MOST_BYTES))

    def _handle_publish(self) -> MQTTErrorCode:
        # Without it, what a broker begins to send with QoS 2 and never completes piles up, up to 4 GB.
        taken = super()._handle_publish()
        return MQTTErrorCode.MQTT_ERR_PROTOCOL if len(self._in_messages) > MOST_UNFINISHED else taken

    def _packet_write(self) -> MQTTErrorCode:
        # Without it, what the broker answered before it closed goes unread, and the wrong message is blamed.
        written = super()._packet_write()
        if written == MQTTErrorCode.MQTT_ERR_CONN_LOST:
            while self._sock is not None and self._packet_read() == MQTTErrorCode.MQTT_ERR_SUCCESS:
                pass
        return written

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        # Without it, a reason that paho does not expect in an answer ends the connection, each time anew.
        if cmd == "PUBACK" and self._refuses():
            return self._refused()
        return super()._handle_pubackcomp(cmd)

    def _handle_pubrec(self) -> MQTTErrorCode:
        # Without it, a message with QoS 2 that the broker refuses counts as delivered.
        return self._refused() if self._refuses() else super()._handle_pubrec()

    def _refuses(self) -> bool:
        packet = self._in_packet["packet"]
        return self._protocol == MQTT_5 and len(packet) >= _WITH_REASON and packet[2] >= REFUSING

    def _refused(self) -> MQTTErrorCode:
        """Report the message as finished, with the reason of the broker as it stands in the packet."""
        packet = self._in_packet["packet"]
        message = int.from_bytes(packet[:2])
        reason = ReasonCode(PacketTypes.PUBACK, identifier=REFUSING)
        reason.value = packet[2]
        with self._out_message_mutex:
            if message not in self._out_messages:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
            more = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call]
            return self._do_on_publish(message, reason, more)


def _limits(properties: Properties | None) -> Limits:
    """Return what the broker says that it can take."""
    return Limits(
        max_qos=getattr(properties, "MaximumQoS", 2),
        retain=bool(getattr(properties, "RetainAvailable", 1)),
        max_bytes=getattr(properties, "MaximumPacketSize", None),
    )


def _elsewhere(properties: Properties | None) -> str:
    return printable(str(getattr(properties, "ServerReference", ""))[:100])
