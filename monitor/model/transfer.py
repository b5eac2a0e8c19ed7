"""Bounded transfer: what an HTTP server sends, never more of it, longer, or from elsewhere than was agreed.

A server may lie, and so may a proxy before it.  So an answer has a length and a time at which it must be
over, whatever it consists of; it is followed to no other scheme; and whoever is asked next by a redirect
gets no token.
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
"""A server that sends nothing for so long is gone."""

_REDIRECTS = 5
_MOVED = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}


class BrokenOffError(Exception):
    """There was no answer, or not all of it; the same request may well succeed later."""


class StatusError(Exception):
    """The server refuses, with a status and, if it is a hub, a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"status {status} {reason}".rstrip())
        self.status, self.reason = status, reason


class UnfitAnswerError(Exception):
    """The server sends what it may not send; says what."""


@dataclass(frozen=True, slots=True)
class Server:
    """An HTTP server, and what it is told about us."""

    session: Any
    """A ``Client`` of httpx."""
    address: str
    """Scheme, host and port; only requests there carry all of the headers."""
    headers: Mapping[str, str]
    """Of every request; ``authorization`` goes to no other address."""


def pieces(
    server: Server, url: str, *, most: int, deadline: float, begin: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Yield the body of an answer, piece by piece, each with the place of its first byte.

    Parameters
    ----------
    server : Server
    url : str
    most : int
        Bytes of the whole; one more ends the transfer.
    deadline : float
        Of `time.monotonic`, in seconds, when the answer must be over.
    begin : int
        First byte that is wanted; a server that cannot do that begins at 0.

    Raises
    ------
    BrokenOffError, StatusError, UnfitAnswerError
    """
    with _ends_at(deadline) as trace, contextlib.closing(_answer(server, url, trace, begin)) as response:
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise UnfitAnswerError("packs what was asked for unpacked")
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
    """Answer that is no redirect, with its body unread."""
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
    """Address that a redirect leads to; only HTTP, and never from HTTPS to less."""
    with boundary(UnfitAnswerError, "redirects to nowhere"):
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
    """Shut every connection that is traced when the time is over.

    The client's own limit is for each piece: a byte every few seconds, in a header too, would go on for ever.
    """
    connections: list[socket.socket] = []

    def trace(event: str, info: Any) -> None:
        if event.endswith("connect_tcp.complete"):
            # A duplicate, since TLS takes the first one over.
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
