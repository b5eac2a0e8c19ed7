"""Listen routes: the live audio of a source, and who has listened."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import BaseModel

from monitor.outputs.store.rows import StoredListen
from monitor.outputs.web.context import Context
from monitor.outputs.web.listen_stream import ListenStream
from monitor.outputs.web.routes.events import query_store

routes = APIRouter(tags=["listen"])

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/webm": {"schema": {"type": "string", "format": "binary"}}}},
    401: {"description": "The token that may listen is required"},
    403: {"description": "This token may not listen, or web.listen is false"},
    404: {"description": "No such source"},
    409: {"description": "Detection is disarmed"},
    503: {"description": "The source is offline, or too many listen"},
}


class Listens(BaseModel):
    """Times that somebody heard a source live, newest first."""

    rows: tuple[StoredListen, ...]


@routes.get("/sources/{name}/listen", response_class=ListenStream, responses=_ANSWERS)
async def hear_source(
    context: Context, request: Request, name: Annotated[str, Path(max_length=32)]
) -> ListenStream:
    """Stream the live audio of a source, WebM with Opus, for at most 10 minutes, while detection is armed.

    Needs the token that may listen.  Everyone who can read sees that somebody listens.
    """
    if name not in context.broadcast.sources:
        raise HTTPException(404, f"There is no source {name!r}")
    client: Any = request.scope["client"]
    return ListenStream(
        context.listeners.listening(name, request.state.address), lambda: context.unsent(tuple(client))
    )


@routes.get("/listens", responses={503: {"description": "The store is not available now"}})
def list_listens(context: Context, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Listens:
    """Return when somebody heard a source live, from where, and why it ended, newest first."""
    return Listens(rows=query_store(context, lambda reader: reader.listens(limit)))
