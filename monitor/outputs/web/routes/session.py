"""Whether this browser may read and change things, and how it shows the token."""

from __future__ import annotations

import math
import time
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, Field

from monitor.outputs.web.auth import COOKIE, SESSION_SECONDS, UNCHANGEABLE, Refusal
from monitor.outputs.web.context import AppContext, Context

routes = APIRouter(tags=["session"])


class Session(BaseModel):
    """What this browser may do."""

    read: bool = Field(description="Whether it may read.")
    write: bool = Field(description="Whether it may change things.")
    reason: str | None = Field(description="Why it may not change things.")


class Shown(BaseModel):
    """The token, as a person typed it."""

    token: Annotated[str, Field(min_length=1, max_length=200)]


@routes.get("/session")
def see(request: Request, context: Context) -> Session:
    """Say what this browser may do."""
    headers = {key: value for key, value in request.headers.items() if key != "authorization"}
    refusal = context.access.check_token(headers, _address(request))
    return Session(
        read=context.access.check_read(headers, _address(request)) is None,
        write=refusal is None,
        reason=refusal.reason if refusal else None,
    )


@routes.post(
    "/session", responses={401: {"description": "Not the token"}, 403: {"description": UNCHANGEABLE}}
)
def enter(shown: Shown, request: Request, response: Response, context: Context) -> Session:
    """Take the token, and give a cookie that stands for it."""
    refusal = context.access.check_shown(shown.token, _address(request))
    if refusal:
        raise _answer(refusal)
    _set_cookie(context, request, response, context.access.session(time.time()), SESSION_SECONDS)
    return Session(read=True, write=True, reason=None)


@routes.delete("/session")
def leave(request: Request, response: Response, context: Context) -> Session:
    """Take the cookie back."""
    _set_cookie(context, request, response, "", 0)
    return see(request, context)


def _set_cookie(context: AppContext, request: Request, response: Response, value: str, seconds: int) -> None:
    response.set_cookie(
        COOKIE,
        value,
        max_age=seconds,
        path=context.prefix or "/",
        secure=request.headers.get("origin", "").startswith("https:"),
        httponly=True,
        samesite="strict",
    )


def _address(request: Request) -> str:
    address: str = request.state.address
    return address


def _answer(refusal: Refusal) -> HTTPException:
    wait = refusal.retry_seconds
    headers = None if wait is None else {"retry-after": str(math.ceil(wait))}
    return HTTPException(refusal.status, refusal.reason, headers)
