"""What is true at the moment and said to the broker: only the newest of it counts."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from monitor.audio.source_status import Health
from monitor.outputs.mqtt.health_payloads import health_payload, level_payload, warning_payloads
from monitor.outputs.mqtt.queue_file import QueuedMessage
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.payload import as_json, attributes_payload

LATENESS_SECONDS = 60.0
"""For so long after the last event that came late the broker counts as late."""

WARNINGS = 100
"""So many may wait for the broker; the oldest make room."""


class RetainedStates:
    """The state of every label, source and level; noted by any thread, said by the one that publishes.

    Parameters
    ----------
    topics : Topics
    labels : mapping of str to iterable of str
        The labels of each source: each has a state there.
    publish : callable
        Sends one message: `Link.publish`.
    """

    def __init__(
        self, topics: Topics, *, labels: Mapping[str, Iterable[str]], publish: Callable[..., None]
    ) -> None:
        self._topics = topics
        self._publish = publish
        self._online = dict.fromkeys(labels, False)
        self._said_online: dict[str, bool] = {}
        self._healths = dict.fromkeys(self._online, Health())
        self._warnings: deque[tuple[str, str]] = deque(maxlen=WARNINGS)
        self._last: dict[str, QueuedMessage] = {}
        self._said_last: dict[str, QueuedMessage] = {}
        self._late_until = -math.inf
        self._said_healths: dict[str, str] = {}
        self._newest: dict[tuple[str, str], QueuedMessage | None] = {}
        self._said_labels: set[tuple[str, str]] = set()
        self.listen(labels)
        self._noted = 0
        self._covered = 0
        self._levels: dict[str, float] = {}
        self._level_due: dict[str, float] = {}

    def listen(self, labels: Mapping[str, Iterable[str]]) -> None:
        """Have states of these labels from now on; from the thread that notes events."""
        # A new mapping, for the thread that publishes may be going through the old one.
        before = self._newest
        keys = [(source, label) for source in labels for label in labels[source]]
        self._newest = {key: before.get(key) for key in keys}

    def move(self, topics: Topics) -> None:
        """Say everything under other topics from now on."""
        self._topics = topics

    def event(self, letter: QueuedMessage) -> None:
        """Note the newest start or end of an event; from one thread, in the order of their numbers."""
        if (letter.source, letter.label) in self._newest:
            self._newest[letter.source, letter.label] = letter  # before it is counted: see `say_labels`
        self._noted = letter.number
        last = self._last.get(letter.source)
        if letter.lasts or (last is not None and last.event_id == letter.event_id):
            self._last[letter.source] = letter

    def source(self, name: str, *, online: bool) -> bool:
        """Note whether a source hears anything; True if this is news."""
        news = self._online[name] != online
        self._online[name] = online
        return news

    def health(self, source: str, health: Health) -> bool:
        """Note what is wrong with a source; True if this is news."""
        before, self._healths[source] = self._healths[source], health
        for payload in warning_payloads(
            before, health, node=self._topics.node, source=source, at=time.time()
        ):
            self._warnings.append((self._topics.warning(source), as_json(payload)))
        return before != health

    def level(self, source: str, dbfs: float) -> None:
        """Note the newest level of a source, in dB of full scale."""
        self._levels[source] = dbfs

    def late(self) -> None:
        """Note that an event had to wait for the broker."""
        self._late_until = time.monotonic() + LATENESS_SECONDS

    def lasting(self, after: int, upto: int) -> set[str]:
        """Events that have started with a letter of a number in ``(after, upto]``, and last."""
        newest = [letter for letter in tuple(self._newest.values()) if letter is not None and letter.lasts]
        return {letter.event_id for letter in newest if after < letter.number <= upto}

    def say_anew(self) -> None:
        """Say everything, to a broker or to a Home Assistant that may know nothing."""
        self._levels.clear()  # of whenever that was
        self.say_labels()
        self._said_online.clear()
        self.say_sources()
        self._said_healths.clear()
        self.say_healths()
        self._said_last.clear()
        self.say_last()
        # Last: before it, what is retained may be from another time.
        self._say(self._topics.status(), "online")

    def say_over(self) -> None:
        """Say that nothing is heard any more."""
        for source, label in self._newest:
            self._say(self._topics.state(source, label), "OFF")
        for source in self._online:
            self._say(self._topics.source_status(source), "offline")
        self._say(self._topics.status(), "offline")

    def say_labels(self) -> None:
        """Say the newest state of every label of every source.

        `event` notes the state before it counts the letter, and here the count is read before the
        states: what is said is at least as new as every letter up to `_covered`, and those after it
        say their states themselves.  So the newest wins without a lock.
        """
        self._covered = self._noted
        newest = self._newest
        self._said_labels = set(newest)
        for (source, label), letter in newest.items():
            self._say_label(source, label, letter)

    def say_new_labels(self) -> None:
        """Say of labels that have been added that they are not heard, unless their events say more."""
        newest = self._newest
        self._said_labels &= newest.keys()
        for source, label in newest.keys() - self._said_labels:
            self._said_labels.add((source, label))
            if newest[source, label] is None:
                self._say_label(source, label, None)

    def say_label(self, letter: QueuedMessage) -> None:
        """Say the state to which an event leads, unless that or a newer one has been said."""
        known = (letter.source, letter.label) in self._newest  # else what was retained of it is gone
        if known and letter.number > self._covered:
            self._say_label(letter.source, letter.label, letter)

    def say_sources(self) -> None:
        """Say of each source whether it hears anything, if this is news to the broker."""
        for source, online in self._online.items():
            if self._said_online.get(source) != online:
                self._said_online[source] = online
                self._say(self._topics.source_status(source), "online" if online else "offline")

    def say_healths(self) -> None:
        """Say what is wrong with each source and with the way to the broker, if this is news to it."""
        said = {self._topics.health(): as_json({"late": time.monotonic() < self._late_until})}
        for source, health in self._healths.items():
            said[self._topics.source_health(source)] = as_json(health_payload(health))
        for topic, text in said.items():
            if self._said_healths.get(topic) != text:
                self._said_healths[topic] = text
                self._say(topic, text)
        while self._warnings:
            self._publish(*self._warnings.popleft(), qos=1)

    def say_last(self) -> None:
        """Say which event of each source started last, if this is news to the broker."""
        for source, letter in tuple(self._last.items()):
            if self._said_last.get(source) is not letter:
                self._said_last[source] = letter
                self._say(self._topics.last_event(source), as_json(attributes_payload(letter.payload)))

    def say_levels(self) -> None:
        """Say the newest level of each source, at most once a second."""
        now = time.monotonic()
        for source in tuple(self._levels):
            if now >= self._level_due.get(source, 0.0):
                self._level_due[source] = now + 1.0
                level = level_payload(self._levels.pop(source))
                self._publish(self._topics.level(source), as_json(level), qos=0)

    def due(self) -> float:
        """Moment, on the monotonic clock, at which a level, or the end of lateness, is to be said."""
        over = self._late_until if time.monotonic() < self._late_until else math.inf
        return min([over, *(self._level_due.get(source, 0.0) for source in tuple(self._levels))])

    def _say_label(self, source: str, label: str, letter: QueuedMessage | None) -> None:
        lasts = letter is not None and letter.lasts
        attributes = {} if letter is None else attributes_payload(letter.payload)
        # Attributes first: an automation that begins with the state finds those of the same event.
        self._say(self._topics.attributes(source, label), as_json(attributes))
        self._say(self._topics.state(source, label), "ON" if lasts else "OFF")

    def _say(self, topic: str, text: str) -> None:
        """Publish what stays true until it is said otherwise."""
        self._publish(topic, text, qos=1, retain=True)
