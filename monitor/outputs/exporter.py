"""Metrics over HTTP for those who do without the web page: one path, one thread, nothing else."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer
from typing import Any

from monitor.types import OutputError

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""Whoever connects and says nothing, or does not read, for so long is let go; others wait meanwhile."""


class Exporter:
    """Serve ``/metrics``; `run` is the body of its thread.

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
        try:
            self._server = _Server((host, port), _handler(text, content_type))
        except OSError as error:
            raise OutputError(
                f"metrics: {host}:{port} cannot be served: {error.strerror}; choose another metrics.port"
            ) from error
        self.port: int = self._server.server_port
        log.info("metrics: http://%s:%d/metrics", host, self.port)

    def run(self) -> None:
        """Answer one request after another until closed."""
        try:
            self._server.serve_forever(poll_interval=0.1)
        finally:
            self._server.server_close()

    def close(self) -> None:
        """End `run`; waits until it has noticed, at most for the request it is at."""
        self._server.shutdown()


class _Server(HTTPServer):
    request_queue_size = 16

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's own asks the name service who we are, which may take long
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):
            self.shutdown_request(request)
            raise  # noqa: PLE0704 - it is called where an exception is handled; a fault of ours ends the monitor
        log.debug("metrics: %s has gone", client_address)


def _handler(text: Callable[[], bytes], content_type: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_SECONDS
        server_version, sys_version = "clap-monitor", ""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            content = text()
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log nothing: a scrape every few seconds is no news."""

    return Handler
