"""Web server: the socket of the page, and uvicorn in a thread."""

from __future__ import annotations

import asyncio
import logging
import socket
from functools import partial
from typing import Any, cast

import anyio.to_thread
import uvicorn
from starlette.types import ASGIApp

from monitor.config import WebConfig
from monitor.outputs.faults import Faults
from monitor.outputs.web.app import application
from monitor.outputs.web.auth import Access
from monitor.outputs.web.connection_limits import ConnectionLimits
from monitor.outputs.web.connections import HttpConnection, WebSocketConnection, unsent_bytes
from monitor.outputs.web.context import AppContext
from monitor.outputs.web.listener import bind
from monitor.system.boundary import explain
from monitor.system.trouble_log import LogLimit

log = logging.getLogger(__name__)
for _name in (__name__, "uvicorn.error"):  # anybody can make them speak
    logging.getLogger(_name).addFilter(LogLimit())

THREADS = 4
"""Requests that are processed at once; the analysis needs the CPU more."""

_CLOSING_SECONDS = 2

_CHECK_SECONDS = 0.5
"""From one check of the connections to the next."""


class Web:
    """Web server, served by `run` in a thread.

    Parameters
    ----------
    config : WebConfig
    token : str or None
        Required for changes.
    listen_token : str or None
        Required to listen.
    first_run : bool
        Nothing has been set up yet, as in `Access`.
    listener : socket or None
        From `bind`; None binds one.

    Raises
    ------
    OutputError
        As `bind`.
    """

    def __init__(
        self,
        config: WebConfig,
        token: str | None,
        listen_token: str | None = None,
        *,
        first_run: bool = False,
        listener: socket.socket | None = None,
    ) -> None:
        if config.proxied and token is None and not config.public_read:
            log.warning(
                "web: the page cannot be read: public_url, prefix or trusted_proxies is set, so reading "
                "needs the token, but no token is configured; set web.token_file or web.public_read: true"
            )
        self.access = Access(config, token, listen_token, first_run=first_run)
        self.faults = Faults()
        self._limits = ConnectionLimits(self.access.is_shared)
        self.prefix = config.prefix
        self._listener = listener or bind(config.host, config.port)
        self._server: uvicorn.Server | None = None
        self._closed = False
        host, port = self._listener.getsockname()[:2]
        self.url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def run(self, context: AppContext) -> None:
        """Serve the monitor until `close`."""
        self.serve(application(context))

    def serve(self, app: ASGIApp) -> None:
        """Serve an application until `close`."""
        log.info("the page is at %s", self.url)
        self._server = self._make_server(app)
        self._server.should_exit = self._closed
        asyncio.run(self._serve(self._server))

    def close(self) -> None:
        """End soon; from any thread."""
        self._closed = True
        if self._server is not None:
            self._server.should_exit = True

    def abort(self, client: tuple[str, int]) -> None:
        """Cut the connections of a client at once, with unsent bytes; called in the thread of the server."""
        for transport in self._transports(client):
            transport.abort()

    def unsent(self, client: tuple[str, int]) -> int:
        """Return the bytes that wait for a client to take them; called in the thread of the server."""
        return sum(unsent_bytes(transport) for transport in self._transports(client))

    def counts(self) -> dict[str, int]:
        """Return the counts of refusals, closed connections and faults; thread-safe."""
        return {
            "refused": self.access.refused,
            "turned_away": self._limits.turned_away,
            "expired": self._limits.expired,
            "faults": self.faults.count,
        }

    def _transports(self, client: tuple[str, int]) -> list[asyncio.Transport]:
        connections = () if self._server is None else self._server.server_state.connections
        return [each.transport for each in list(connections) if getattr(each, "client", None) == client]

    def _make_server(self, app: ASGIApp) -> uvicorn.Server:
        limited: dict[str, Any] = {"limits": self._limits, "faults": self.faults}
        return uvicorn.Server(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", partial(HttpConnection, **limited)),
                ws=cast("type[asyncio.Protocol]", partial(WebSocketConnection, **limited)),
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=16 * 1024,
                ws_max_size=4096,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=_CLOSING_SECONDS,
            )
        )

    async def _expire_stalled(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            with self.faults.counted("the look at connections"):
                self._limits.expire_stalled(asyncio.get_running_loop().time())

    def _on_trouble(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log trouble that belongs to no request."""
        error = context.get("exception")
        if isinstance(error, OSError):
            log.warning("web: %s: %s", context["message"], explain(error))
        elif error is not None:
            self.faults.record("the web server", error)
        else:
            log.warning("web: %s", context["message"])

    async def _serve(self, server: uvicorn.Server) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_trouble)
        expiring = loop.create_task(self._expire_stalled())
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        try:
            await server.serve([self._listener])
        finally:
            expiring.cancel()
