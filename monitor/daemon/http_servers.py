"""HTTP servers: the page and the metrics, whichever are enabled.

Their ports are bound when this is made, so that a port that is taken shows before a model is loaded.  The
page is imported in its own thread, while sounds are detected already.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from monitor.config import Config, MetricsConfig, read_listen_token, read_token
from monitor.config.web import WebConfig
from monitor.outputs.web.listener import bind
from monitor.system.threads import ThreadGroup

if TYPE_CHECKING:  # the extras `web` and `metrics` are needed only if something is served
    from monitor.outputs.prometheus_server import Exporter
    from monitor.outputs.web.context import AppContext
    from monitor.outputs.web.server import Web


class HttpServers:
    """The servers; `start` begins to answer, and only then is ``metrics`` called, for the metrics as text.

    Raises
    ------
    MonitorError
        A port cannot be bound, or an extra is not installed.
    """

    def __init__(self, config: Config, metrics: Callable[[], bytes]) -> None:
        self.metrics = metrics
        self._page = _Page(config.web) if config.web.enabled else None
        self._exporter = _exporter(config.metrics, metrics) if config.metrics.enabled else None

    def start(self, threads: ThreadGroup, context_of: Callable[[Web], AppContext]) -> None:
        """Start the threads that answer; ``context_of`` returns what the page of a server may use."""
        if self._exporter is not None:
            threads.start("metrics", self._exporter.run)
        if self._page is not None:
            threads.start("web", partial(self._page.run, context_of))

    def counts(self) -> dict[str, int] | None:
        """Return how many requests were refused, cut off or failed; None if nothing is served yet."""
        servers = (None if self._page is None else self._page.web, self._exporter)
        found = [server.counts() for server in servers if server is not None]
        return {key: sum(each[key] for each in found) for key in found[0]} if found else None

    def close(self) -> None:
        """End every answer."""
        for server in (self._page, self._exporter):
            if server is not None:
                server.close()


class _Page:
    """The page: its port is bound when this is made, what answers is imported by `run` in its thread."""

    def __init__(self, config: WebConfig) -> None:
        self.web: Web | None = None
        self._config = config
        self._tokens = read_token(config), read_listen_token(config)
        self._listener = bind(config.host, config.port)
        self._closed = False

    def run(self, context_of: Callable[[Web], AppContext]) -> None:
        """Serve until `close`."""
        from monitor.outputs.web.server import Web  # noqa: PLC0415 - the extra `web`

        self.web = web = Web(self._config, *self._tokens, listener=self._listener)
        context = context_of(web)
        if self._closed:  # while this was imported
            web.close()
        web.run(context)

    def close(self) -> None:
        """End soon; from any thread."""
        self._closed = True
        if self.web is not None:
            self.web.close()


def _exporter(config: MetricsConfig, text: Callable[[], bytes]) -> Exporter:
    from monitor.outputs.prometheus import CONTENT_TYPE  # noqa: PLC0415 - the extra `metrics`
    from monitor.outputs.prometheus_server import Exporter  # noqa: PLC0415

    return Exporter(config.host, config.port, text, CONTENT_TYPE)


def page_url(config: WebConfig) -> str | None:
    """Return the address at which other machines reach the page; None if they do not, or by ingress."""
    unknown = config.local or config.ingress or not config.port
    if not config.enabled or (config.public_url is None and unknown):
        return None
    if config.public_url is not None:
        return config.public_url
    everywhere = ipaddress.ip_address(config.host).is_unspecified
    host = socket.gethostname() if everywhere else config.host
    return f"http://{f'[{host}]' if ':' in host else host}:{config.port}{config.prefix}/"
