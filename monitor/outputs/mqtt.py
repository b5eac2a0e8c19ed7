"""Events, states and levels -> the broker.

One thread, `Mqtt.run`, does all of it; the methods that other threads call only leave a note and wake
it.  Events wait in a box in memory while the broker is away; a durable one will stand in its place.
Of states only the newest counts.  Discovery for Home Assistant will be said in `_welcome`, where
everything is said anew on every connection, and what the house commands will be heard by the link.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from monitor.config import LabelConfig, MqttConfig
from monitor.outputs.broker import Connection, address, tls_context
from monitor.outputs.link import Link
from monitor.outputs.outbox import Outbox
from monitor.outputs.payload import Topics, as_json, attributes_payload, event_payload, level_payload
from monitor.types import Event

log = logging.getLogger(__name__)

WINDOW = 20
"""Events may be sent while fewer messages than this are on their way."""

LATE_SECONDS = 3.0
"""An event that waited longer for the broker is sent with ``late: true``."""

FAREWELL = 0.2
"""Share of the time to drain that is kept for taking leave."""


@dataclass(frozen=True, slots=True)
class _Letter:
    event: Event
    number: int
    """Of all events, from 1."""
    put_at: float
    """Seconds of the monotonic clock."""


class Mqtt:
    """Tell the broker everything; `run` is the body of its thread.

    Parameters
    ----------
    config : MqttConfig
        With a host.
    node : str
        Name of this monitor.
    labels : sequence of LabelConfig
    sources : sequence of str
        Their names; each counts as offline until `source` says otherwise.
    model : str
        Name of the checkpoint.
    password : str or None
    size : int
        Events that wait while the broker is away; then the oldest make room, counted in `dropped`.
    drain_seconds : float
        From `close` on, `run` takes at most so long.

    Raises
    ------
    ConfigError
        If ``ca_file`` cannot be used, or the host can be no name.
    """

    def __init__(
        self,
        config: MqttConfig,
        *,
        node: str,
        labels: Sequence[LabelConfig],
        sources: Sequence[str],
        model: str,
        password: str | None = None,
        size: int = 1000,
        drain_seconds: float = 5.0,
    ) -> None:
        self._qos = config.qos
        self._node = node
        self._model = model
        self._labels = {label.id: label for label in labels}
        self._topics = Topics(config.base_topic, node)
        self._address = address(config)
        connect = partial(
            Connection,
            config,
            client_id=config.client_id or f"clap-monitor-{node}",
            password=password,
            tls=tls_context(config),
            will=self._topics.status(),
            queue=3 * WINDOW + 4 * (len(sources) + 1) * (len(labels) + 1),
        )
        self._link: Link[_Letter] = Link(
            connect, address=self._address, silence_seconds=config.keepalive_seconds
        )
        self._outbox: Outbox[_Letter] = Outbox(self._send, size)
        self._drain_seconds = drain_seconds
        self._closed_at = math.inf
        self._last_try = 0
        self._numbered = 0
        self._covered = 0
        self._dropped_before = 0
        self._overflowing = False
        self._newest: dict[tuple[str, str], Event | None] = {
            (source, label): None for source in sources for label in self._labels
        }
        self._online = dict.fromkeys(sources, False)
        self._said_online: dict[str, bool] = {}
        self._levels: dict[str, float] = {}
        self._level_due: dict[str, float] = {}

    def put(self, event: Event) -> None:
        """Send the start or the end of an event as soon as the broker can be reached; from one thread."""
        self._newest[event.source, event.label] = event  # before it is counted: see `_say_states`
        self._numbered += 1
        self._outbox.put(_Letter(event, self._numbered, time.monotonic()))
        self._link.wake()

    def source(self, name: str, *, online: bool) -> None:
        """Say whether a source hears anything."""
        if self._online[name] != online:
            self._online[name] = online
            self._link.wake()

    def level(self, source: str, dbfs: float) -> None:
        """Send the newest level of a source, in dB of full scale, at most once a second."""
        self._levels[source] = dbfs
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
        return self._link.acknowledged

    @property
    def dropped(self) -> int:
        """Starts and ends of events lost because too many waited for the broker."""
        return self._outbox.dropped

    @property
    def waiting(self) -> int:
        """Starts and ends of events that the broker has not acknowledged; exact once `run` has returned."""
        return self._outbox.waiting + self._link.letters

    @property
    def trouble(self) -> str | None:
        """Why events wait, for people; begins with host and port."""
        if self.waiting and not self.connected:
            return self._link.trouble or self._link.doubt
        return self._link.trouble

    def run(self) -> None:
        """Connect, publish, connect again; until closed and either delivered or without hope.

        There is no hope if the connection, should there be one, breaks and one more attempt fails, or
        if the time to drain is over.  What is left then is `waiting`, and `trouble` says why.
        """
        while not self._finished():
            if self._link.wait(self._due()):
                self._welcome()
            self._note_drops()
            if self._link.connected:
                self._say_sources()
                self._outbox.flush(WINDOW - self._link.unacknowledged)
                self._say_levels()
        self._take_leave()

    def _finished(self) -> bool:
        if not self._outbox.closed:
            return False
        self._last_try = self._last_try or self._link.ended + self._link.connected + 1
        self._link.hurry()
        hopeless = self._link.ended >= self._last_try or time.monotonic() >= self._drained_by()
        return hopeless or not self.waiting

    def _drained_by(self) -> float:
        return self._closed_at + (1 - FAREWELL) * self._drain_seconds

    def _due(self) -> float:
        """Return the next moment, on the monotonic clock, at which something is to be done unasked."""
        levels = (
            [self._level_due.get(source, 0.0) for source in tuple(self._levels)] if self.connected else []
        )
        return min(self._drained_by(), *levels, math.inf)

    def _welcome(self) -> None:
        """Say everything anew: the newest states, that we are here, and what the last connection lost."""
        log.info(
            "mqtt: %s: connected; %d messages waited, %d were dropped",
            self._address,
            self.waiting,
            self.dropped,
        )
        self._overflowing = False
        self._levels.clear()  # of whenever that was
        self._say_states()
        self._said_online.clear()
        self._say_sources()
        self._say(
            self._topics.status(), "online"
        )  # last: before it, what is retained may be from another time
        for letter in self._take_back():
            self._send(letter)

    def _take_back(self) -> list[_Letter]:
        letters = list(self._link.returned)
        self._link.returned.clear()
        return letters

    def _note_drops(self) -> None:
        if self._outbox.dropped == self._dropped_before:
            return
        if not self._overflowing:  # until the next connection
            log.warning("mqtt: %s: too many events wait, the oldest are dropped", self._address)
        self._overflowing = True
        self._dropped_before = self._outbox.dropped
        if self._link.connected:
            self._say_states()  # what was dropped may have been the newest of its label

    def _send(self, letter: _Letter) -> None:
        """Publish one event, and the states that it changes unless they have been said."""
        event = letter.event
        payload = event_payload(
            event,
            node=self._node,
            label=self._labels[event.label],
            model=self._model,
            published_at=time.time(),
            late=time.monotonic() - letter.put_at > LATE_SECONDS,
        )
        self._link.publish(self._topics.event(event.source), as_json(payload), qos=self._qos, letter=letter)
        if letter.number > self._covered:
            self._say_state(event.source, event.label, event)

    def _say_states(self) -> None:
        """Publish the newest state of every label of every source.

        `put` notes the state before it counts the event, and here the count is read before the
        states: what is said is at least as new as every event up to `_covered`, and those after it
        say their states themselves.  So the newest wins without a lock.
        """
        self._covered = self._numbered
        for (source, label), event in self._newest.items():
            self._say_state(source, label, event)

    def _say_state(self, source: str, label: str, event: Event | None) -> None:
        attributes = attributes_payload(event, node=self._node, label=self._labels[label], model=self._model)
        lasts = event is not None and event.ended_at is None
        self._say(self._topics.state(source, label), "ON" if lasts else "OFF")
        self._say(self._topics.attributes(source, label), as_json(attributes))

    def _say_sources(self) -> None:
        for source, online in self._online.items():
            if self._said_online.get(source) != online:
                self._said_online[source] = online
                self._say(self._topics.source_status(source), "online" if online else "offline")

    def _say_levels(self) -> None:
        now = time.monotonic()
        for source in tuple(self._levels):
            if now >= self._level_due.get(source, 0.0):
                self._level_due[source] = now + 1.0
                level = level_payload(self._levels.pop(source))
                self._link.publish(self._topics.level(source), as_json(level), qos=0)

    def _say(self, topic: str, text: str) -> None:
        """Publish what stays true until it is said otherwise."""
        self._link.publish(topic, text, qos=1, retain=True)

    def _take_leave(self) -> None:
        """Say that nothing is heard any more, wait until that has arrived, and disconnect."""
        if self._link.connected:
            for source, label in self._newest:
                self._say(self._topics.state(source, label), "OFF")
            for source in self._online:
                self._say(self._topics.source_status(source), "offline")
            self._say(self._topics.status(), "offline")
        end = self._closed_at + self._drain_seconds
        while self._link.connected and self._link.unacknowledged and time.monotonic() < end:
            self._link.wait(end)
        self._link.close()
        while self._link.connected and time.monotonic() < end:  # else the process may end before it is sent
            self._link.wait(end)
