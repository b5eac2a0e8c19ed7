"""Listen stream: the live audio of a source as an answer that goes on, for one listener."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from monitor.outputs.live.listeners import Listener, NoListeningError
from monitor.outputs.live.listening import ListenEnd
from monitor.outputs.live.webm import MEDIA_TYPE
from monitor.outputs.web.event_stream import until_disconnected
from monitor.types import OutputError


class ListenStream(Response):
    """WebM with Opus until the client disconnects, or the listener may not stay.

    Parameters
    ----------
    listening : context manager
        Gives the listener; may raise a `NoListeningError` or an `OutputError`.
    unsent : callable
        Returns the bytes that wait for the client.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        listening: AbstractContextManager[Listener],
        unsent: Callable[[], int],
        status_code: int = 200,
    ) -> None:
        super().__init__(
            status_code=status_code, headers={"cache-control": "no-store", "x-accel-buffering": "no"}
        )
        del self.headers["content-length"]
        self._listening = listening
        self._unsent = unsent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        try:
            with self._listening as listener:
                await self._send(listener, receive, send)
        except (NoListeningError, OutputError) as error:
            await _refusal(error)(scope, receive, send)

    async def _send(self, listener: Listener, receive: Receive, send: Send) -> None:
        self.headers["x-listen-id"] = listener.listen.id
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        disconnected = asyncio.ensure_future(until_disconnected(receive))
        encoder = ThreadPoolExecutor(1, f"listener {listener.listen.source}")
        loop = asyncio.get_running_loop()
        try:
            while not disconnected.done():
                reading = partial(listener.read, self._unsent())
                part = await loop.run_in_executor(encoder, reading)
                if part is None:
                    await send({"type": "http.response.body", "body": b""})
                    return
                if part:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        finally:
            disconnected.cancel()
            encoder.shutdown(wait=False)


def _refusal(error: NoListeningError | OutputError) -> Response:
    """Answer 409 while detection is disarmed, and 503 if it may be possible later."""
    reason = error.reason if isinstance(error, NoListeningError) else None
    if reason is ListenEnd.DISARMED:
        return JSONResponse({"detail": str(error)}, 409)
    return JSONResponse({"detail": str(error)}, 503, {"retry-after": "30"})
