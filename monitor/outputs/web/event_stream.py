"""Event stream: live messages as server-sent events and over a WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
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
    """Watcher in the loop of the web server; a context manager, which raises `TooManyError` when it is made.

    ``abort`` cuts the connection of a client that does not read: nothing else ends its `send`.
    """

    def __init__(self, live: Broadcast, abort: Callable[[], None], view: str | None) -> None:
        self._live = live
        self._abort = abort
        self._ready = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._watcher = live.subscribe(lambda: loop.call_soon_threadsafe(self._on_messages), view)

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
        messages = [] if self._watcher.gone == "slow" else self._live.take(self._watcher)
        return messages or (None if self._watcher.gone else [])

    def _on_messages(self) -> None:
        self._ready.set()
        if self._watcher.gone == "slow":
            self._abort()


class EventStream(Response):
    """Server-sent events until the client disconnects, falls behind, or the monitor ends.

    The first one is ``hello``: what the others refer to.  ``view`` is the source whose spectrogram is needed;
    None: all.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        live: Broadcast,
        hello: dict[str, object],
        abort: Abort,
        view: str | None = None,
        status_code: int = 200,
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
        self._view = view

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        try:
            reader = Reader(self._live, lambda: self._cut(tuple(scope["client"])), self._view)
        except TooManyError as error:
            full = Response(str(error), status_code=503, headers={"retry-after": "30"})
            await full(scope, receive, send)
            return
        with reader:
            start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(start)
            disconnected = asyncio.ensure_future(until_disconnected(receive))
            try:
                await self._send(reader, disconnected, send)
            finally:
                disconnected.cancel()

    async def _send(self, reader: Reader, disconnected: asyncio.Future[None], send: Send) -> None:
        async def send_text(text: str) -> None:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

        await send_text(f"retry: 2000\nevent: hello\ndata: {json.dumps(self._hello)}\n\n")
        async for messages in _batches(reader, disconnected):
            events = (f"event: {message.kind}\ndata: {message.text}\n\n" for message in messages)
            await send_text("".join(events) or ": still here\n\n")
        if not disconnected.done():
            await send_text("event: end\ndata: {}\n\n")
            await send({"type": "http.response.body", "body": b""})


async def stream_websocket(
    socket: WebSocket, live: Broadcast, hello: dict[str, object], abort: Abort, view: str | None = None
) -> None:
    """Send the same messages as JSON objects with a ``kind``; those of the client are dropped."""
    client: Any = socket.scope["client"]
    try:
        reader = Reader(live, lambda: abort(tuple(client)), view)
    except TooManyError:
        await socket.close(1013)
        return
    with reader:
        await socket.accept()
        disconnected = asyncio.ensure_future(until_disconnected(socket.receive))
        try:
            await socket.send_text(_object("hello", json.dumps(hello)))
            async for messages in _batches(reader, disconnected):
                for message in messages:
                    await socket.send_text(_object(message.kind, message.text))
            if not disconnected.done():
                await socket.close(1001)
        except WebSocketDisconnect:
            return
        finally:
            disconnected.cancel()


async def _batches(reader: Reader, disconnected: asyncio.Future[None]) -> AsyncIterator[list[Message]]:
    """Yield messages, none of them if a ping is due, until the client disconnects or the monitor ends."""
    while True:
        messages = asyncio.ensure_future(reader.next())
        waiting: set[asyncio.Future[Any]] = {messages, disconnected}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if disconnected.done():
            messages.cancel()
            return
        batch = messages.result()
        if batch is None:
            return
        yield batch


def _object(kind: str, text: str) -> str:
    return f'{{"kind":"{kind}","data":{text}}}'


async def until_disconnected(receive: Receive) -> None:
    """Wait until the client of a request, or of a WebSocket, has gone."""
    while (await receive())["type"] not in {"http.disconnect", "websocket.disconnect"}:
        pass
