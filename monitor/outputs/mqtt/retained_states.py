"""Retained states: status and listeners of every source, state of every label, last event, node status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from monitor.outputs.mqtt.queue_file import QueuedMessage
from monitor.outputs.mqtt.topic_group import Changes, TopicGroup
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.payload import as_json, attributes_payload


class RetainedStates(TopicGroup):
    """States set by any thread and published by the publisher's thread; ``labels`` are by source."""

    def __init__(
        self, topics: Topics, labels: Mapping[str, Iterable[str]], publish: Callable[..., None]
    ) -> None:
        super().__init__(topics, publish)
        self._online = dict.fromkeys(labels, False)
        self._listeners = dict.fromkeys(labels, 0)
        self._changed_sources = Changes(self._online)
        self._last: dict[str, QueuedMessage] = {}
        self._changed_last = Changes()
        self._newest: dict[tuple[str, str], QueuedMessage | None] = dict.fromkeys(_keys(labels))
        self._published_labels: set[tuple[str, str]] = set()
        self._received = 0
        self._covered = 0

    def apply_labels(self, labels: Mapping[str, Iterable[str]]) -> None:
        """Publish the states of other labels from now on; called by the thread of `on_event`."""
        # A new mapping, because the publisher's thread may be iterating over the old one.
        before = self._newest
        self._newest = {key: before.get(key) for key in _keys(labels)}

    def on_event(self, message: QueuedMessage) -> None:
        """Receive the start or the end of an event; from one thread, in the order of their numbers."""
        if (message.source, message.label) in self._newest:
            self._newest[message.source, message.label] = message  # before it counts: see `publish_labels`
        self._received = message.number
        last = self._last.get(message.source)
        if message.is_start or (last is not None and last.event_id == message.event_id):
            self._last[message.source] = message
            self._changed_last.add(message.source)

    def set_online(self, source: str, *, online: bool) -> bool:
        """Set whether a source delivers audio; True if it changed."""
        changed = self._online[source] != online
        self._online[source] = online
        if changed:
            self._changed_sources.add(source)
        return changed

    def set_listeners(self, source: str, listeners: int) -> None:
        """Set how many hear a source live."""
        self._listeners[source] = listeners
        self._changed_sources.add(source)

    def ongoing(self, after: int, up_to: int) -> set[str]:
        """Return events that last and whose start has a number in ``(after, up_to]``."""
        newest = [message for message in tuple(self._newest.values()) if message is not None]
        return {each.event_id for each in newest if each.is_start and after < each.number <= up_to}

    def republish(self) -> None:
        """Publish everything, to a broker or a Home Assistant that may have lost it."""
        self._published.clear()
        self._changed_sources.add(*self._online)
        self._changed_last.add(*tuple(self._last))
        self.publish_labels()
        self.publish_sources()
        self.publish_changes()
        # Last: until then, retained messages may be from another time.
        self._retain(self._topics.status(), "online")

    def publish_offline(self) -> None:
        """Publish that all labels are off and the node and its sources are offline."""
        for source, label in self._newest:
            self._retain(self._topics.state(source, label), "OFF")
        for source in self._online:
            self._retain(self._topics.listeners(source), "0")
            self._retain(self._topics.source_status(source), "offline")
        self._retain(self._topics.status(), "offline")

    def publish_labels(self) -> None:
        """Publish the newest state of every label of every source.

        `on_event` stores the state before it counts the message, and here the count is read before the
        states: what is published is at least as new as every message up to `_covered`, and later messages
        publish their states themselves.  So the newest wins without a lock.
        """
        self._covered = self._received
        newest = self._newest
        self._published_labels = set(newest)
        for (source, label), message in newest.items():
            self._publish_label(source, label, message)

    def publish_new_labels(self) -> None:
        """Publish that added labels are off, unless an event of theirs has come."""
        newest = self._newest
        self._published_labels &= newest.keys()
        for source, label in newest.keys() - self._published_labels:
            self._published_labels.add((source, label))
            if newest[source, label] is None:
                self._publish_label(source, label, None)

    def publish_label(self, message: QueuedMessage) -> None:
        """Publish the state that an event leads to, unless that or a newer state has been published."""
        known = (message.source, message.label) in self._newest  # a removed label is no longer retained
        if known and message.number > self._covered:
            self._publish_label(message.source, message.label, message)

    def publish_sources(self) -> None:
        """Publish the status and the listeners of each source that changed."""
        for source in self._changed_sources.take():
            status = "online" if self._online[source] else "offline"
            self._retain_change(self._topics.source_status(source), status)
            self._retain_change(self._topics.listeners(source), str(self._listeners[source]))

    def publish_changes(self) -> None:
        """Publish the last event of each source, if it changed."""
        for source in self._changed_last.take():
            text = as_json(attributes_payload(self._last[source].payload))
            self._retain_change(self._topics.last_event(source), text)

    def _publish_label(self, source: str, label: str, message: QueuedMessage | None) -> None:
        attributes = {} if message is None else attributes_payload(message.payload)
        # Attributes first: an automation triggered by the state then reads those of the same event.
        self._retain(self._topics.attributes(source, label), as_json(attributes))
        is_on = message is not None and message.is_start
        self._retain(self._topics.state(source, label), "ON" if is_on else "OFF")


def _keys(labels: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    return [(source, label) for source in labels for label in labels[source]]
