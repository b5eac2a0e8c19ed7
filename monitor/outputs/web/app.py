"""Web application: the page, its static files, and the API."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from monitor import __version__
from monitor.outputs.prometheus import CONTENT_TYPE
from monitor.outputs.web.context import AppContext, Context
from monitor.outputs.web.middleware import RequestGuard
from monitor.outputs.web.routes import (
    advice,
    clips,
    events,
    label_examples,
    labels,
    listen,
    memory_search,
    replayed_events,
    session,
    set_up,
    status,
)
from monitor.system.boundary import printable

STATIC = Path(__file__).parent / "static"

_ABOUT = """
What the monitor detects, and what it should detect.  Times are Unix seconds, scores are in [0, 1], levels
are dB of full scale.  Every change needs the token: `Authorization: Bearer TOKEN`.
"""


def application(context: AppContext) -> ASGIApp:
    """Return the ASGI application, behind a `RequestGuard`; its routes show and change the context."""
    app = FastAPI(
        title="clap-monitor",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        servers=[{"url": context.prefix or "/"}],
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        exception_handlers={RequestValidationError: _refuse},
    )
    app.state.context = context
    for routes in (
        status.routes,
        events.routes,
        clips.routes,
        labels.routes,
        advice.routes,
        label_examples.routes,
        listen.routes,
        memory_search.routes,
        replayed_events.routes,
        session.routes,
        set_up.routes,
    ):
        app.include_router(routes, prefix="/api")
    app.add_api_route("/", _page, include_in_schema=False)
    app.add_api_route("/setup", _set_up, include_in_schema=False)
    app.add_api_route("/docs", _docs, include_in_schema=False)
    if context.metrics is not None:
        app.add_api_route("/metrics", _metrics, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return RequestGuard(app, context.access, context.faults, context.prefix)


async def _refuse(_: Request, error: RequestValidationError) -> Response:
    """Name each fault and its place, without repeating what was sent."""
    detail = [
        {"loc": [each if isinstance(each, int) else printable(str(each))[:100] for each in fault["loc"]]}
        | {"msg": printable(fault["msg"])[:300], "type": fault["type"]}
        for fault in error.errors()[:20]
    ]
    return JSONResponse({"detail": detail}, 422)


def _metrics(context: Context) -> Response:
    assert context.metrics is not None  # noqa: S101 - otherwise the route does not exist
    return Response(context.metrics(), media_type=CONTENT_TYPE)


def _page() -> FileResponse:
    return FileResponse(STATIC / "index.html")


def _set_up() -> FileResponse:
    return FileResponse(STATIC / "setup.html")


def _docs() -> FileResponse:
    return FileResponse(STATIC / "docs.html")
