"""Session routes: what a browser may do, and the cookie that it receives for the token."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Body, HTTPException, Request, Response
from pydantic import BaseModel, Field

from monitor.outputs.web.auth import COOKIE, SESSION_SECONDS, UNCHANGEABLE
from monitor.outputs.web.context import AppContext, Context

routes = APIRouter(tags=["session"])


class Session(BaseModel):
    """Rights of a browser."""

    read: bool = Field(description="Whether it may read.")
    write: bool = Field(description="Whether it may make changes.")
    reason: str | None = Field(description="Why it may not make changes.")


@routes.get("/session")
def read_session(request: Request, context: Context) -> Session:
    """Return what this browser may do."""
    if request.state.ingress:
        return Session(read=True, write=True, reason=None)
    headers = {key: value for key, value in request.headers.items() if key != "authorization"}
    refusal = context.access.check_token(headers, _address(request))
    return Session(
        read=context.access.check_read(headers, _address(request)) is None,
        write=refusal is None,
        reason=refusal.reason if refusal else None,
    )


@routes.post("/session", responses={401: {"description": "Wrong token"}, 403: {"description": UNCHANGEABLE}})
def begin_session(
    token: Annotated[str, Body(embed=True, min_length=1, max_length=200)],
    request: Request,
    response: Response,
    context: Context,
) -> Session:
    """Check the token, and set a session cookie."""
    refusal = context.access.check_given(token, _address(request))
    if refusal:
        wait = refusal.retry_seconds
        headers = None if wait is None else {"retry-after": str(math.ceil(wait))}
        raise HTTPException(refusal.status, refusal.reason, headers)
    _set_cookie(context, request, response, context.access.session())
    return Session(read=True, write=True, reason=None)


@routes.delete("/session")
def end_session(request: Request, response: Response, context: Context) -> Session:
    """Delete the session cookie."""
    _set_cookie(context, request, response, "")
    return read_session(request, context)


def _set_cookie(context: AppContext, request: Request, response: Response, value: str) -> None:
    response.set_cookie(
        COOKIE,
        value,
        max_age=SESSION_SECONDS if value else 0,
        path=request.state.ingress or context.prefix or "/",
        secure=request.headers.get("origin", "").startswith("https:"),
        httponly=True,
        samesite="strict",
    )


def _address(request: Request) -> str:
    address: str = request.state.address
    return address
