"""What every request passes before anything of ours sees it, and what every answer carries."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

from monitor.outputs.web.access import Access, Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 64 * 1024

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_OPEN = {"/api/health", "/api/session"}
"""Answered without a token; neither says anything of what is heard."""


_TOO_LARGE = f"The body has more than {MAX_BODY} bytes"


class Guard:
    """ASGI middleware: name, prefix, token, size and headers.

    Parameters
    ----------
    app : callable
        The ASGI application.
    access : Access
    prefix : str
        Path below which a reverse proxy serves us; requests come with it or without.
    """

    def __init__(self, app: App, access: Access, prefix: str = "") -> None:
        self._app = app
        self._access = access
        self._prefix = prefix
        self._headers = {**_HEADERS, "content-security-policy": _POLICY + access.frame_ancestors()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        scope = self._without_prefix(scope)
        refusal = self._judge(scope, headers)
        if refusal is not None:
            self._access.refused += 1
            await self._refuse(scope, receive, send, refusal)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        elif self._prefix and scope["path"] == "":
            await self._answer(send, 308, b"", {"location": f"{self._prefix}/"})
        else:
            await self._pass_on(scope, receive, send)

    def _without_prefix(self, scope: Scope) -> Scope:
        path = scope["path"]
        if not self._prefix or not (path == self._prefix or path.startswith(f"{self._prefix}/")):
            return scope
        return {**scope, "path": path.removeprefix(self._prefix), "root_path": ""}

    def _judge(self, scope: Scope, headers: Mapping[str, str]) -> Refusal | None:
        path, address = scope["path"], (scope.get("client") or ("", 0))[0]
        if refusal := self._access.check_host(headers.get("host", "")):
            return refusal
        if scope["type"] == "websocket":
            return self._access.check_origin(headers) or self._access.check_read(headers, address)
        if _size(headers) > MAX_BODY:
            return Refusal(413, _TOO_LARGE)
        safe = scope["method"] in {"GET", "HEAD", "OPTIONS"}
        if path in _OPEN:
            return None if safe else self._access.check_origin(headers)
        if not path.startswith("/api/") and path != "/metrics":
            return None
        check = self._access.check_read if safe else self._access.check_write
        return check(headers, address)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY:
                raise HTTPException(413, _TOO_LARGE)
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {key.lower() for key, _ in message["headers"]}
                extra = {**self._headers, "cache-control": _caching(scope["path"])}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in extra.items() if k.encode() not in known),
                ]
            await send(message)

        await self._app(scope, limited, with_headers)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.reason[:100]})
            return
        extra = dict(_JSON)
        if refusal.status == 401:  # noqa: PLR2004
            extra["www-authenticate"] = 'Bearer realm="clap-monitor"'
        if refusal.retry_seconds is not None:
            extra["retry-after"] = str(math.ceil(refusal.retry_seconds))
        await self._answer(send, refusal.status, _reason(refusal.reason), extra)

    async def _answer(self, send: Send, status: int, body: bytes, extra: Mapping[str, str]) -> None:
        headers = {**self._headers, "cache-control": "no-store", "content-length": str(len(body)), **extra}
        pairs = [(key.encode(), value.encode("latin-1")) for key, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


_JSON = {"content-type": "application/json"}


def _reason(text: str) -> bytes:
    return json.dumps({"detail": text}).encode()


def _size(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else MAX_BODY + 1  # noqa: PLR2004


def _caching(path: str) -> str:
    return "no-store" if path.startswith("/api/") or path == "/metrics" else "no-cache"
