"""Status routes: status, health, spectrogram, and the live stream."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response, WebSocket
from pydantic import BaseModel, Field

from monitor.audio.ring_buffer import OverrunError
from monitor.outputs.live.broadcast import labels_message
from monitor.outputs.web.context import AppContext, Context
from monitor.outputs.web.event_stream import EventStream, stream_websocket

routes = APIRouter(tags=["now"])


class Health(BaseModel):
    """Health of the monitor."""

    healthy: bool = Field(description="Every source delivers audio that is scored, and nothing is lost.")


@routes.get("/status")
def read_status(context: Context) -> dict[str, Any]:
    """Return what every part counts, and what is wrong."""
    live = context.broadcast
    web = {"watchers": live.watchers, "dropped": live.dropped, "skipped": live.skipped}
    return {**context.snapshot(), "web": {**web, "refused": context.access.refused, **context.counts()}}


def hello(context: AppContext) -> dict[str, object]:
    """Return the first message of a stream: what the others refer to."""
    return {
        "node": context.control.config.node,
        "sources": list(context.broadcast.sources),
        "hop_seconds": context.hop_seconds,
        "spectrogram": context.broadcast.spectrogram_format,
        "problems": context.snapshot()["problems"],
        "active": list(context.broadcast.active),
        "listen": context.access.listen_token.exists,
        "listeners": {source: counts.now for source, counts in context.listeners.counts.items()},
        **labels_message(context.control.active_labels),
    }


@routes.get("/health", responses={503: {"model": Health, "description": "There is a problem"}})
def read_health(context: Context, response: Response) -> Health:
    """Answer 200 if the monitor is healthy and 503 if not; `status` says why."""
    healthy = not context.snapshot()["problems"]
    response.status_code = 200 if healthy else 503
    return Health(healthy=healthy)


class Spectrogram(BaseModel):
    """Part of a spectrogram: the log-mel that the model gets."""

    at: float = Field(description="Start of the first column.")
    bins: int
    columns: str = Field(description="Base64: one byte per bin, lowest frequency first, column after column.")


@routes.get(
    "/spectrogram", responses={404: {"description": "No such source"}, 503: {"description": "No audio yet"}}
)
def read_spectrogram(context: Context, source: Annotated[str, Query(max_length=32)]) -> Spectrogram:
    """Return the spectrogram of the audio of a source in memory: 15 s, or a minute if clips are recorded."""
    if source not in context.broadcast.sources:
        raise HTTPException(404, f"There is no source {source!r}")
    try:
        return Spectrogram.model_validate(context.broadcast.spectrogram(source))
    except OverrunError as error:
        raise HTTPException(503, str(error)) from error


View = Annotated[
    str | None,
    Query(
        max_length=32,
        description="Send the spectrogram of this source only: with many sources, that is less work. "
        "Unset: all.",
    ),
]


@routes.get(
    "/live",
    response_class=EventStream,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        503: {"description": "Too many clients"},
    },
)
async def stream_events(context: Context, view: View = None) -> EventStream:
    """Stream events: first `hello`, then `scores`, `event`, `near_miss`, `listener`, `health`, `labels`."""
    return EventStream(context.broadcast, hello(context), context.abort, view)


@routes.websocket("/live/ws")
async def stream_events_over_websocket(socket: WebSocket, context: Context, view: View = None) -> None:
    """Stream the same as JSON objects with `kind` and `data`."""
    await stream_websocket(socket, context.broadcast, hello(context), context.abort, view)
