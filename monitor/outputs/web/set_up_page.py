"""Web application of the first run: the set-up alone, before there is anything to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from monitor import __version__
from monitor.outputs.faults import Faults
from monitor.outputs.web.app import STATIC
from monitor.outputs.web.auth import Access
from monitor.outputs.web.middleware import RequestGuard
from monitor.outputs.web.routes import session, set_up
from monitor.outputs.web.set_up_actions import SetUpActions


@dataclass(frozen=True, slots=True)
class SetUpContext:
    """What the page of the first run may use."""

    access: Access
    set_up: SetUpActions
    status: Callable[[], Mapping[str, Any]]
    """Returns what `clap-monitor status` shows."""
    prefix: str = ""
    faults: Faults = field(default_factory=Faults)
    """Bugs in clap-monitor in requests."""


def set_up_application(context: SetUpContext) -> ASGIApp:
    """Return the ASGI application, behind a `RequestGuard`; the page of the monitor takes its place later."""
    app = FastAPI(
        title="clap-monitor: set-up",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.context = context
    app.include_router(session.routes, prefix="/api")
    app.include_router(set_up.routes, prefix="/api")
    app.add_api_route("/api/status", _status)
    app.add_api_route("/api/health", _unhealthy)
    app.add_api_route("/", page)
    app.add_api_route("/setup", page)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return RequestGuard(app, context.access, context.faults, context.prefix)


def page() -> FileResponse:
    """Return the page of set-up."""
    return FileResponse(STATIC / "setup.html")


def _status(request: Request) -> Mapping[str, Any]:
    context: SetUpContext = request.app.state.context
    return context.status()


def _unhealthy() -> Response:
    """Nothing is heard before set-up, so nobody may think that the monitor watches."""
    return Response('{"healthy":false}', 503, media_type="application/json")
