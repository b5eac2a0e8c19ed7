"""Event sender: queues events on disk, sends them in order, and tracks which the broker has acknowledged."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

from monitor.config import LabelConfig, MqttConfig
from monitor.outputs.mqtt.durable_queue import DurableQueue, QueueLimits
from monitor.outputs.mqtt.health_topics import HealthTopics
from monitor.outputs.mqtt.late_events import LateEvents
from monitor.outputs.mqtt.paho_client import MAX_IN_FLIGHT
from monitor.outputs.mqtt.queue_file import QueuedMessage
from monitor.outputs.mqtt.retained_states import RetainedStates
from monitor.outputs.mqtt.session import MqttSession
from monitor.outputs.mqtt.topics import TRIGGER, Topics
from monitor.outputs.outbox import Outbox
from monitor.outputs.payload import as_json, event_message, happened_at, stamped
from monitor.system.clock_sync import read_clock_sync
from monitor.system.histogram import Histogram
from monitor.system.wall_clock import WallClock
from monitor.types import Event

log = logging.getLogger(__name__)

LATE_SECONDS = 3.0
"""An event that waited longer for the broker is sent with ``late: true``."""

IN_MEMORY = 1000
"""Starts and ends that wait in memory, before or instead of the disk; beyond it, the oldest are dropped."""

LATENCY_SECONDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 600.0)


class EventSender:
    """Send starts and ends of events; the publisher's thread calls everything except `put`.

    The queue has the file and the clock of a `DurableQueue`; the states are published with each event.
    """

    def __init__(
        self,
        config: MqttConfig,
        queue_file: Path | None,
        clock: WallClock | None,
        *,
        states: RetainedStates,
        health: HealthTopics,
    ) -> None:
        self.latency = Histogram(LATENCY_SECONDS)
        """Seconds from the onset of an event until the broker acknowledged its start."""
        self.published = 0
        """Starts and ends that the broker has acknowledged."""
        self.late_events = LateEvents()
        self._now = _unadjusted_clock()
        self.queue = DurableQueue(
            queue_file, size=IN_MEMORY, limits=queue_limits(config), now=self._now, clock=clock
        )
        self._states, self._health = states, health
        self._new: list[QueuedMessage] = []
        self._outbox: Outbox[QueuedMessage] = Outbox(self._new.append, IN_MEMORY)
        self._onsets: dict[int, float] = {}
        """Unix seconds of the onsets of events whose start is in flight, by queue number."""
        self._numbered = 0
        self._waited = 0
        """Number of the newest message that was put while disconnected, or before a connection broke."""
        self._newest_acknowledged = 0
        self._dropped_before, self._drops_logged = 0, False

    @property
    def dropped(self) -> int:
        """Starts and ends lost because too many waited, for too long, or in a file that broke."""
        return self._outbox.dropped + self.queue.dropped

    @property
    def waiting(self) -> int:
        """Starts and ends without an acknowledgement; exact once `MqttPublisher.run` has returned."""
        return self._outbox.waiting + len(self._new) + self.queue.waiting

    @property
    def is_blocked(self) -> bool:
        """Whether events wait and none of them may be sent."""
        return self.queue.is_blocked and not (self._outbox.waiting or self._new)

    def put(self, event: Event, topics: Topics, *, label: LabelConfig, model: str, connected: bool) -> None:
        """Queue the start or the end of an event; from one thread, which neither disk nor broker delays."""
        self._numbered += 1
        if not connected:
            self._waited = self._numbered
        message = QueuedMessage(
            number=self._numbered,
            topic=topics.event(event.source),
            payload=event_message(
                event,
                node=topics.node,
                label=label,
                model=model,
                published_at=time.time(),
                clock=read_clock_sync(),
            ),
            happened_at=happened_at(event),
            queued_at=self._now(),
        )
        self._states.on_event(message)
        self._outbox.put(message)

    def store(self, session: MqttSession) -> None:
        """Move new events into the queue, and acknowledged ones out of it."""
        self._outbox.flush(self._outbox.waiting)
        for message in self._new:
            if session.connected and self.late_events.active and self.late_events.is_late_end(message):
                self._states.publish_label(message)  # the event waits, its state does not
        self.queue.add(self._new)
        self._new.clear()
        acknowledged, returned = session.delivery.acknowledged, session.delivery.returned
        self.published += len(acknowledged)
        for number in acknowledged:
            latency = time.time() - self._onsets.pop(number, math.inf)
            if latency >= 0:  # negative for a recording replayed faster than real time
                self.latency.observe(latency)
        self._newest_acknowledged = max([self._newest_acknowledged, *acknowledged])
        self.queue.remove(acknowledged)
        acknowledged.clear()
        self.queue.give_back(returned)
        returned.clear()

    def send(self, session: MqttSession, topics: Topics, *, qos: int) -> None:
        """Send waiting events, except late ones on hold and those under refused topics."""
        delivery, refused_topics = session.delivery, session.delivery.refused_topics
        if any([self.late_events.release_if_due(), refused_topics.retry_events()]):
            self.queue.rewind()

        def blocks(message: QueuedMessage) -> bool:
            return self.late_events.holds(message) or refused_topics.blocks(message.topic)

        for message in self.queue.take(MAX_IN_FLIGHT - delivery.unacknowledged, blocks):
            self._send(message, session, topics, qos)

    def on_connect(self, *, hold: bool, first_seconds: float | None) -> None:
        """Prepare for a new connection: what the last one did not deliver is sent again.

        With ``hold``, late events wait for Home Assistant.  The first connection of this run took
        ``first_seconds``; None for a later one.
        """
        self._drops_logged = False
        at_once = first_seconds is not None and first_seconds < LATE_SECONDS
        late = self.waiting > self._numbered if at_once else self.waiting  # of an earlier run, or any
        if hold and late:
            ongoing = self._states.ongoing(self._newest_acknowledged, self._waited)
            self.late_events.begin(self._waited, ongoing)
        else:
            self.late_events.release()
        self.queue.take_back()
        self._onsets.clear()

    def on_offline(self) -> None:
        """Record that all events so far waited for the broker."""
        self._waited = self._numbered

    def check_drops(self, address: str) -> bool:
        """Log dropped events, once per connection; True if there were any since the last call."""
        if self.dropped == self._dropped_before:
            return False
        if not self._drops_logged:
            text = "mqtt: %s: dropping the oldest queued events; raise mqtt.keep_days or mqtt.keep_megabytes"
            log.warning(text, address)
        self._dropped_before, self._drops_logged = self.dropped, True
        return True

    def release_unsafe(self) -> None:
        """At shutdown, release late events that are only in memory."""
        if not self.queue.is_safe and self.late_events.active:
            self.late_events.release()
            self.queue.rewind()

    def _send(self, message: QueuedMessage, session: MqttSession, topics: Topics, qos: int) -> None:
        """Send one event, and the states that it changes unless they are published already."""
        late = message.number <= 0 or self._now() - message.queued_at > LATE_SECONDS
        at, now = message.happened_at, time.time()
        payload = stamped(message.payload, happened_at=at, published_at=now, late=late)
        session.publish(message.topic, as_json(payload), qos=qos, event=message.number)
        if message.is_start and at is not None:
            self._onsets[message.number] = at
        if late:
            self._health.on_late_event()
        elif message.is_start:  # a late trigger could switch something on an hour later
            session.publish(topics.trigger(message.source, message.label), TRIGGER, qos=1)
        if not self.late_events.is_late_end(message):  # published by `store`; a newer event may have started
            self._states.publish_label(message)


def queue_limits(config: MqttConfig) -> QueueLimits:
    """Return the limits of the queue."""
    return QueueLimits(bytes=config.keep_megabytes * 1_000_000, seconds=config.keep_days * 86_400)


def _unadjusted_clock() -> Callable[[], float]:
    """Return a clock of Unix seconds that ignores changes of the system time, so that none ages an event."""
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset
