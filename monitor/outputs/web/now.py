"""What is heard now: status, health, and the stream of news."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response, WebSocket
from pydantic import BaseModel, Field

from monitor.outputs.web.house import TheHouse
from monitor.outputs.web.stream import EventStream, over_websocket

routes = APIRouter(tags=["now"])


class Healthy(BaseModel):
    """Whether all is well."""

    healthy: bool = Field(description="Every source is heard and scored, nothing is lost.")


@routes.get("/status")
def status(house: TheHouse) -> dict[str, Any]:
    """Say what every part counts, and what is wrong."""
    return dict(house.status())


@routes.get("/health", responses={503: {"model": Healthy, "description": "Something is wrong"}})
def health(house: TheHouse, response: Response) -> Healthy:
    """Answer 200 if all is well and 503 if not; why, `status` says."""
    healthy = bool(house.status()["healthy"])
    response.status_code = 200 if healthy else 503
    return Healthy(healthy=healthy)


@routes.get(
    "/live",
    response_class=EventStream,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        503: {"description": "Too many are watching"},
    },
)
async def live(house: TheHouse) -> EventStream:
    """Send events: first `hello`, then `scores`, `event`, `near_miss`, `health`, `labels` as they come."""
    return EventStream(house.live, house.greeting(), house.abort)


@routes.websocket("/live/ws")
async def live_ws(socket: WebSocket, house: TheHouse) -> None:
    """Send the same as JSON objects with `kind` and `data`."""
    await over_websocket(socket, house.live, house.greeting(), house.abort)
