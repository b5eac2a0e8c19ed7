"""Connections of the web server: uvicorn's, with limits of time, number and unsent bytes."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import sys
import termios
from contextlib import suppress
from typing import Any

import h11
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from monitor.outputs.faults import Faults
from monitor.outputs.web.connection_limits import MAX_CONNECTIONS, MAX_REJECTED, ConnectionLimits
from monitor.outputs.web.peers import address_group
from monitor.outputs.web.request_limits import oversize

_MAX_UNSENT = 256 * 1024
"""Bytes that may wait for a client that sends but does not read."""

_REJECTION_SECONDS = 1.0
"""How long a rejected connection may send its request and receive a 503."""

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 10\r\ncontent-length: 0\r\n\r\n"
)


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Return the bytes that wait in this process and in the kernel until the other side has taken them."""
    ours: socket.socket = transport.get_extra_info("socket")
    waiting = bytearray(4)
    with suppress(OSError):  # it is closed
        fcntl.ioctl(ours.fileno(), termios.TIOCOUTQ, waiting)
    return transport.get_write_buffer_size() + int.from_bytes(waiting, sys.byteorder)


class LimitedConnection(asyncio.Protocol):
    """Common part of both kinds: `ConnectionLimits` counts and ends it, and a fault ends no other connection.

    The other arguments are uvicorn's.
    """

    kind: str
    transport: asyncio.Transport
    client: tuple[str, int] | None

    def __init__(self, *, limits: ConnectionLimits, faults: Faults, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.address = ""
        self.since = 0.0
        self._limits = limits
        self._faults = faults
        self._drained = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self.address = address_group(self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._limits.remove(self)
        with self._faults.counted(f"a {self.kind} that ended"):
            super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Go on sending: the client reads."""
        self._drained += 1
        super().resume_writing()

    def shutdown(self) -> None:
        """End with the server, in any state."""
        with self._faults.counted(f"the end of a {self.kind}", self.drop):
            super().shutdown()  # type: ignore[misc] # of both of uvicorn's classes

    def drop(self) -> None:
        """End at once."""
        self.transport.abort()

    def expire(self, _state: str) -> None:
        """End because the client made no progress."""
        self.drop()

    def progress(self) -> tuple[object, ...]:
        """Return the state, and what changes when the client makes progress."""
        raise NotImplementedError


class HttpConnection(LimitedConnection, H11Protocol):
    """HTTP connection."""

    kind = "connection"

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._is_rejected = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if there is room."""
        super().connection_made(transport)
        if not self._limits.admit(self, self.loop.time()):
            self._is_rejected = True
            full = len(self.connections) > MAX_CONNECTIONS + MAX_REJECTED
            self.loop.call_later(0.0 if full else _REJECTION_SECONDS, self.transport.abort)

    def progress(self) -> tuple[object, ...]:
        """Return the state; another request is progress, and so is a part of the answer that was read."""
        return (self._state(), self.cycle, self._drained)

    def expire(self, state: str) -> None:
        """End, with a 408 if a request has begun and its answer has not."""
        begun = bool(self.conn.trailing_data[0]) or state == "body"
        if state in {"head", "body"} and not self._is_answered():
            self._cancel_request()
            if begun:
                self.transport.write(_TIMEOUT)
            self.transport.close()
        else:
            self.drop()

    def drop(self) -> None:
        """End at once."""
        self._cancel_request()
        super().drop()

    def data_received(self, data: bytes) -> None:
        """Receive; a bug in clap-monitor ends this connection only."""
        if self._is_rejected:
            self.transport.write(_FULL)
            self.transport.close()
            return
        with self._faults.counted("the reading of a request", self.drop):
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; an answer that has begun is cut off."""
        if self._is_answered() or self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.drop()
            return
        self._cancel_request()
        super().send_400_response(msg)

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection."""
        with self._faults.counted("the end of a connection", self.drop):
            super().timeout_keep_alive_handler()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to `WebSocketConnection`."""
        self._unset_keepalive_if_required()
        super().handle_websocket_upgrade(event)
        become = self.transport.get_protocol()
        if isinstance(become, WebSocketConnection):
            self._limits.replace(self, become, self.loop.time())

    def _should_upgrade(self) -> bool:
        """Return whether the parser of WebSockets takes the request; if not, it is an ordinary one."""
        names = {name for name, _ in self.headers}
        plain = self.scope["method"] == "GET" and self.scope["http_version"] == "1.1"
        bodiless = not names & {b"content-length", b"transfer-encoding"}
        return plain and bodiless and not oversize(self.scope) and super()._should_upgrade()

    def _state(self) -> str:
        if self.transport.is_closing():
            return "closing"
        if self.flow.write_paused:
            return "unread"
        return _WAITING.get(self.conn.their_state, "answer")

    def _is_answered(self) -> bool:
        """Return whether an answer to the newest request has begun, so that another would be part of it."""
        if self.cycle is None or not self.cycle.response_started:
            return False
        return not (self.cycle.response_complete and self.conn.our_state is h11.IDLE)

    def _cancel_request(self) -> None:
        """Let the handler of the request know that the client is gone."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()


_WAITING = {h11.IDLE: "head", h11.SEND_BODY: "body"}


class WebSocketConnection(LimitedConnection, WebSocketsSansIOProtocol):
    """Connection that has become a WebSocket.  Messages of the client are dropped."""

    kind = "WebSocket"

    def progress(self) -> tuple[object, ...]:
        """Return the state; messages that were read are progress."""
        if self.transport.is_closing():
            state = "closing"
        elif not self.writable.is_set():
            state = "unread"
        else:
            state = "answer" if self.handshake_complete or self.handshake_initiated else "head"
        return (state, self._drained)

    def data_received(self, data: bytes) -> None:
        """Receive; end if it is no handshake, or if the replies to pings are not read."""
        with self._faults.counted("the reading of a WebSocket", self.drop):
            super().data_received(data)
        if not self.handshake_initiated or self.transport.get_write_buffer_size() > _MAX_UNSENT:
            self.drop()

    async def send(self, message: ASGISendEvent) -> None:
        """Send while the client is there; `receive` reports that it has gone."""
        with suppress(ClientDisconnected):
            if not self.transport.is_closing():
                await super().send(message)

    def handle_text(self, event: Frame) -> None:
        """Drop a message, or a fragment of one: fragments without an end would fill the memory."""

    handle_bytes = handle_cont = handle_text
