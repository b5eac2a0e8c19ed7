"""Prometheus server: ``/metrics`` over HTTP for monitors without the page.

`prometheus_client.start_http_server` would do, but it starts a thread for each connection and limits neither
their number nor their time.  With ``metrics.host`` set to the address of a network, any machine there could
take all descriptors of the process, and with them its microphones, its clips and its broker.  This server has
one thread, at most `MOST_CONNECTIONS` connections and a time limit for each.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from monitor.outputs.faults import Faults
from monitor.types import OutputError

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""Longest time without a byte of the request, or without the client reading any of the answer."""

ANSWER_SECONDS = 30.0
"""Longest time for the whole answer."""

MOST_BYTES = 8192
"""Size of a request at most."""

MOST_CONNECTIONS = 32
"""Connections at once; a further one replaces the one that has been idle longest."""

_LOOK_SECONDS = 0.2


class _Client:
    """One connection: its request so far, and the rest of its answer."""

    def __init__(self, connection: socket.socket, now: float) -> None:
        self.connection = connection
        self.request = b""
        self.answer = memoryview(b"")
        self.idle_since = now
        self.ends_at = now + PATIENCE_SECONDS + ANSWER_SECONDS


class Exporter:
    """Serves ``/metrics``; its port is bound when it is made, and `run` is the body of its thread.

    No client delays another: each connection is read and written as far as possible without blocking.  Port 0
    takes any free port; ``text`` returns the metrics.

    Raises
    ------
    OutputError
        The port cannot be bound.
    """

    def __init__(self, host: str, port: int, text: Callable[[], bytes], content_type: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, backlog=16)
        except OSError as error:
            raise OutputError(
                f"metrics: {host}:{port} cannot be bound: {error.strerror}; set another metrics.port or "
                "metrics.host, or stop the program that uses it"
            ) from error
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.faults = Faults()
        self.refused = 0
        """Requests for another path, or with another method."""
        self.turned_away = 0
        """Connections closed because there were too many."""
        self.expired = 0
        """Connections closed at a time limit."""
        self._text = text
        self._content_type = content_type
        self._closed = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._clients: dict[socket.socket, _Client] = {}

    def run(self) -> None:
        """Answer requests until closed."""
        log.info("metrics are at port %d, path /metrics", self.port)
        self._selector.register(self._listener, selectors.EVENT_READ)
        try:
            while not self._closed.is_set():
                ready = self._selector.select(_LOOK_SECONDS)
                self._serve([key.fileobj for key, _ in ready], time.monotonic())
        finally:
            for client in list(self._clients.values()):
                self._drop(client)
            self._selector.close()
            self._listener.close()

    def close(self) -> None:
        """End soon; from any thread."""
        self._closed.set()

    def counts(self) -> dict[str, int]:
        """Return counts of refused requests, closed connections and faults; from any thread."""
        return {
            "refused": self.refused,
            "turned_away": self.turned_away,
            "expired": self.expired,
            "faults": self.faults.count,
        }

    def _serve(self, ready: list[object], now: float) -> None:
        for client in [client for connection, client in self._clients.items() if connection in ready]:
            self._continue(client, now)
        if self._listener in ready:
            self._accept(now)
        for client in list(self._clients.values()):
            if now - client.idle_since > PATIENCE_SECONDS or now > client.ends_at:
                self.expired += 1
                self._drop(client)

    def _accept(self, now: float) -> None:
        try:
            connection = self._listener.accept()[0]
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                self._closed.wait(_LOOK_SECONDS)  # the listener stays ready: without a pause this would spin
            return
        if len(self._clients) >= MOST_CONNECTIONS:
            self.turned_away += 1
            self._drop(min(self._clients.values(), key=lambda each: each.idle_since))
        connection.setblocking(False)
        self._clients[connection] = _Client(connection, now)
        self._selector.register(connection, selectors.EVENT_READ)

    def _continue(self, client: _Client, now: float) -> None:
        """Read or write once; a client that has gone is dropped."""
        try:
            if client.answer:
                client.answer = client.answer[client.connection.send(client.answer) :]
                client.idle_since = now
                over = not client.answer
            else:
                over = not self._read(client)
        except BlockingIOError:
            return
        except OSError:
            over = True
        if over:
            self._drop(client)

    def _read(self, client: _Client) -> bool:
        """Read what has arrived, and answer a complete request; False if the client has gone."""
        part = client.connection.recv(MOST_BYTES)
        client.request += part
        if part and b"\r\n\r\n" not in client.request and len(client.request) < MOST_BYTES:
            return True
        if not client.request:
            return False
        client.answer = memoryview(self._answer(client.request))
        self._selector.modify(client.connection, selectors.EVENT_WRITE)
        return True

    def _drop(self, client: _Client) -> None:
        del self._clients[client.connection]
        self._selector.unregister(client.connection)
        with suppress(OSError):
            client.connection.shutdown(socket.SHUT_WR)
        client.connection.close()

    def _answer(self, request: bytes) -> bytes:
        status, content = 500, b"a bug in clap-monitor; see its log\n"
        with self.faults.counted("the answer to /metrics"):
            status, content = self._content(request)
            self.refused += status != HTTPStatus.OK
        kind = self._content_type if status == HTTPStatus.OK else "text/plain; charset=utf-8"
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + content

    def _content(self, request: bytes) -> tuple[int, bytes]:
        match request.partition(b"\r\n")[0].split(b" "):
            case [b"GET", path, _] if path.partition(b"?")[0] == b"/metrics":
                return 200, self._text()
            case [b"GET", _, _]:
                return 404, b"the only path is /metrics\n"
            case [_, _, _]:
                return 405, b"the only method is GET\n"
        return 400, b"not an HTTP request\n"
