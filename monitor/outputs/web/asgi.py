"""ASGI: its types, and what is read of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_ONCE = {
    "authorization",
    "content-length",
    "content-type",
    "host",
    "origin",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
}
"""Headers on which it depends what is allowed: of two, a proxy may have read the other one."""


def headers_of(scope: Scope) -> dict[str, str] | None:
    """Return the headers, those that may come again joined; None if one of `_ONCE` came twice."""
    headers: dict[str, str] = {}
    for key, value in scope["headers"]:
        name, text = key.decode("latin-1"), value.decode("latin-1")
        if name not in headers:
            headers[name] = text
        elif name in _ONCE:
            return None
        else:
            headers[name] += f"{';' if name == 'cookie' else ','} {text}"
    return headers


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that has been read, and then only the end of the connection."""
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        while (message := await receive())["type"] != "http.disconnect":
            pass
        return message

    return again
