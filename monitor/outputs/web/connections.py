"""Connections of the web server: uvicorn's own, with an end to waiting and to what a client can pile up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import h11
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from monitor.outputs.request_faults import RequestFaults
from monitor.outputs.web.connection_limits import MOST, MOST_TURNED_AWAY, ConnectionLimits
from monitor.outputs.web.peers import household
from monitor.outputs.web.request_limits import is_oversized

_MOST_UNSENT = 256 * 1024
"""Bytes that may wait for a client that goes on asking and reads nothing."""

_FAREWELL_SECONDS = 1.0
"""For which one that is turned away may ask, and be told so."""

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 10\r\ncontent-length: 0\r\n\r\n"
)


class HttpConnection(H11Protocol):
    """A connection that speaks HTTP; a `crowd.Member`.

    Parameters
    ----------
    crowd : ConnectionLimits
        Lets it in, and ends it.
    faults : RequestFaults
    **uvicorns
        What uvicorn gives.
    """

    def __init__(self, *, crowd: ConnectionLimits, faults: RequestFaults, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.address = ""
        self.since = 0.0
        self._crowd = crowd
        self._faults = faults
        self._drained = 0
        self._is_turned_away = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin, if there is room."""
        super().connection_made(transport)
        self.address = household(self.client[0] if self.client else "")
        if not self._crowd.admit(self, self.loop.time()):
            self._is_turned_away = True
            full = len(self.connections) > MOST + MOST_TURNED_AWAY
            self.loop.call_later(0.0 if full else _FAREWELL_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._crowd.leave(self)
        with self._faults.counted("a connection that ended"):
            super().connection_lost(exc)

    def mark(self) -> tuple[object, ...]:
        """Return its state; it has got on if there is another request or some of the answer has gone."""
        return (self._state(), self.cycle, self._drained)

    def expire(self, state: str) -> None:
        """End it, with a 408 if a request has begun and no answer has."""
        begun = bool(self.conn.trailing_data[0]) or state == "body"
        if state in {"head", "body"} and not self._is_answered():
            self._forget_request()
            if begun:
                self.transport.write(_TIMEOUT)
            self.transport.close()
        else:
            self.drop()

    def drop(self) -> None:
        """End it at once."""
        self._forget_request()
        self.transport.abort()

    def resume_writing(self) -> None:
        """Go on, and note that the client reads."""
        self._drained += 1
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take what has come; a fault of ours ends this connection only."""
        if self._is_turned_away:
            self.transport.write(_FULL)
            self.transport.close()
            return
        with self._faults.counted("the reading of a request", self.drop):
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; where an answer has begun, cut it off."""
        if self._is_answered() or self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.drop()
            return
        self._forget_request()
        super().send_400_response(msg)

    def shutdown(self) -> None:
        """End with the server, in whatever state it is."""
        with self._faults.counted("the end of a connection", self.drop):
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """End what asks for nothing more."""
        with self._faults.counted("the end of a connection", self.drop):
            super().timeout_keep_alive_handler()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Become a WebSocket."""
        self._unset_keepalive_if_required()
        super().handle_websocket_upgrade(event)
        become = self.transport.get_protocol()
        if isinstance(become, WebSocketConnection):
            self._crowd.replace(self, become, self.loop.time())

    def _should_upgrade(self) -> bool:
        """Only what the WebSocket's own parser takes; all else is a request like any other."""
        names = {name for name, _ in self.headers}
        plain = self.scope["method"] == "GET" and self.scope["http_version"] == "1.1"
        bodiless = not names & {b"content-length", b"transfer-encoding"}
        return plain and bodiless and not is_oversized(self.scope) and super()._should_upgrade()

    def _state(self) -> str:
        if self.transport.is_closing():
            return "closing"
        if self.flow.write_paused:
            return "unread"
        return _WAITING.get(self.conn.their_state, "answer")

    def _is_answered(self) -> bool:
        """Whether an answer to the newest request has begun, and another word would be part of it."""
        return self.cycle is not None and self.cycle.response_started and not self._is_over()

    def _is_over(self) -> bool:
        return self.cycle.response_complete and self.conn.our_state is h11.IDLE

    def _forget_request(self) -> None:
        """Let whatever answers a request find out that nobody waits any more."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()


_WAITING = {h11.IDLE: "head", h11.SEND_BODY: "body"}


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A connection that has become a WebSocket; a `crowd.Member`.  What the client says is not kept.

    Parameters
    ----------
    crowd : ConnectionLimits
    faults : RequestFaults
    **uvicorns
        What uvicorn gives.
    """

    def __init__(self, *, crowd: ConnectionLimits, faults: RequestFaults, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.address = ""
        self.since = 0.0
        self._crowd = crowd
        self._faults = faults
        self._drained = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self.address = household(self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._crowd.leave(self)
        with self._faults.counted("a WebSocket that ended"):
            super().connection_lost(exc)

    def mark(self) -> tuple[object, ...]:
        """Return its state; it has got on if some of the news has gone."""
        if self.transport.is_closing():
            state = "closing"
        elif not self.writable.is_set():
            state = "unread"
        else:
            state = "answer" if self.handshake_complete or self.handshake_initiated else "head"
        return (state, self._drained)

    def expire(self, _: str) -> None:
        """End it."""
        self.drop()

    def drop(self) -> None:
        """End it at once."""
        self.transport.abort()

    def resume_writing(self) -> None:
        """Go on, and note that the client reads."""
        self._drained += 1
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take what has come; what is no handshake ends it, and so does asking on without reading."""
        with self._faults.counted("the reading of a WebSocket", self.drop):
            super().data_received(data)
        if not self.handshake_initiated or self.transport.get_write_buffer_size() > _MOST_UNSENT:
            self.drop()

    async def send(self, message: ASGISendEvent) -> None:
        """Send as far as there is anybody: that nobody is left is told by what is received."""
        with suppress(ClientDisconnected):
            if not self.transport.is_closing():
                await super().send(message)

    def shutdown(self) -> None:
        """End with the server, in whatever state it is."""
        with self._faults.counted("the end of a WebSocket", self.drop):
            super().shutdown()

    def handle_text(self, event: Frame) -> None:
        """Let it go by: a watcher has nothing to say."""

    def handle_bytes(self, event: Frame) -> None:
        """Let it go by."""

    def handle_cont(self, event: Frame) -> None:
        """Let it go by; pieces of nothing, without end, would fill the memory."""
