"""HTTP servers: the page and the metrics, whichever are enabled.

Their ports are bound when this is made, so that a port that is taken shows before a model is loaded.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from monitor.config import Config, MetricsConfig, read_listen_token, read_token
from monitor.config.web import WebConfig
from monitor.system.threads import ThreadGroup

if TYPE_CHECKING:  # the extras `web` and `metrics` are needed only if something is served
    from monitor.outputs.prometheus_server import Exporter
    from monitor.outputs.web import AppContext, Web


class HttpServers:
    """The servers; `start` begins to answer, and only then is ``metrics`` called, for the metrics as text.

    Raises
    ------
    MonitorError
        A port cannot be bound, or an extra is not installed.
    """

    def __init__(self, config: Config, metrics: Callable[[], bytes]) -> None:
        self.metrics = metrics
        self._web = _web(config) if config.web.enabled else None
        self._exporter = _exporter(config.metrics, metrics) if config.metrics.enabled else None

    def start(self, threads: ThreadGroup, context_of: Callable[[Web], AppContext]) -> None:
        """Start the threads that answer; ``context_of`` returns what the page of a server may use."""
        if self._exporter is not None:
            threads.start("metrics", self._exporter.run)
        if self._web is not None:
            threads.start("web", partial(self._web.run, context_of(self._web)))

    def counts(self) -> dict[str, int] | None:
        """Return how many requests were refused, cut off or failed; None if nothing is served."""
        found = [server.counts() for server in (self._web, self._exporter) if server is not None]
        return {key: sum(each[key] for each in found) for key in found[0]} if found else None

    def close(self) -> None:
        """End every answer."""
        for server in (self._web, self._exporter):
            if server is not None:
                server.close()


def _web(config: Config) -> Web:
    from monitor.outputs.web import Web  # noqa: PLC0415 - the extra `web`

    return Web(config.web, read_token(config.web), read_listen_token(config.web))


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
