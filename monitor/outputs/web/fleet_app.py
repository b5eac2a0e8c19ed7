"""Fleet application: a page with one row for each monitor on the broker, fed by a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse
from starlette.requests import HTTPConnection
from starlette.responses import StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from monitor import __version__
from monitor.outputs.faults import Faults
from monitor.outputs.web.app import STATIC
from monitor.outputs.web.auth import Access
from monitor.outputs.web.middleware import RequestGuard
from monitor.outputs.web.routes import session

LOOK_SECONDS = 1.0
"""From one look for changes to the next."""

PING_LOOKS = 15
"""Looks without a change after which the stream says that it is still there."""

Row = Mapping[str, Any]
"""A node, ready for JSON, with its name under ``node``."""


@dataclass(frozen=True, slots=True)
class FleetContext:
    """What the page shows; each function may be called from any thread."""

    access: Access
    faults: Faults
    rows: Callable[[], Sequence[Row]]
    """Returns all nodes."""
    summary: Callable[[], Row]
    """Returns the counts of all nodes, and under ``trouble`` what is wrong with the broker."""
    prefix: str = ""


def _context(request: HTTPConnection) -> FleetContext:
    context: FleetContext = request.app.state.context
    return context


Fleet = Annotated[FleetContext, Depends(_context)]


def fleet_application(context: FleetContext) -> ASGIApp:
    """Return the ASGI application, behind the same `RequestGuard` as the page of one monitor."""
    app = FastAPI(title="clap-monitor fleet", version=__version__, docs_url=None, redoc_url=None)
    app.state.context = context
    app.include_router(session.routes, prefix="/api")
    app.add_api_route("/api/fleet", _read_nodes)
    app.add_api_route("/api/fleet/live", _stream_nodes, response_model=None)
    app.add_api_route("/", _page, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return RequestGuard(app, context.access, context.faults, context.prefix)


def _page() -> FileResponse:
    return FileResponse(STATIC / "fleet.html")


def _read_nodes(fleet: Fleet) -> dict[str, Any]:
    """Return all nodes and their counts."""
    return {"summary": fleet.summary(), "nodes": fleet.rows()}


async def _stream_nodes(fleet: Fleet) -> StreamingResponse:
    """Stream the nodes that changed, all of them first, at most once a second."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_changes(fleet), media_type="text/event-stream", headers=headers)


async def _changes(fleet: FleetContext) -> AsyncIterator[str]:
    shown: dict[str, Row] = {}
    told: Row = {}
    looks = 0
    while True:
        rows = {row["node"]: row for row in await anyio.to_thread.run_sync(fleet.rows)}
        summary = await anyio.to_thread.run_sync(fleet.summary)
        changed = [row for name, row in rows.items() if shown.get(name) != row]
        gone = [name for name in shown if name not in rows]
        looks += 1
        if changed or gone or summary != told:
            yield _message({"summary": summary, "nodes": changed, "gone": gone})
            looks = 0
        elif looks >= PING_LOOKS:
            yield ": still here\n\n"
            looks = 0
        shown, told = rows, summary
        await asyncio.sleep(LOOK_SECONDS)


def _message(content: Row) -> str:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"event: nodes\ndata: {text}\n\n"
