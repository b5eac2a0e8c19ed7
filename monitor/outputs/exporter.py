"""Metrics over HTTP for those who do without the web page: one path, one thread, nothing else."""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

from monitor.types import OutputError

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""Whoever does not ask, or does not read the answer, for so long is let go; others wait meanwhile."""

MOST_BYTES = 8192
"""Of a request."""

_LOOK_SECONDS = 0.2

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}


class Exporter:
    """Serve ``/metrics``: bound when made, served by `run` in a thread of its own.

    Parameters
    ----------
    host : str
        IP address to listen on.
    port : int
        0 is any free one.
    text : callable
        Returns what is served.
    content_type : str

    Raises
    ------
    OutputError
        If nothing can be served there.
    """

    def __init__(self, host: str, port: int, text: Callable[[], bytes], content_type: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, backlog=16)
        except OSError as error:
            raise OutputError(
                f"metrics: {host}:{port} cannot be listened on: {error.strerror}; set metrics.port or "
                "metrics.host to another, or end what has it"
            ) from error
        self.port: int = self._listener.getsockname()[1]
        self._text = text
        self._content_type = content_type
        self._closed = threading.Event()
        self._talking: socket.socket | None = None

    def run(self) -> None:
        """Answer one request after another until closed."""
        log.info("metrics are at port %d, path /metrics", self.port)
        with closing(self._listener):
            while not self._closed.is_set():
                if select.select([self._listener], [], [], _LOOK_SECONDS)[0]:
                    with suppress(OSError):  # whoever asked has gone, or is too slow
                        self._talk(self._listener.accept()[0])

    def close(self) -> None:
        """End soon; from any thread."""
        self._closed.set()
        talking = self._talking
        if talking is not None:
            with suppress(OSError):
                talking.shutdown(socket.SHUT_RDWR)

    def _talk(self, connection: socket.socket) -> None:
        with closing(connection):
            self._talking = connection
            request = _request(connection)
            status, content = self._answer(request)
            head = (
                f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {self._content_type}\r\n"
                f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
            )
            connection.settimeout(PATIENCE_SECONDS)
            connection.sendall(head.encode() + content)
            self._talking = None

    def _answer(self, request: bytes) -> tuple[int, bytes]:
        match request.partition(b"\r\n")[0].split(b" "):
            case [b"GET", path, _] if path.partition(b"?")[0] == b"/metrics":
                return 200, self._text()
            case [b"GET", _, _]:
                return 404, b"there is only /metrics\n"
            case [_, _, _]:
                return 405, b"there is only GET\n"
        return 400, b"that is no request\n"


def _request(connection: socket.socket) -> bytes:
    """Read the head of a request, within the time and the size that it may have."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    content = b""
    while b"\r\n\r\n" not in content and len(content) < MOST_BYTES:
        connection.settimeout(max(0.001, give_up_at - time.monotonic()))
        part = connection.recv(MOST_BYTES)
        if not part:
            break
        content += part
    return content
