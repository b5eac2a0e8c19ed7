"""Events, states and levels -> the broker.

One thread, `Mqtt.run`, does all of it; the methods that other threads call only leave a note and wake
it, so the analysis waits neither for the broker nor for the disk.  The thread puts an event into the
backlog, which is a file, before it offers it to the broker, and takes it out when it has arrived.
Of states only the newest counts.  Discovery for Home Assistant and all states are said on every
connection, and again when Home Assistant says that it has started; late events wait for that (`LateEvents`).
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from monitor.audio.source_status import Health
from monitor.config import Config, LabelConfig, MqttConfig, read_password
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.events import Rule
from monitor.detection.overrides import MOST_LABELS
from monitor.outputs import Output
from monitor.outputs.mqtt.connection import Connection
from monitor.outputs.mqtt.connection_terms import Negotiation, Profile
from monitor.outputs.mqtt.discovery_sync import DiscoverySync
from monitor.outputs.mqtt.durable_queue import DurableQueue
from monitor.outputs.mqtt.late_events import LateEvents
from monitor.outputs.mqtt.queue_file import QueuedMessage
from monitor.outputs.mqtt.retained_settings import RetainedSettings
from monitor.outputs.mqtt.retained_states import RetainedStates
from monitor.outputs.mqtt.score_topics import ScoreTopics
from monitor.outputs.mqtt.session import MqttSession
from monitor.outputs.mqtt.subscriber import MqttSubscriber, OnCommand
from monitor.outputs.mqtt.tls import address, tls_context
from monitor.outputs.mqtt.topics import TRIGGER, Topics
from monitor.outputs.outbox import Outbox
from monitor.outputs.payload import as_json, event_message, happened_at, stamped
from monitor.system.histogram import Histogram
from monitor.system.threads import ThreadGroup
from monitor.system.wall_clock import WallClock
from monitor.types import ConfigError, Event, Scores

log = logging.getLogger(__name__)

WINDOW = 20
"""Events may be sent while fewer messages than this are on their way."""

LATE_SECONDS = 3.0
"""An event that waited longer for the broker is sent with ``late: true``."""

IN_MEMORY = 1000
"""Starts and ends that wait in memory, for the disk or in place of it; then the oldest make room."""

LATENCY_SECONDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 600.0)

HELD = "they came while the broker was away, and Home Assistant has not said yet that it is back"

FAREWELL = 0.2
"""Share of the time to drain that is kept for taking leave."""

MOVE_SECONDS = 2.0
"""Given to take leave of a broker before another one is told."""


class MqttPublisher(Output):
    """Tell the broker everything; `run` is the body of its thread.

    Parameters
    ----------
    config : MqttConfig
        With a host.
    node : str
        Name of this monitor.
    active_labels : ActiveLabels
        Each of its sources counts as offline until `source` says otherwise.
    model : str
        Name of the checkpoint.
    password : str or None
    queue_file : Path or None
        File in which events wait while the broker is away, also across restarts; None for memory alone.
        Beside it is ``announced.json``, what the broker keeps of us.
    clock : WallClock or None
        Says whether the time of day may decide what is too old; without one it may.
    drain_seconds : float
        From `close` on, `run` takes at most so long.
    on_command : callable
        Takes what others say to us, a topic and a command or why it is none, in the thread of the connection;
        it must not block.
    page : str or None
        URL of the page, for Home Assistant.

    Raises
    ------
    ConfigError
        If ``ca_file`` cannot be used, or the host can be no name.
    """

    def __init__(  # noqa: PLR0913 - what is told of the monitor, and where it is kept
        self,
        config: MqttConfig,
        *,
        node: str,
        active_labels: ActiveLabels,
        model: str,
        password: str | None = None,
        queue_file: Path | None = None,
        clock: WallClock | None = None,
        drain_seconds: float = 5.0,
        on_command: OnCommand = lambda _topic, _command: None,
        page: str | None = None,
    ) -> None:
        self.latency = Histogram(LATENCY_SECONDS)
        """Seconds from the onset of an event until the broker had acknowledged its start."""
        self._node, self._model, self._queue_file, self._page = node, model, queue_file, page
        self._active_labels = active_labels
        self._changes: deque[ActiveLabels] = deque(maxlen=1)
        self._moves: deque[MqttConfig] = deque(maxlen=1)
        self._config = config
        self._qos = config.qos
        self._topics = Topics(config.base_topic, node)
        self._announcement = self._make_announcement(config, self._topics)
        self._reception = MqttSubscriber(
            self._topics, birth=self._announcement.birth, commands=config.commands, on_command=on_command
        )
        self._link = self._make_link(config, password)
        publish = self._publish
        self._states = RetainedStates(self._topics, labels=active_labels.ids_by_source, publish=publish)
        self._scores = ScoreTopics(self._topics, publish)
        self._settings = RetainedSettings(self._topics, active_labels, publish)
        self._refused = self._left_out = 0
        self._new: list[QueuedMessage] = []
        self._outbox: Outbox[QueuedMessage] = Outbox(self._new.append, IN_MEMORY)
        self._ahead = time.time() - time.monotonic()
        self._durable_queue = DurableQueue(
            queue_file,
            size=IN_MEMORY,
            most_bytes=config.keep_megabytes * 1_000_000,
            most_seconds=config.keep_days * 86_400,
            now=self._now,
            clock=clock,
        )
        self._drain_seconds = drain_seconds
        self._onsets: dict[int, float] = {}
        """Unix seconds of the onsets of events whose start is on its way, by the number of the letter."""
        self._holding = LateEvents()
        self._waited = 0
        """Number of the newest letter that was put while there was no connection, or before one broke."""
        self._newest_arrived = 0
        self._alone_since: float | None = None
        """Moment, on the monotonic clock, from which there never was a connection; None after the first."""
        self._closed_at = math.inf
        self._last_try = 0
        self._published = self._numbered = 0
        self._dropped_before, self._overflowing = 0, False

    def start(self, threads: ThreadGroup) -> None:
        """Start the thread of `run`."""
        threads.start("mqtt", self.run)

    def on_event(self, event: Event, _label: LabelConfig) -> None:
        """Publish an event."""
        self.put(event)

    def on_labels(self, active_labels: ActiveLabels, _rules: Mapping[str, Sequence[Rule]]) -> None:
        """Publish the labels in force, if they are others than before."""
        if active_labels != self._active_labels:
            self.listen(active_labels)

    def apply(self, config: Config) -> None:
        """Connect by changed settings, if they are others than before."""
        if config.mqtt != self._config:
            self._config = config.mqtt
            self.move(config.mqtt)

    def on_health(self, healths: Mapping[str, Health], _snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """Publish the state and the health of each source."""
        for name, health in healths.items():
            self.source(name, online=health.online)
            self.health(name, health)

    def put(self, event: Event) -> None:
        """Send the start or the end of an event as soon as the broker can be reached; from one thread."""
        self._numbered += 1
        if not self._link.connected:
            self._waited = self._numbered
        letter = QueuedMessage(
            number=self._numbered,
            topic=self._topics.event(event.source),
            payload=event_message(
                event,
                node=self._node,
                label=self._active_labels.label(event.source, event.label),
                model=self._model,
                published_at=time.time(),
            ),
            happened_at=happened_at(event),
            put_at=self._now(),
        )
        self._states.event(letter)
        self._outbox.put(letter)
        self._link.wake()

    def listen(self, active_labels: ActiveLabels) -> None:
        """Say what is listened for from now on; from the thread that puts events, after those of before."""
        self._active_labels = active_labels
        self._changes.append(active_labels)
        self._states.listen(active_labels.ids_by_source)
        self._link.wake()

    def source(self, name: str, *, online: bool) -> None:
        """Say whether a source hears anything."""
        if self._states.source(name, online=online):
            self._link.wake()

    def health(self, source: str, health: Health) -> None:
        """Say what is wrong with a source."""
        if self._states.health(source, health):
            self._link.wake()

    def level(self, source: str, dbfs: float) -> None:
        """Send the newest level of a source, in dB of full scale, at most once a second."""
        self._states.level(source, dbfs)
        self._link.wake()

    def on_scores(self, scores: Scores) -> None:
        """Publish the newest level and scores of a source, at most once a second."""
        self.level(scores.source, scores.level_dbfs)
        self._scores.note(scores)

    def refuse(self, topic: str, why: str) -> None:
        """Say that a command was refused; from any thread."""
        self._reception.refuse(topic, why)
        self._link.wake()

    def move(self, config: MqttConfig) -> None:
        """Take leave of the broker and go by other settings, which have a host; nothing is lost by it."""
        self._moves.append(config)
        self._link.wake()

    def close(self) -> None:
        """No more events will come; `run` delivers what is left, takes leave and returns."""
        self._closed_at = min(self._closed_at, time.monotonic())
        self._outbox.close()
        self._link.wake()

    @property
    def connected(self) -> bool:
        """Whether the broker has let us in."""
        return self._link.connected

    @property
    def published(self) -> int:
        """Starts and ends of events that the broker has acknowledged."""
        return self._published

    @property
    def dropped(self) -> int:
        """Starts and ends of events lost because too many waited, for too long, or in a file that broke."""
        return self._outbox.dropped + self._durable_queue.dropped

    @property
    def waiting(self) -> int:
        """Starts and ends of events that the broker has not acknowledged; exact once `run` has returned."""
        return self._outbox.waiting + len(self._new) + self._durable_queue.waiting

    @property
    def trouble(self) -> str | None:
        """Why events wait, for people; begins with host and port."""
        if self.waiting and not self.connected and self._holding.active:
            return self._link.trouble or f"{self._address}: late events stay for the next run: {HELD}"
        if self.waiting and not self.connected:
            return self._link.trouble or next(iter(self.problems), self._link.doubt)
        return self._link.trouble or next(iter(self.problems), None)

    @property
    def problems(self) -> list[str]:
        """What the broker does not take though it lets us in, for people; each begins with host and port."""
        return self._link.problems()

    @property
    def unheard(self) -> int:
        """Messages to this monitor that could not be read."""
        return self._left_out + self._link.left_out

    @property
    def refused(self) -> int:
        """Messages that the broker did not take, whatever they were."""
        return self._refused + self._link.refusals.count

    def run(self) -> None:
        """Connect, publish, connect again; until closed and either delivered or without hope.

        There is no hope if the connection, should there be one, breaks and one more attempt fails, or
        if the time to drain is over.  What is left then is `waiting`, and `trouble` says why; it stays in
        the journal for the next run.
        """
        self._alone_since = time.monotonic()
        with self._durable_queue:
            self._settle()
            while not self._finished():
                connected_anew = self._link.wait(self._due())
                self._note()
                self._note_change()
                if self._moves:
                    self._move(self._moves.popleft())
                    continue
                if connected_anew:
                    self._welcome()
                self._note_drops()
                self._settle()
                if self._link.connected:
                    self._states.say_sources()
                    self._send_events()
                    self._answer()
                    self._states.say_healths()
                    self._states.say_last()
                    self._states.say_levels()
                    self._settings.say()
                    self._scores.say()
                    self._reception.say(self._link.publish, WINDOW - self._link.unacknowledged)
                    if not (self._link.unacknowledged or self._link.refusals.refuses_others):
                        self._announcement.confirm()
                else:
                    self._reception.born = False  # that was on the old connection
                    self._waited = self._numbered
            self._take_leave()
            self._note()

    def _now(self) -> float:
        """Unix seconds, by a clock that is never set while we run: no letter gets old by that."""
        return time.monotonic() + self._ahead

    def _note(self) -> None:
        """Put into the backlog what is new, and take out of it what has arrived."""
        self._outbox.flush(self._outbox.waiting)
        for letter in self._new:
            if self._link.connected and self._holding.active and self._holding.belated(letter):
                self._states.say_label(letter)  # it waits, but the state that it leads to does not
        self._durable_queue.add(self._new)
        self._new.clear()
        self._published += len(self._link.arrived)
        for number in self._link.arrived:
            latency = time.time() - self._onsets.pop(number, math.inf)
            if latency >= 0:  # a recording that is replayed fast is told before it was heard
                self.latency.observe(latency)
        self._newest_arrived = max([self._newest_arrived, *self._link.arrived])
        self._durable_queue.remove(self._link.arrived)
        self._link.arrived.clear()
        self._durable_queue.give_back(self._link.returned)
        self._link.returned.clear()

    def _note_change(self) -> None:
        """Describe what is listened for now, and take back what is not."""
        while self._changes:
            active_labels = self._changes.popleft()
            self._settings.listen(active_labels)
            news = self._announcement.change(active_labels.by_source)
            if news and self._link.connected:
                self._announcement.say(self._link.publish)
                self._states.say_new_labels()

    def _settle(self) -> None:
        """Let Home Assistant forget labels that are gone, once their last events have arrived."""
        if not self.waiting and self._announcement.settle() and self._link.connected:
            self._announcement.say(self._link.publish)

    def _publish(self, topic: str, text: str, *, qos: int, retain: bool = False) -> None:
        self._link.publish(topic, text, qos=qos, retain=retain)

    def _make_announcement(self, config: MqttConfig, topics: Topics) -> DiscoverySync:
        return DiscoverySync(
            config,
            topics,
            labels=self._active_labels.by_source,
            model=self._model,
            path=None if self._queue_file is None else self._queue_file.with_name("announced.json"),
            page=self._page,
        )

    def _make_link(self, config: MqttConfig, password: str | None) -> MqttSession[int]:
        self._address = address(config)
        sources = self._active_labels.sources
        # Where MQTT cannot say that something is refused, we look whether it is delivered.
        own = {self._topics.status(), *map(self._topics.event, sources)}
        profile = Profile(
            config=config,
            client_id=config.client_id or f"clap-monitor-{self._node}",
            password=password,
            tls=tls_context(config),
            will=self._topics.status(),
            queue=4 * WINDOW + 8 * (len(sources) + 1) * (MOST_LABELS + 1) + 2 * self._announcement.most,
            listen=tuple(self._reception.filters()),
            own=frozenset(own),
        )
        return MqttSession(
            partial(Connection, profile),
            address=self._address,
            silence_seconds=config.keepalive_seconds,
            receive=self._reception.hear,
            negotiation=Negotiation(config.protocol),
            client_id=profile.client_id,
        )

    def _move(self, config: MqttConfig) -> None:
        """Go by other settings; what the old connection did not deliver is delivered by the new one."""
        try:
            password = read_password(config)
            tls_context(config)
        except ConfigError as error:  # it was there a moment ago, when the settings were checked
            log.error("mqtt: the new settings cannot be used, the old ones hold: %s", error)  # noqa: TRY400
            return
        self._leave(time.monotonic() + MOVE_SECONDS)
        self._note()
        self._left_out += self._link.left_out
        self._refused += self._link.refusals.count
        self._qos = config.qos
        self._topics = Topics(config.base_topic, self._node)
        self._announcement = self._make_announcement(config, self._topics)
        self._reception.move(self._topics, birth=self._announcement.birth, commands=config.commands)
        self._states.move(self._topics)
        self._scores.move(self._topics)
        self._settings = RetainedSettings(self._topics, self._active_labels, self._publish)
        self._durable_queue.limit(
            most_bytes=config.keep_megabytes * 1_000_000, most_seconds=config.keep_days * 86_400
        )
        self._link = self._make_link(config, password)

    def _finished(self) -> bool:
        if not self._outbox.closed:
            return False
        self._last_try = self._last_try or self._link.ended + self._link.connected + 1
        self._link.hurry()
        hopeless = self._link.ended >= self._last_try or time.monotonic() >= self._drained_by()
        if not self._durable_queue.safe and self._holding.active:
            self._holding.end()
            self._durable_queue.rewind()
        held_back = (
            self.connected and self._durable_queue.held_back and not (self._outbox.waiting or self._new)
        )
        return hopeless or held_back or not self.waiting

    def _drained_by(self) -> float:
        return self._closed_at + (1 - FAREWELL) * self._drain_seconds

    def _due(self) -> float:
        """Return the next moment, on the monotonic clock, at which something is to be done unasked."""
        if not self.connected:
            return self._drained_by()
        said_next = min(self._states.due(), self._scores.due(), self._announcement.due())
        return min(self._drained_by(), said_next, self._holding.due(), self._link.refusals.due())

    def _welcome(self) -> None:
        """Say everything anew; what the last connection did not deliver will follow."""
        said = "mqtt: %s: connected; %d messages waited, %d were dropped"
        log.info(said, self._address, self.waiting, self.dropped)
        self._overflowing = False
        self._hold()
        self._durable_queue.take_back()
        self._onsets.clear()
        if self._link.suspicious:  # it may close the connection on the rest once more
            self._send_events()
        self._say_anew()

    def _hold(self) -> None:
        """Let what waited for this connection wait for Home Assistant as well."""
        began, self._alone_since = self._alone_since, None
        at_once = began is not None and time.monotonic() - began < LATE_SECONDS
        waits = self.waiting > self._numbered if at_once else self.waiting  # of an earlier run, or at all
        if self._announcement.described and waits:
            begun = self._states.lasting(self._newest_arrived, self._waited)
            self._holding.begin(self._waited, begun)
        else:
            self._holding.end()

    def _say_anew(self, *, born: bool = False) -> None:
        self._announcement.say(self._link.publish, born=born)
        self._settings.say_anew()
        self._scores.say_anew()
        self._states.say_anew()

    def _answer(self) -> None:
        """Say everything again to a Home Assistant that started, once the last answer has arrived."""
        if self._reception.born and self._link.unacknowledged < WINDOW:
            self._reception.born = False
            self._holding.born()
            self._say_anew(born=True)

    def _note_drops(self) -> None:
        if self.dropped == self._dropped_before:
            return
        if not self._overflowing:  # until the next connection
            log.warning(
                "mqtt: %s: events that waited are dropped: mqtt.keep_days, mqtt.keep_megabytes", self._address
            )
        self._overflowing = True
        self._dropped_before = self.dropped
        if self._link.connected:
            self._states.say_labels()  # what was dropped may have been the newest of its label

    def _send_events(self) -> None:
        """Publish what waits; of events under a topic that the broker refuses, one now and then."""
        refusals = self._link.refusals
        if any([self._holding.end_if_over(), refusals.stir()]):
            self._durable_queue.rewind()
        if refusals.stir_others():
            self._say_anew()
        self._announcement.say_again(self._link.publish)
        for letter in self._durable_queue.take(WINDOW - self._link.unacknowledged, self._is_held_back):
            self._send(letter)

    def _is_held_back(self, letter: QueuedMessage) -> bool:
        return self._holding.holds(letter) or self._link.refusals.blocks(letter.topic)

    def _send(self, letter: QueuedMessage) -> None:
        """Publish one event, and the states that it changes unless they have been said."""
        late = letter.number <= 0 or self._now() - letter.put_at > LATE_SECONDS
        payload = stamped(letter.payload, happened_at=letter.happened_at, published_at=time.time(), late=late)
        self._link.publish(letter.topic, as_json(payload), qos=self._qos, letter=letter.number)
        if letter.lasts and letter.happened_at is not None:
            self._onsets[letter.number] = letter.happened_at
        if late:
            self._states.late()
        elif letter.lasts:  # what is switched on by it should not be switched on an hour later
            self._link.publish(self._topics.trigger(letter.source, letter.label), TRIGGER, qos=1)
        if not self._holding.belated(letter):  # then it has been said, and a newer event may have started
            self._states.say_label(letter)

    def _take_leave(self) -> None:
        self._leave(self._closed_at + self._drain_seconds)

    def _leave(self, end: float) -> None:
        """Say that nothing is heard any more, wait until that has arrived, and disconnect."""
        if self._link.connected:
            self._states.say_over()
        while self._link.connected and self._link.unacknowledged and time.monotonic() < end:
            self._link.wait(end)
        self._link.close()
        while self._link.connected and time.monotonic() < end:  # else the process may end before it is sent
            self._link.wait(end)
