"""What is served over HTTP: the page and the metrics, whichever are wanted.

Their ports are bound when this is made, so that what is wrong with one shows before a model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from monitor.config import Config, read_token
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.control import Control
from monitor.detection.prompt_preview import PromptPreview
from monitor.outputs.archive import Archive
from monitor.outputs.counters import Counters
from monitor.outputs.live.broadcast import Broadcast
from monitor.outputs.store import StoreReader
from monitor.system.histogram import Histogram
from monitor.system.threads import ThreadGroup

if TYPE_CHECKING:  # the extras `web` and `metrics` are needed only by whoever serves something
    from monitor.outputs.prometheus import Metrics
    from monitor.outputs.prometheus_server import Exporter
    from monitor.outputs.web import Web


class HttpServers:
    """The servers; nothing is answered before `count`, `furnish` and `start`.

    Parameters
    ----------
    config : Config

    Raises
    ------
    MonitorError
        A port cannot be bound, or an extra is not installed.
    """

    def __init__(self, config: Config) -> None:
        self._web = _web(config) if config.web.enabled else None
        self._exporter = self._make_exporter(config) if config.metrics.enabled else None
        self._metrics: Metrics | None = None

    @property
    def wanted(self) -> bool:
        """Whether anything is served."""
        return self._web is not None or self._exporter is not None

    def count(
        self,
        snapshot: Callable[[], Mapping[str, Any]],
        counters: Counters,
        stages: Mapping[str, Histogram],
        latency: Histogram | None,
    ) -> None:
        """Give the metrics what they are read from, if anything is served."""
        if self.wanted:
            from monitor.outputs.prometheus import Metrics  # noqa: PLC0415 - the extras `metrics` and `web`

            self._metrics = Metrics(snapshot, counters, stages=stages, latency=latency)

    def furnish(
        self,
        *,
        control: Control,
        live: Broadcast,
        prompt_preview: PromptPreview,
        archive: Archive,
        snapshot: Callable[[], Mapping[str, Any]],
        hop_seconds: float,
    ) -> None:
        """Give the page what it shows and changes, if it is served."""
        if self._web is None:
            return
        from monitor.outputs.web import AppContext  # noqa: PLC0415 - the extra `web`

        store = archive.store
        self._web.show(
            AppContext(
                access=self._web.access,
                faults=self._web.faults,
                abort=self._web.abort,
                control=control,
                broadcast=live,
                prompt_preview=prompt_preview,
                snapshot=snapshot,
                hop_seconds=hop_seconds,
                reader=None if store is None else StoreReader(store.path),
                store=store,
                library=archive.library,
                prefix=self._web.prefix,
                metrics=self._text,
                counts=self._web.counts,
            )
        )

    def start(self, threads: ThreadGroup) -> None:
        """Begin to answer."""
        if self._web is not None:
            threads.start("web", self._web.run)
        if self._exporter is not None:
            threads.start("metrics", self._exporter.run)

    def tell(self, active_labels: ActiveLabels) -> None:
        """Tell whoever looks at the page that something else is listened for."""
        if self._web is not None:
            self._web.tell(active_labels)

    def counts(self) -> dict[str, int] | None:
        """Return what was refused, cut off and failed, of all that is served; None if nothing is."""
        found = [server.counts() for server in (self._web, self._exporter) if server is not None]
        return {key: sum(each[key] for each in found) for key in found[0]} if found else None

    def close(self) -> None:
        """End every answer."""
        if self._web is not None:
            self._web.close()
        if self._exporter is not None:
            self._exporter.close()

    def _make_exporter(self, config: Config) -> Exporter:
        from monitor.outputs.prometheus import CONTENT_TYPE  # noqa: PLC0415 - the extra `metrics`
        from monitor.outputs.prometheus_server import Exporter  # noqa: PLC0415

        return Exporter(config.metrics.host, config.metrics.port, self._text, CONTENT_TYPE)

    def _text(self) -> bytes:
        assert self._metrics is not None  # noqa: S101 - it is made before anything is served
        return self._metrics.text()


def _web(config: Config) -> Web:
    from monitor.outputs.web import Web  # noqa: PLC0415 - the extra `web`

    return Web(config.web, read_token(config.web))
