"""A broker that misbehaves as told, in MQTT 3.1.1 and 5: raw sockets on 127.0.0.1, one thread a connection.

What it does with each packet comes from functions; what it saw is kept for the test to look at.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field

CLOSE, SILENCE = "close", "silence"
"""Answers beside bytes: end the connection, or say nothing."""

MQTT_3, MQTT_5 = 4, 5


@dataclass
class Seen:
    """A request to connect, and what came over the connection."""

    protocol: int
    client_id: str
    will: tuple[str, int, bool] | None
    """Topic, QoS and retain of the last will."""
    published: list = field(default_factory=list)
    filters: list = field(default_factory=list)
    channel: socket.socket | None = None

    def send(self, content):
        self.channel.sendall(content)

    def end(self):
        with suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Published:
    topic: str
    text: str
    qos: int
    retain: bool
    message: int
    size: int


def length(number):
    """Return a number as MQTT writes the length of a packet."""
    found = b""
    while True:
        number, digit = divmod(number, 128)
        found += bytes([digit | (128 if number else 0)])
        if not number:
            return found


def packet(head, content):
    return bytes([head]) + length(len(content)) + content


def text(words):
    words = words if isinstance(words, bytes) else words.encode()
    return struct.pack("!H", len(words)) + words


def publish(topic, content=b"", *, protocol=MQTT_3, retain=False):
    """Return a packet that carries a message with QoS 0."""
    return packet(0x30 | retain, text(topic) + (b"\0" if protocol == MQTT_5 else b"") + content)


def connack(protocol, code=0, properties=b""):
    """Return the answer to a request to connect."""
    more = length(len(properties)) + properties if protocol == MQTT_5 else b""
    return packet(0x20, bytes([0, code]) + more)


def acknowledgement(seen, published, code=0):
    """Return PUBACK, or what QoS 2 has in its place."""
    head = {1: 0x40, 2: 0x50}[published.qos]
    more = bytes([code]) if seen.protocol == MQTT_5 and code else b""
    return packet(head, struct.pack("!H", published.message) + more)


def disconnect(code, properties=b""):
    return packet(0xE0, bytes([code]) + length(len(properties)) + properties)


class OddBroker:
    """A context manager with a ``port``; each function gets what was `Seen`, returns bytes, CLOSE or SILENCE.

    Parameters
    ----------
    on_connect : callable
        Answers a request to connect.
    on_publish : callable
        Also gets the message; None as an answer acknowledges it.
    on_subscribe : callable
        Also gets the filters; may return a list of codes, None takes them all.
    then : callable
        Is called with what was seen once the connection is accepted; sends what it likes.
    """

    def __init__(
        self,
        *,
        on_connect=lambda seen: connack(seen.protocol),
        on_publish=lambda _seen, _message: None,
        on_subscribe=lambda _seen, _filters: None,
        then=lambda _seen: None,
        echo=False,
    ):
        self._on_connect, self._on_publish, self._on_subscribe, self._then = (
            on_connect,
            on_publish,
            on_subscribe,
            then,
        )
        self._echo = echo
        self.connections: list[Seen] = []

    def __enter__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for seen in self.connections:
            seen.end()
        self._thread.join()

    @property
    def published(self):
        """All messages, of all connections."""
        return [message for seen in tuple(self.connections) for message in tuple(seen.published)]

    def texts(self, topic):
        return [message.text for message in self.published if message.topic == topic]

    def _accept(self):
        while True:
            try:
                channel, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(channel,), daemon=True).start()

    def _serve(self, channel):
        # A client that goes away, or a test that ends, is no failure.
        with channel, channel.makefile("rb") as stream, suppress(OSError, IndexError, struct.error):
            seen = None
            while (read := _read(stream)) is not None:
                head, content = read
                kind = head >> 4
                if kind == 1:
                    seen = _seen(content)
                    seen.channel = channel
                    self.connections.append(seen)
                    answer = self._on_connect(seen)
                elif kind == 3:
                    answer = self._take(seen, head, content)
                elif kind == 6:
                    answer = packet(0x70, content[:2])
                elif kind == 8:
                    answer = self._subscribe(seen, content)
                elif kind == 12:
                    answer = packet(0xD0, b"")
                else:
                    answer = CLOSE if kind == 14 else SILENCE
                if answer == CLOSE:
                    seen.end()
                    return
                if answer != SILENCE:
                    channel.sendall(answer)
                if kind == 1 and isinstance(answer, bytes) and answer[3] == 0:
                    self._then(seen)

    def _take(self, seen, head, content):
        qos, retain = (head >> 1) & 3, bool(head & 1)
        size = struct.unpack("!H", content[:2])[0] + 2
        topic, rest = content[2:size].decode(), content[size:]
        number = 0
        if qos:
            number, rest = struct.unpack("!H", rest[:2])[0], rest[2:]
        if seen.protocol == MQTT_5:
            rest = rest[1 + rest[0] :]
        message = Published(topic, rest.decode(), qos, retain, number, len(content))
        answer = self._on_publish(seen, message)
        if answer is None:
            seen.published.append(message)
            if self._echo and topic in seen.filters:
                seen.send(publish(topic, rest, protocol=seen.protocol))
            return acknowledgement(seen, message) if qos else SILENCE
        return answer

    def _subscribe(self, seen, content):
        at = 2 + (1 + content[2] if seen.protocol == MQTT_5 else 0)
        filters = []
        while at < len(content):
            size = struct.unpack("!H", content[at : at + 2])[0]
            filters.append(content[at + 2 : at + 2 + size].decode())
            at += 3 + size
        answer = self._on_subscribe(seen, filters)
        if isinstance(answer, list | None):
            codes = [1] * len(filters) if answer is None else answer
            seen.filters += [topic for topic, code in zip(filters, codes, strict=False) if code < 128]
            properties = b"\0" if seen.protocol == MQTT_5 else b""
            return packet(0x90, content[:2] + properties + bytes(codes))
        return answer


def _read(stream):
    head = stream.read(1)
    if not head:
        return None
    number = shift = 0
    while True:
        digit = stream.read(1)[0]
        number |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return head[0], stream.read(number)


def _seen(content):
    protocol, flags = content[6], content[7]
    at = 10 + (1 + content[10] if protocol == MQTT_5 else 0)

    def next_text(at):
        size = struct.unpack("!H", content[at : at + 2])[0]
        return content[at + 2 : at + 2 + size].decode(), at + 2 + size

    client_id, at = next_text(at)
    will = None
    if flags & 4:
        at += 1 if protocol == MQTT_5 else 0
        topic, at = next_text(at)
        will = (topic, (flags >> 3) & 3, bool(flags & 32))
    return Seen(protocol, client_id, will)
