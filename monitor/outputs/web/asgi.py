"""Request headers, and a body that is read once and passed on."""

from __future__ import annotations

from starlette.types import Message, Receive, Scope

_UNIQUE = {
    "authorization",
    "content-length",
    "content-type",
    "host",
    "origin",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
}
"""Headers that decide what is allowed: a proxy may have read the other one of two."""


def headers_of(scope: Scope) -> dict[str, str] | None:
    """Return the headers, repeated ones joined; None if one of `_UNIQUE` is repeated."""
    headers: dict[str, str] = {}
    for key, value in scope["headers"]:
        name, text = key.decode("latin-1"), value.decode("latin-1")
        if name not in headers:
            headers[name] = text
        elif name in _UNIQUE:
            return None
        else:
            headers[name] += f"{';' if name == 'cookie' else ','} {text}"
    return headers


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read already, and then the end of the connection."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        while (message := await receive())["type"] != "http.disconnect":
            pass
        return message

    return receive_again
