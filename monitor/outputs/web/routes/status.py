"""What is heard now: status, health, and the stream of news."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response, WebSocket
from pydantic import BaseModel, Field

from monitor.audio.ring_buffer import OverrunError
from monitor.outputs.web.context import AppContext, Context
from monitor.outputs.web.event_stream import EventStream, over_websocket
from monitor.outputs.web.routes.labels import labels_message

routes = APIRouter(tags=["now"])


class Healthy(BaseModel):
    """Whether all is well."""

    healthy: bool = Field(description="Every source is heard and scored, nothing is lost.")


def told(context: AppContext) -> dict[str, Any]:
    """What every part counts, the page itself among them."""
    live = context.broadcast
    web = {"watchers": live.watchers, "dropped": live.dropped, "skipped": live.skipped}
    return {**context.snapshot(), "web": {**web, "refused": context.access.refused, **context.counts()}}


def greeting(context: AppContext) -> dict[str, object]:
    """First news of a stream: what the others refer to."""
    return {
        "node": context.control.config.node,
        "sources": list(context.broadcast.sources),
        "hop_seconds": context.hop_seconds,
        "spectrogram": context.broadcast.spectrogram_format,
        "problems": context.snapshot()["problems"],
        "active": [asdict(event) for event in context.broadcast.active],
        **labels_message(context.control.active_labels),
    }


@routes.get("/status")
def status(context: Context) -> dict[str, Any]:
    """Say what every part counts, and what is wrong."""
    return told(context)


@routes.get("/health", responses={503: {"model": Healthy, "description": "Something is wrong"}})
def health(context: Context, response: Response) -> Healthy:
    """Answer 200 if all is well and 503 if not; why, `status` says."""
    healthy = not context.snapshot()["problems"]
    response.status_code = 200 if healthy else 503
    return Healthy(healthy=healthy)


class Picture(BaseModel):
    """A piece of a spectrogram: the model's own log-mel."""

    at: float = Field(description="When the first column starts.")
    bins: int
    columns: str = Field(description="Base64 of one byte a bin, lowest frequency first, column after column.")


@routes.get(
    "/spectrogram", responses={404: {"description": "No such source"}, 503: {"description": "Not there yet"}}
)
def spectrogram(context: Context, source: Annotated[str, Query(max_length=32)]) -> Picture:
    """Return the spectrogram of what is in memory of a source: 15 s, or a minute if clips are kept."""
    if source not in context.broadcast.sources:
        raise HTTPException(404, f"There is no source {source!r}")
    try:
        return Picture.model_validate(context.broadcast.spectrogram(source))
    except OverrunError as error:
        raise HTTPException(503, str(error)) from error


@routes.get(
    "/live",
    response_class=EventStream,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        503: {"description": "Too many are watching"},
    },
)
async def live(context: Context) -> EventStream:
    """Send events: first `hello`, then `scores`, `event`, `near_miss`, `health`, `labels` as they come."""
    return EventStream(context.broadcast, greeting(context), context.abort)


@routes.websocket("/live/ws")
async def live_ws(socket: WebSocket, context: Context) -> None:
    """Send the same as JSON objects with `kind` and `data`."""
    await over_websocket(socket, context.broadcast, greeting(context), context.abort)
