"""Bounded transfer: HTTP answers with limits on size, time and redirects; `hub` compares their hashes.

A server, or a proxy before it, may misbehave.  So every answer has a maximum size and a deadline for the
whole of it; redirects lead only to HTTP or HTTPS; and the token is sent to no other server.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from monitor.system.boundary import boundary

IDLE_SECONDS = 10.0
"""Time without any data after which a server counts as unreachable."""

_REDIRECTS = 5
_MOVED = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}


class BrokenOffError(Exception):
    """The answer is missing or incomplete; the same request may succeed later."""


class StatusError(Exception):
    """The server returned an error status and, if it is a hub, an error code."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"status {status} {reason}".rstrip())
        self.status, self.reason = status, reason


class UnfitAnswerError(Exception):
    """The answer violates a limit; says which."""


@dataclass(frozen=True, slots=True)
class Server:
    """HTTP server, with the headers of every request."""

    session: Any
    """A ``Client`` of httpx."""
    address: str
    """Scheme, host and port."""
    headers: Mapping[str, str]
    """Headers of every request; ``authorization`` is sent to no other address."""


def pieces(
    server: Server, url: str, *, most: int, deadline: float, begin: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Yield the body of an answer in pieces, each with the offset of its first byte.

    The body has at most ``most`` bytes, and must be complete when `time.monotonic` reaches ``deadline``.  It
    is to begin at ``begin``; a server that cannot resume begins at 0.

    Raises
    ------
    BrokenOffError, StatusError, UnfitAnswerError
    """
    with _ends_at(deadline) as trace, contextlib.closing(_answer(server, url, trace, begin)) as response:
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise UnfitAnswerError("compresses the answer, which the request did not allow")
        at = begin if response.status_code == 206 else 0  # noqa: PLR2004 - partial content
        body = response.iter_raw()
        while piece := _next(body, url):
            if at + len(piece) > most:
                raise UnfitAnswerError(f"sends more than {most:,} bytes")
            if time.monotonic() > deadline:
                raise BrokenOffError(f"{url}: too slow")
            yield at, piece
            at += len(piece)


def _next(pieces: Iterator[bytes], url: str) -> bytes:
    with boundary(BrokenOffError, url):
        return next(pieces, b"")


def _answer(server: Server, url: str, trace: Callable[[str, Any], None], begin: int) -> Any:
    """First answer that is not a redirect, with its body unread."""
    for _ in range(_REDIRECTS + 1):
        response = _ask(server, url, trace, begin)
        if response.status_code in _MOVED:
            response.close()
            url = _moved(url, response.headers.get("Location", ""))
        elif response.status_code >= 300:  # noqa: PLR2004 - no success
            response.close()
            raise StatusError(response.status_code, response.headers.get("X-Error-Code", "")[:100])
        else:
            return response
    raise UnfitAnswerError(f"redirects more than {_REDIRECTS} times")


def _ask(server: Server, url: str, trace: Callable[[str, Any], None], begin: int) -> Any:
    headers = {**server.headers, "accept-encoding": "identity", "connection": "close"}
    if _origin(url) != _origin(server.address):
        headers.pop("authorization", None)
    if begin:
        headers["range"] = f"bytes={begin}-"
    with boundary(BrokenOffError, url):
        request = server.session.build_request(
            "GET", url, headers=headers, timeout=IDLE_SECONDS, extensions={"trace": trace}
        )
        return server.session.send(request, stream=True, follow_redirects=False)


def _moved(url: str, location: str) -> str:
    """Target of a redirect: HTTP or HTTPS, and never from HTTPS to HTTP."""
    with boundary(UnfitAnswerError, "redirects to an invalid URL"):
        target = urljoin(url, location)
        scheme, host, _ = _origin(target)
    if scheme not in _PORTS or not host or (scheme == "http" and urlsplit(url).scheme == "https"):
        raise UnfitAnswerError(f"redirects to {location[:100]!r}")
    return target


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


@contextlib.contextmanager
def _ends_at(deadline: float) -> Iterator[Callable[[str, Any], None]]:
    """Close all traced connections at the deadline.

    The timeout of the client is for each read: one byte every few seconds, even in a header, would never end.
    """
    connections: list[socket.socket] = []

    def trace(event: str, info: Any) -> None:
        if event.endswith("connect_tcp.complete"):
            # A duplicate, because TLS takes over the original socket.
            connections.append(info["return_value"].get_extra_info("socket").dup())
            if time.monotonic() > deadline:
                shut()

    def shut() -> None:
        for connection in connections:
            with contextlib.suppress(OSError):  # already closed by the other side
                connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), shut)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    finally:
        timer.cancel()
        for connection in connections:
            connection.close()
