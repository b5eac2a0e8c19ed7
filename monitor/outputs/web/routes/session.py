"""Session routes: what a browser may do, and the cookie that it receives for the token."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Body, HTTPException, Request, Response
from pydantic import BaseModel, Field

from monitor.outputs.web.auth import UNCHANGEABLE
from monitor.outputs.web.context import AppContext, Context
from monitor.outputs.web.token import SESSION_SECONDS, Token

routes = APIRouter(tags=["session"])


class Session(BaseModel):
    """Rights of a browser."""

    read: bool = Field(description="Whether it may read.")
    write: bool = Field(description="Whether it may make changes.")
    reason: str | None = Field(description="Why it may not make changes.")
    listen: bool = Field(description="Whether it may hear the sources live.")


@routes.get("/session")
def read_session(request: Request, context: Context) -> Session:
    """Return what this browser may do."""
    access, address, ingress = context.access, _address(request), bool(request.state.ingress)
    headers = {key: value for key, value in request.headers.items() if key != "authorization"}
    listen = access.check_listen(headers, address, ingress=ingress) is None
    if ingress:
        return Session(read=True, write=True, reason=None, listen=listen)
    refusal = access.check_token(headers, address)
    return Session(
        read=access.check_read(headers, address) is None,
        write=refusal is None,
        reason=refusal.reason if refusal else None,
        listen=listen,
    )


@routes.post("/session", responses={401: {"description": "Wrong token"}, 403: {"description": UNCHANGEABLE}})
def begin_session(
    token: Annotated[str, Body(embed=True, min_length=1, max_length=200)],
    request: Request,
    response: Response,
    context: Context,
) -> Session:
    """Check a token, and set a session cookie for what it gives the right to."""
    access = context.access
    refusal = access.check_given(token, _address(request))
    if refusal:
        wait = refusal.retry_seconds
        headers = None if wait is None else {"retry-after": str(math.ceil(wait))}
        raise HTTPException(refusal.status, refusal.reason, headers)
    before = read_session(request, context)
    given = {each.cookie: each for each in (access.token, access.listen_token) if each.is_secret(token)}
    for each in given.values():
        set_cookie(context, request, response, each, each.session())
    write = before.write or access.token.cookie in given
    return Session(
        read=before.read or write,
        write=write,
        reason=None if write else before.reason,
        listen=before.listen or access.listen_token.cookie in given,
    )


@routes.delete("/session")
def end_session(request: Request, response: Response, context: Context) -> Session:
    """Delete the session cookies."""
    for each in (context.access.token, context.access.listen_token):
        if each.exists:
            set_cookie(context, request, response, each, "")
    return read_session(request, context)


def set_cookie(context: AppContext, request: Request, response: Response, token: Token, value: str) -> None:
    """Set the session cookie of a token; an empty value deletes it."""
    response.set_cookie(
        token.cookie,
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
