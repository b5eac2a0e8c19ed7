"""ASGI middleware: asks `auth` about every request before the application sees it, and adds headers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.outputs.faults import Faults
from monitor.outputs.web.asgi import headers_of, replayed
from monitor.outputs.web.auth import Access, Refusal
from monitor.outputs.web.request_limits import MAX_BODY, oversize
from monitor.system.bounded_read import DamagedError, parse_json

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors "
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_OPEN = {"/", "/setup", "/docs", "/openapi.json", "/api/health", "/api/session"}
"""Answered without a token, as are the static files; none of them shows what the monitor detects."""

_LISTEN = "/api/sources/"
"""Start of the paths for which the right to listen is needed, and no other is enough."""

_SET_UP = "/api/setup/"

_SAFE = {"GET", "HEAD", "OPTIONS"}

_TOO_LARGE = Refusal(413, f"The body has more than {MAX_BODY} bytes")
_NOT_JSON = Refusal(415, "The body must be JSON: send it with Content-Type: application/json")


class RequestGuard:
    """Check host, origin, token, size and body of requests, and add security headers to answers.

    ``prefix`` is the path below which a reverse proxy serves the page; requests have it or not.
    """

    def __init__(self, app: ASGIApp, access: Access, faults: Faults, prefix: str = "") -> None:
        self._app = app
        self._access = access
        self._faults = faults
        self._prefix = prefix
        self._headers = {**_HEADERS, "content-security-policy": _POLICY + access.frame_ancestors()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it; a bug in clap-monitor is a 500 and ends only this request."""
        started = failed = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        def fail() -> None:
            nonlocal failed
            failed = True

        request = f"{scope.get('method', 'WebSocket')} {scope['path'][:100]!r}"
        with self._faults.counted(request, fail):
            await self._handle(scope, receive, send_and_note)
        if failed and not started:
            await self._refuse(scope, receive, send, _FAULT)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        scope = self._without_prefix(scope)
        refusal = Refusal(400, "A header that must be unique is repeated") if headers is None else None
        refusal = refusal or self._refusal_of(scope, headers or {})
        if refusal is not None:
            await self._refuse(scope, receive, send, refusal)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        elif self._prefix and scope["path"] == "":
            await self._answer(send, 308, b"", {"location": f"{self._prefix}/"})
        else:
            await self._pass_on(scope, receive, send, headers or {})

    def _without_prefix(self, scope: Scope) -> Scope:
        path = scope["path"]
        if not self._prefix or not (path == self._prefix or path.startswith(f"{self._prefix}/")):
            return scope
        return {**scope, "path": path.removeprefix(self._prefix), "root_path": ""}

    def _refusal_of(self, scope: Scope, headers: Mapping[str, str]) -> Refusal | None:
        """Return the refusal of a request, if its head is a reason."""
        if oversized := oversize(scope):
            return Refusal(*oversized)
        address, ingress = self._note(scope, headers)
        if not ingress and (refusal := self._access.check_host(headers.get("host", ""))):
            return refusal
        if not scope["raw_path"].startswith(b"/"):
            return Refusal(400, "The target must be a path: this is not a proxy")
        if "content-length" in headers and "transfer-encoding" in headers:
            # A proxy may have read the body by the other one (request smuggling).
            return Refusal(400, "Content-Length and Transfer-Encoding exclude each other")
        if scope["type"] == "http" and _size(headers) > MAX_BODY:
            return _TOO_LARGE
        return self._refusal_by_access(scope, headers, address)

    def _refusal_by_access(self, scope: Scope, headers: Mapping[str, str], address: str) -> Refusal | None:
        path, ingress = scope["path"], bool(scope["state"]["ingress"])
        if path.startswith(_LISTEN):
            return self._access.check_listen(headers, address, ingress=ingress)
        if ingress:
            safe = scope["type"] == "websocket" or scope["method"] in _SAFE
            return self._access.check_ingress(headers, address, safe=safe)
        if scope["type"] == "websocket":
            return self._access.check_origin(headers) or self._access.check_read(headers, address)
        safe = scope["method"] in _SAFE
        if f"{path}/".startswith(_SET_UP):
            return self._access.check_set_up(headers, address, safe=safe)
        if path in _OPEN or path.startswith("/static/") or (self._prefix and path == ""):
            return None if safe else self._access.check_origin(headers)
        check = self._access.check_read if safe else self._access.check_write
        return check(headers, address)

    def _note(self, scope: Scope, headers: Mapping[str, str]) -> tuple[str, str | None]:
        """Return the address under which a request is counted, and its path of ingress.

        The routes find both in the state.
        """
        peer, _ = scope.get("client") or ("", 0)
        address = self._access.client(peer, headers.get("x-forwarded-for", ""))
        ingress = self._access.ingress_path(peer, headers)
        scope["state"] = {**scope.get("state", {}), "address": address, "ingress": ingress}
        return address, ingress

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str]) -> None:
        safe = scope["method"] in _SAFE  # no route reads the body of such a request
        body = b"" if safe else await _checked_body(receive, headers)
        if isinstance(body, Refusal):
            await self._refuse(scope, receive, send, body)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {key.lower() for key, _ in message["headers"]}
                extra = {**self._headers, "cache-control": _caching(scope["path"])}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in extra.items() if k.encode() not in known),
                ]
            await send(message)

        await self._app(scope, replayed(body, receive), with_headers)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
        self._access.refused += refusal is not _FAULT
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.reason[:100]})
            return
        extra = dict(_JSON)
        if refusal.status == 401:  # noqa: PLR2004
            extra["www-authenticate"] = 'Bearer realm="clap-monitor"'
        if refusal.retry_seconds is not None:
            extra["retry-after"] = str(math.ceil(refusal.retry_seconds))
        await self._answer(send, refusal.status, json.dumps({"detail": refusal.reason}).encode(), extra)

    async def _answer(self, send: Send, status: int, body: bytes, extra: Mapping[str, str]) -> None:
        headers = {**self._headers, "cache-control": "no-store", "content-length": str(len(body)), **extra}
        pairs = [(key.encode(), value.encode("latin-1")) for key, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


_FAULT = Refusal(500, "Internal error; see the log of clap-monitor")
_JSON = {"content-type": "application/json"}


async def _checked_body(receive: Receive, headers: Mapping[str, str]) -> bytes | Refusal:
    """Return the body, parsed and written again so that all code reads the same JSON; or its refusal."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return Refusal(400, "The body is incomplete")
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > MAX_BODY:
            return _TOO_LARGE
        if not message.get("more_body", False):
            break
    if not body:
        return body
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return _NOT_JSON
    try:
        parsed: bytes = json.dumps(parse_json(body)).encode()
    except DamagedError as error:
        return Refusal(400, f"The body {error}")
    return parsed


def _size(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else MAX_BODY + 1  # noqa: PLR2004


def _caching(path: str) -> str:
    return "no-store" if path.startswith("/api/") or path == "/metrics" else "no-cache"
