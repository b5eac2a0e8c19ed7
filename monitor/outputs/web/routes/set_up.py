"""Set-up routes: microphones by their level, cameras, prompt packs, broker, and the file that is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Request, Response

from monitor.config import BrokerChoice, CameraChoice, Choices
from monitor.outputs.web.routes.session import set_cookie
from monitor.outputs.web.set_up_actions import SetUpActions
from monitor.types import ConfigError, MonitorError, OutputError, SourceError

routes = APIRouter(prefix="/setup", tags=["set-up"])

_BY_INGRESS = (
    "This monitor is set up in Home Assistant: choose microphone, cameras and sounds under Settings > Apps > "
    "clap-monitor > Configuration, and restart the app."
)
_ELSEWHERE = "This monitor is set up by its command line, or in the panel of the Home Assistant app"


def _actions(request: Request) -> SetUpActions:
    found: SetUpActions | None = request.app.state.context.set_up
    if found is None:
        raise HTTPException(404, _BY_INGRESS if request.state.ingress else _ELSEWHERE)
    return found


Actions = Annotated[SetUpActions, Depends(_actions)]


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise HTTPException(422, str(error)) from error
    except (SourceError, OutputError) as error:
        raise HTTPException(503, str(error)) from error
    except MonitorError as error:
        raise HTTPException(409, str(error)) from error


@routes.get("")
def read_set_up(set_up: Actions) -> dict[str, Any]:
    """Return what set-up begins with: the file, the prompt packs, the time zone."""
    with _refusals():
        return set_up.overview()


@routes.get("/levels")
def read_levels(set_up: Actions) -> list[dict[str, Any]]:
    """Return the level of every microphone; they stay open for some seconds."""
    with _refusals():
        return set_up.levels()


@routes.get("/brokers")
def find_brokers(set_up: Actions) -> list[str]:
    """Return the usual names at which a broker answers."""
    return set_up.brokers()


@routes.post("/camera")
def try_camera(set_up: Actions, camera: CameraChoice) -> list[dict[str, Any]]:
    """Connect to a camera, and listen to it for some seconds."""
    with _refusals():
        return set_up.try_camera(camera)


@routes.post("/broker")
def try_broker(
    set_up: Actions, broker: Annotated[BrokerChoice, Body()], node: Annotated[str, Body(max_length=32)]
) -> list[dict[str, Any]]:
    """Check each step to a broker; nothing stays retained there."""
    with _refusals():
        return set_up.try_broker(broker, node)


@routes.post("/preview")
def preview_set_up(set_up: Actions, choices: Choices) -> dict[str, Any]:
    """Return the configuration that would be written."""
    with _refusals():
        return set_up.preview(choices)


@routes.post("/apply")
def apply_set_up(
    set_up: Actions,
    choices: Annotated[Choices, Body()],
    revision: Annotated[str, Body(max_length=64)],
    request: Request,
    response: Response,
) -> dict[str, bool]:
    """Write the configuration; the monitor then starts with it."""
    with _refusals():
        token = set_up.apply(choices, revision)
    context = request.app.state.context
    if token is not None:
        context.access.end_first_run(token)
        owner = context.access.token
        set_cookie(context, request, response, owner, owner.session())
    return {"written": True}
