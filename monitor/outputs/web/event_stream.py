"""Event stream: live messages as server-sent events and over a WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from monitor.outputs.live.broadcast import Broadcast, Message, TooManyError

PING_SECONDS = 15.0
"""Longest time without a message: proxies and dead connections are found by it."""

Abort = Callable[[tuple[str, int]], None]
"""Cut the connection of a client, given by address and port."""


class Reader:
    """Watcher in the loop of the web server; a context manager.

    Parameters
    ----------
    live : Broadcast
    abort : callable
        Cuts the connection of a client that does not read: nothing else ends its `send`.

    Raises
    ------
    TooManyError
    """

    def __init__(self, live: Broadcast, abort: Callable[[], None]) -> None:
        self._live = live
        self._abort = abort
        self._ready = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._watcher = live.subscribe(lambda: loop.call_soon_threadsafe(self._on_messages))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._live.unsubscribe(self._watcher)

    async def next(self) -> list[Message] | None:
        """Wait for messages; none of them if a ping is due, None at the end."""
        try:
            async with asyncio.timeout(PING_SECONDS):
                if not self._watcher.gone:
                    await self._ready.wait()
        except TimeoutError:
            return []
        self._ready.clear()
        messages = [] if self._watcher.gone == "slow" else self._watcher.take()
        return messages or (None if self._watcher.gone else [])

    def _on_messages(self) -> None:
        self._ready.set()
        if self._watcher.gone == "slow":
            self._abort()


class EventStream(Response):
    """Server-sent events until the client disconnects, falls behind, or the monitor ends.

    Parameters
    ----------
    live : Broadcast
    hello : mapping
        First event: what the others refer to.
    abort : callable
    """

    media_type = "text/event-stream"

    def __init__(
        self, live: Broadcast, hello: dict[str, object], abort: Abort, status_code: int = 200
    ) -> None:
        super().__init__(
            status_code=status_code,
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
            media_type=self.media_type,
        )
        del self.headers["content-length"]
        self._live = live
        self._hello = hello
        self._cut = abort

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        try:
            reader = Reader(self._live, lambda: self._cut(tuple(scope["client"])))
        except TooManyError as error:
            full = Response(str(error), status_code=503, headers={"retry-after": "30"})
            await full(scope, receive, send)
            return
        with reader:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            disconnected = asyncio.ensure_future(_until_disconnected(receive))
            try:
                await self._send(reader, disconnected, send)
            finally:
                disconnected.cancel()

    async def _send(self, reader: Reader, disconnected: asyncio.Future[None], send: Send) -> None:
        async def send_text(text: str) -> None:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

        await send_text(f"retry: 2000\nevent: hello\ndata: {json.dumps(self._hello)}\n\n")
        while True:
            messages = await _messages(reader, disconnected)
            if disconnected.done():
                return
            if messages is None:
                break
            await send_text("".join(map(_event, messages)) or ": still here\n\n")
        await send_text("event: end\ndata: {}\n\n")
        await send({"type": "http.response.body", "body": b""})


async def stream_websocket(
    socket: WebSocket, live: Broadcast, hello: dict[str, object], abort: Abort
) -> None:
    """Send the same messages as JSON objects with a ``kind``; those of the client are dropped."""
    client: Any = socket.scope["client"]
    try:
        reader = Reader(live, lambda: abort(tuple(client)))
    except TooManyError:
        await socket.close(1013)
        return
    with reader:
        await socket.accept()
        disconnected = asyncio.ensure_future(_until_closed(socket))
        try:
            await socket.send_text(_object("hello", json.dumps(hello)))
            while not disconnected.done():
                messages = await _messages(reader, disconnected)
                if disconnected.done():
                    return
                if messages is None:
                    await socket.close(1001)
                    return
                for message in messages:
                    await socket.send_text(_object(message.kind, message.text))
        except WebSocketDisconnect:
            return
        finally:
            disconnected.cancel()


async def _messages(reader: Reader, disconnected: asyncio.Future[None]) -> list[Message] | None:
    """Wait for messages until the client disconnects; None then, and at the end."""
    messages = asyncio.ensure_future(reader.next())
    waiting: set[asyncio.Future[Any]] = {messages, disconnected}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if disconnected.done():
        messages.cancel()
        return None
    return messages.result()


def _event(message: Message) -> str:
    return f"event: {message.kind}\ndata: {message.text}\n\n"


def _object(kind: str, text: str) -> str:
    return f'{{"kind":"{kind}","data":{text}}}'


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_closed(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
