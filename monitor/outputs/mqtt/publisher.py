"""MQTT publisher: events, states, settings, scores and health -> the broker.

One thread, `MqttPublisher.run`, does all the work; methods that other threads call only store a value and
wake it, so neither the broker nor the disk delays the analysis.  An event goes into a queue file before it
is sent, and leaves it when the broker has acknowledged it.  Of everything else only the newest counts: it
is published again on every connection, and when Home Assistant starts.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monitor.audio.source_status import Health
from monitor.config import Config, LabelConfig, MqttConfig, read_password
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.rules import Rule
from monitor.outputs import Output
from monitor.outputs.live.listening import Listen
from monitor.outputs.mqtt.broker_setup import PublisherOptions, make_discovery, make_session
from monitor.outputs.mqtt.event_sender import EventSender, queue_limits
from monitor.outputs.mqtt.node_topics import NodeTopics
from monitor.outputs.mqtt.paho_client import MAX_IN_FLIGHT
from monitor.outputs.mqtt.publisher_status import PublisherStatus, publisher_status
from monitor.outputs.mqtt.session import MqttSession
from monitor.outputs.mqtt.subscriber import MqttSubscriber, OnCommand
from monitor.outputs.mqtt.tls import tls_context
from monitor.outputs.mqtt.topics import Topics
from monitor.system.threads import ThreadGroup
from monitor.types import ConfigError, Event, Scores

log = logging.getLogger(__name__)

DISCONNECT_SHARE = 0.2
"""Share of the drain time reserved for a clean disconnect."""

RECONNECT_SECONDS = 2.0
"""Time for a clean disconnect before other settings are applied."""


class MqttPublisher(Output):
    """Publish to the broker, the host in the settings; `run` is the body of its thread.

    Each source counts as offline until `on_health` reports otherwise.  ``on_command`` receives commands in
    the thread of the connection; it must not block.

    Raises
    ------
    ConfigError
        The host name, ``ca_file``, ``cert_file`` or ``key_file`` cannot be used.
    """

    def __init__(
        self,
        config: MqttConfig,
        options: PublisherOptions,
        active_labels: ActiveLabels,
        *,
        password: str | None = None,
        on_command: OnCommand = lambda _topic, _command: None,
    ) -> None:
        self._config = self._requested_config = config
        self._options, self._active_labels = options, active_labels
        self._topics = topics = Topics(config.base_topic, options.node)
        self._discovery = make_discovery(config, options, active_labels)
        self._subscriber = MqttSubscriber(
            topics,
            birth=self._discovery.birth,
            commands=config.commands,
            on_command=on_command,
            follow=options.follow,
        )
        self._session = self._make_session(password)
        self._node = NodeTopics(topics, active_labels, self._publish, lambda: self._discovery.entities)
        self._events = EventSender(
            config, options.queue_file, options.clock, states=self._node.states, health=self._node.health
        )
        self.latency = self._events.latency
        self._new_labels: deque[ActiveLabels] = deque(maxlen=1)
        self._new_config: deque[MqttConfig] = deque(maxlen=1)
        self._started_at: float | None = None
        """Monotonic time of the start, until the first connection."""
        self._closed_at = math.inf
        self._last_attempt = 0

    @property
    def status(self) -> PublisherStatus:
        """Counts and problems; from any thread."""
        return publisher_status(self._session, self._events)

    def start(self, threads: ThreadGroup) -> None:
        """Start the thread of `run`."""
        threads.start("mqtt", self.run)

    def on_event(self, event: Event, label: LabelConfig) -> None:
        """Publish the start or the end of an event as soon as possible; from one thread."""
        self._node.info.on_change()
        self._events.put(
            event, self._topics, label=label, model=self._options.model, connected=self._session.connected
        )
        self._session.wake()

    def on_labels(self, active_labels: ActiveLabels, _rules: Mapping[str, Sequence[Rule]]) -> None:
        """Publish other labels and settings; from the thread of `on_event`, after the events before."""
        if active_labels == self._active_labels:
            return
        self._active_labels = active_labels
        self._node.info.on_change()
        self._new_labels.append(active_labels)
        self._node.states.apply_labels(active_labels.ids_by_source)
        self._session.wake()

    def on_health(self, healths: Mapping[str, Health], snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """Publish the status and the health of each source if they changed, and what the node is."""
        if self._node.set_health(healths, snapshot):
            self._session.wake()

    def on_watchlist(self) -> None:
        """Publish soon what became of a watchlist; from any thread."""
        self._node.info.on_change()

    def on_listen(self, listen: Listen, listeners: int) -> None:
        """Publish how many hear a source live; from any thread."""
        self._node.states.set_listeners(listen.source, listeners)
        self._session.wake()

    def on_scores(self, scores: Scores) -> None:
        """Publish the newest level and scores of a source, at most once a second."""
        self._node.scores.set(scores)
        self._session.wake()

    def refuse(self, topic: str, reason: str) -> None:
        """Publish that a command was refused; from any thread."""
        self._subscriber.refuse(topic, reason)
        self._session.wake()

    def apply(self, config: Config) -> None:
        """Disconnect cleanly and connect with other settings, with a host; queued events are kept."""
        if config.mqtt != self._requested_config:
            self._requested_config = config.mqtt
            self._new_config.append(config.mqtt)
            self._session.wake()

    def close(self) -> None:
        """End `run` soon: no more events come; it delivers what waits, and disconnects."""
        self._closed_at = min(self._closed_at, time.monotonic())
        self._session.wake()

    def run(self) -> None:
        """Connect and publish until closed and either everything is delivered or that cannot succeed.

        It cannot succeed if, once closed, the connection breaks and one more attempt fails, or if the drain
        time is over.  What is left is counted as waiting, and stays in the queue file for the next run.
        """
        self._started_at = time.monotonic()
        with self._events.queue:
            self._drop_retired_labels()
            while not self._is_finished():
                is_new = self._session.wait(self._due())
                self._events.store(self._session)
                self._apply_labels()
                if self._new_config:
                    self._apply_config(self._new_config.popleft())
                    continue
                if is_new:
                    self._on_connect()
                if self._events.check_drops(self._session.address) and self._session.connected:
                    self._node.states.publish_labels()  # a dropped event may have been its newest
                self._drop_retired_labels()
                if self._session.connected:
                    self._publish_pending()
                else:
                    self._subscriber.born = False  # a birth over the old connection
                    self._events.on_offline()
            self._disconnect(self._closed_at + self._options.drain_seconds)
            self._events.store(self._session)

    def _make_session(self, password: str | None) -> MqttSession:
        return make_session(
            self._config,
            self._options,
            password,
            sources=self._active_labels.sources,
            subscriber=self._subscriber,
            discovery=self._discovery,
        )

    def _publish(self, topic: str, text: str, *, qos: int, retain: bool = False) -> None:
        self._session.publish(topic, text, qos=qos, retain=retain)

    def _publish_pending(self) -> None:
        """Publish everything that is new or due."""
        session, delivery = self._session, self._session.delivery
        self._node.states.publish_sources()  # Home Assistant ignores events of a source that is offline
        if delivery.refused_topics.retry_others():
            self._republish()
        self._discovery.publish_due(session.publish)
        self._events.send(session, self._topics, qos=self._config.qos)
        if self._subscriber.born and delivery.unacknowledged < MAX_IN_FLIGHT:
            self._subscriber.born = False
            self._events.late_events.on_birth()
            self._republish(born=True)
        self._node.publish_changes()
        self._subscriber.publish_refusals(session.publish, MAX_IN_FLIGHT - delivery.unacknowledged)
        if not (delivery.unacknowledged or delivery.refused_topics.refuses_others):
            self._discovery.confirm()

    def _republish(self, *, born: bool = False) -> None:
        """Publish everything again, to a broker or a Home Assistant that may have lost it."""
        self._discovery.publish(self._session.publish, born=born)
        self._node.republish()

    def _on_connect(self) -> None:
        """Publish everything on a new connection; events that the last one did not deliver follow."""
        status = self.status
        text = "mqtt: %s: connected; %d messages waited, %d were dropped"
        log.info(text, self._session.address, status.waiting, status.dropped)
        started_at, self._started_at = self._started_at, None
        self._events.on_connect(
            hold=self._discovery.enabled,
            first_seconds=None if started_at is None else time.monotonic() - started_at,
        )
        if (
            self._session.delivery.learned.has_suspect
        ):  # the broker may close the connection on the rest again
            self._events.send(self._session, self._topics, qos=self._config.qos)
        self._republish()

    def _apply_labels(self) -> None:
        """Describe and publish the newest labels, and remove the others."""
        while self._new_labels:
            active_labels = self._new_labels.popleft()
            self._node.settings.apply(active_labels)
            if self._discovery.apply(active_labels.by_source) and self._session.connected:
                self._discovery.publish(self._session.publish)
                self._node.states.publish_new_labels()

    def _drop_retired_labels(self) -> None:
        """Let Home Assistant forget removed labels once no event waits."""
        if not self._events.waiting and self._discovery.drop_retired() and self._session.connected:
            self._discovery.publish(self._session.publish)

    def _apply_config(self, config: MqttConfig) -> None:
        """Connect with other settings; the new session delivers what the old one did not."""
        try:
            password = read_password(config)
            tls_context(config)
        except ConfigError as error:  # the files were there when the settings were checked
            log.error("mqtt: cannot apply the new settings, keeping the old ones: %s", error)  # noqa: TRY400
            return
        self._disconnect(time.monotonic() + RECONNECT_SECONDS)
        self._events.store(self._session)
        self._config = config
        self._topics = Topics(config.base_topic, self._options.node)
        self._discovery = make_discovery(config, self._options, self._active_labels)
        self._subscriber.apply(self._topics, birth=self._discovery.birth, commands=config.commands)
        self._node.use_topics(self._topics)
        self._events.queue.limits = queue_limits(config)
        before, self._session = self._session, self._make_session(password)
        self._session.unreadable = before.unreadable
        self._session.delivery.refused_topics.count = before.delivery.refused_topics.count

    def _due(self) -> float:
        """Return the next monotonic time at which there is something to do."""
        if not self._session.connected:
            return self._drained_by()
        late_events, refused_topics = self._events.late_events, self._session.delivery.refused_topics
        parts = (self._node, self._discovery, late_events, refused_topics)
        return min(self._drained_by(), *(part.due() for part in parts))

    def _drained_by(self) -> float:
        return self._closed_at + (1 - DISCONNECT_SHARE) * self._options.drain_seconds

    def _is_finished(self) -> bool:
        if math.isinf(self._closed_at):
            return False
        session = self._session
        self._last_attempt = self._last_attempt or session.ended + session.connected + 1
        session.retry_now()
        is_hopeless = session.ended >= self._last_attempt or time.monotonic() >= self._drained_by()
        self._events.release_unsafe()
        is_blocked = session.connected and self._events.is_blocked
        return is_hopeless or is_blocked or not self._events.waiting

    def _disconnect(self, until: float) -> None:
        """Publish that the node is offline and disconnect; wait no longer than a monotonic time."""
        session = self._session
        if session.connected:
            self._node.states.publish_offline()
        while session.connected and session.delivery.unacknowledged and time.monotonic() < until:
            session.wait(until)
        session.close()
        while session.connected and time.monotonic() < until:  # else the process may end before it is sent
            session.wait(until)
