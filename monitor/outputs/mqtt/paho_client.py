"""paho client with fixes for what a misbehaving broker can do to paho.

Each override documents what happens without it, and has a test in `tests/outputs/mqtt/test_odd_broker.py`
because it relies on names inside paho.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from monitor.outputs.mqtt.negotiation import MQTT_5
from monitor.outputs.mqtt.reason_codes import REFUSED
from monitor.system.boundary import boundary
from monitor.types import OutputError

MAX_CONTENT_BYTES = 65_536
"""Content of a received message; a longer message is dropped."""

MAX_PACKET_BYTES = 2 * MAX_CONTENT_BYTES
"""Bytes of a received packet that are kept; the longest topic takes half of them."""

MAX_IN_FLIGHT = 20
"""Messages sent and not acknowledged; further messages wait in paho."""

MAX_UNFINISHED = 100
"""QoS 2 messages that a broker has begun to send and not completed; we never request any."""

_REASON_CODE_LENGTH = 3  # bytes of an answer that has a reason code


class PahoClient(Client):
    """paho client that reports, and survives, packets that break paho.

    ``protocol`` is a protocol level.  ``on_broken`` receives the reason when paho's thread ends with an
    exception, in that thread.
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
        """Held while another thread wakes paho's thread, so that the wake-up socket stays open meanwhile."""

    @property
    def packet_bytes(self) -> int:
        """Size of the packet that is being read."""
        return int(self._in_packet["remaining_length"])

    def limit_in_flight(self, receive_maximum: int) -> None:
        """Send at most this many messages without an acknowledgement; paho cannot change it later."""
        self._max_inflight_messages = min(MAX_IN_FLIGHT, receive_maximum)

    def _thread_main(self) -> None:
        # Without it, an exception caused by a broken packet ends the thread: the connection hangs for ever.
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
        # Without it, a message of 120 MB takes 370 MB for a moment.  The beginning, with the topic, is kept.
        packet = self._in_packet["packet"]
        if len(packet) > MAX_PACKET_BYTES:
            del packet[MAX_PACKET_BYTES:]
        return super()._sock_recv(min(bufsize, MAX_CONTENT_BYTES))

    def _handle_publish(self) -> MQTTErrorCode:
        # Without it, QoS 2 messages that a broker begins and never completes pile up, to 4 GB.
        result = super()._handle_publish()
        return MQTTErrorCode.MQTT_ERR_PROTOCOL if len(self._in_messages) > MAX_UNFINISHED else result

    def _packet_write(self) -> MQTTErrorCode:
        # Without it, answers sent before the broker closed go unread, and the wrong message is blamed.
        result = super()._packet_write()
        if result == MQTTErrorCode.MQTT_ERR_CONN_LOST:
            packet = self._in_packet
            if packet["have_remaining"] and not packet["to_process"]:
                # paho writes while it handles this packet: `_packet_read` would handle it again, without end.
                return MQTTErrorCode.MQTT_ERR_AGAIN
            while self._sock is not None and self._packet_read() == MQTTErrorCode.MQTT_ERR_SUCCESS:
                pass
        return result

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        # Without it, a reason code that paho does not expect ends the connection, each time again.
        if cmd == "PUBACK" and self._is_refused():
            return self._report_refused()
        return super()._handle_pubackcomp(cmd)

    def _handle_pubrec(self) -> MQTTErrorCode:
        # Without it, a QoS 2 message that the broker refuses counts as delivered.
        return self._report_refused() if self._is_refused() else super()._handle_pubrec()

    def _is_refused(self) -> bool:
        packet = self._in_packet["packet"]
        return self._protocol == MQTT_5 and len(packet) >= _REASON_CODE_LENGTH and packet[2] >= REFUSED

    def _report_refused(self) -> MQTTErrorCode:
        """Report the message as finished, with the reason code of the packet."""
        packet = self._in_packet["packet"]
        packet_id = int.from_bytes(packet[:2])
        reason = ReasonCode(PacketTypes.PUBACK, identifier=REFUSED)
        reason.value = packet[2]
        with self._out_message_mutex:
            if packet_id not in self._out_messages:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
            properties = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call]
            return self._do_on_publish(packet_id, reason, properties)
