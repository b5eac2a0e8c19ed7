"""Everyone who is told what is heard: terminal, store, clips, broker, people, commands, page, counts."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Container, Mapping
from typing import Any

from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.source_status import Health
from monitor.config import ClipsConfig, Config, LabelConfig
from monitor.config.web import WebConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.baseline import BASELINE_SECONDS
from monitor.detection.control import Change
from monitor.detection.engine import Engine
from monitor.detection.recent_embeddings import RecentEmbeddings
from monitor.outputs.alerts import Alerts
from monitor.outputs.archive import Archive
from monitor.outputs.counters import Counters
from monitor.outputs.live.broadcast import Broadcast
from monitor.outputs.mqtt.publisher import MqttPublisher
from monitor.outputs.mqtt.subscriber import OnCommand
from monitor.outputs.outbox import Outbox
from monitor.system.threads import ThreadGroup
from monitor.types import Event, NearMiss, Scores, UndeliveredError

DAY_OF_EVENTS = 20_000
"""Boxes of outputs that should lose nothing hold one event every 4 s for a day."""


class FanOut:
    """Hand on what is heard; `event`, `scores`, `miss` and `listen` are called by the analysis alone.

    Parameters
    ----------
    config : Config
    engine : Engine
    active_labels : ActiveLabels
    buffers : mapping of str to RingBuffer
        By source name.
    password : str or None
        The broker's.
    on_command : callable
        Takes what comes from the broker.
    """

    def __init__(
        self,
        config: Config,
        engine: Engine,
        active_labels: ActiveLabels,
        *,
        buffers: Mapping[str, RingBuffer],
        password: str | None,
        on_command: OnCommand,
    ) -> None:
        mel_config, model = engine.model.mel_config, engine.model.name
        self.archive = Archive(
            config.store,
            _linked(config),
            state=config.state,
            recordings=config.recordings,
            buffers=buffers,
            mel_config=mel_config,
            model=model,
        )
        self.mqtt = None
        if config.mqtt.host:
            self.mqtt = MqttPublisher(
                config.mqtt,
                node=config.node,
                active_labels=active_labels,
                model=model,
                password=password,
                queue_file=config.state / "outbox.sqlite",
                clock=self.archive.clock,
                on_command=on_command,
                page=page_of(config.web),
            )
        self.alerts = Alerts(config, model)
        self.memory = RecentEmbeddings(buffers, engine.windows_in(BASELINE_SECONDS))
        self.live = Broadcast(buffers, mel_config)
        self.counters = Counters()
        self.events = 0
        """How many have started."""

    def start(self, threads: ThreadGroup, on_event: Callable[[Event, LabelConfig], None]) -> None:
        """Begin to tell; ``on_event`` takes every event with its label, in a thread of its own."""
        self._terminal: Outbox[tuple[Event, LabelConfig]] = Outbox(
            lambda told: on_event(*told), DAY_OF_EVENTS
        )
        threads.start("terminal", self._terminal.run, may_stay=True)
        self.archive.start(threads)
        if self.mqtt is not None:
            threads.start("mqtt", self.mqtt.run)
        for name, run in self.alerts.threads():
            threads.start(name, run)
        threads.start("live", self.live.run)

    def event(self, event: Event, label: LabelConfig) -> None:
        """Tell of the start or the end of an event, with its label as it is then."""
        self.events += event.stop is None
        event = self.archive.event(event, label)
        self._terminal.put((event, label))
        if self.mqtt is not None:
            self.mqtt.put(event)
        self.alerts.put(event, label)
        self.counters.event(event)
        self.live.on_event(event, label)

    def scores(self, scores: Scores) -> None:
        """Tell of a window."""
        if self.mqtt is not None:
            self.mqtt.level(scores.source, scores.level_dbfs)
            self.mqtt.scores(scores)
        self.archive.scores(scores)
        self.counters.scores(scores)
        self.memory.add(scores)
        self.live.on_scores(scores)

    def miss(self, miss: NearMiss) -> None:
        """Tell of what was almost an event."""
        self.archive.miss(miss)
        self.counters.miss(miss)
        self.live.on_near_miss(miss)

    def listen(self, change: Change, votes: Mapping[str, tuple[int, int]], *, moved: bool) -> None:
        """Go by another configuration.

        Parameters
        ----------
        change : Change
        votes : mapping
            Windows that must agree, and among how many, by label.
        moved : bool
            Whether the broker is another one, or is to be spoken to in another way.
        """
        if self.mqtt is not None:
            self.mqtt.listen(change.active_labels)
            if moved:
                self.mqtt.move(change.config.mqtt)
        self.archive.limit(change.config.clips)
        self.archive.watch(change.active_labels.enabled, votes)

    def health(
        self, healths: Mapping[str, Health], online: Container[str], snapshot: Callable[[], dict[str, Any]]
    ) -> None:
        """Tell how the sources are; once a second, by the main thread.

        Parameters
        ----------
        healths : mapping
            By source.
        online : container of str
            Sources that are heard.
        snapshot : callable
            Gives everything that is known of this run; asked only if somebody wants to know.
        """
        if self.mqtt is not None:
            for name, health in healths.items():
                self.mqtt.source(name, online=name in online)
                self.mqtt.health(name, health)
        if self.alerts.notifiers or self.live.watchers:
            told = snapshot()
            self.alerts.problems(told["problems"])
            self.live.on_health(told)

    def close(self) -> None:
        """End all of them, once what they still have to tell is told."""
        self._terminal.close()
        self.archive.close()
        if self.mqtt is not None:
            self.mqtt.close()
        self.alerts.close()
        self.live.close()

    def check_delivered(self) -> None:
        """Complain of what could not be delivered; raises UndeliveredError."""
        if self.mqtt is not None and self.mqtt.waiting:
            raise UndeliveredError(
                f"mqtt: {self.mqtt.waiting} messages were not delivered: {self.mqtt.trouble}"
            )


def _linked(config: Config) -> ClipsConfig:
    """Return the settings of clips, which the page serves if nobody else does."""
    if config.clips.public_url is None and config.web.enabled and config.web.public_url is not None:
        return config.clips.model_copy(update={"public_url": f"{config.web.public_url}/api/clips"})
    return config.clips


def page_of(config: WebConfig) -> str | None:
    """Return the address at which others in the house reach the page; None if they do not."""
    if not config.enabled or (config.public_url is None and (config.local or not config.port)):
        return None
    if config.public_url is not None:
        return config.public_url
    everywhere = ipaddress.ip_address(config.host).is_unspecified
    host = socket.gethostname() if everywhere else config.host
    return f"http://{f'[{host}]' if ':' in host else host}:{config.port}{config.prefix}/"
