"""Discovery sync: publishes the description of a node for Home Assistant, across restarts.

It also deletes every retained topic that no longer exists, with discovery or without.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.config import LabelConfig, MqttConfig
from monitor.outputs.mqtt.discovery import (
    ORIGIN,
    birth_topic,
    device_id,
    discovery_payload,
    enabled_entities,
    platforms,
)
from monitor.outputs.mqtt.discovery_parts import device_of, split_payload
from monitor.outputs.mqtt.discovery_record import (
    Components,
    DiscoveryRecord,
    read_discovery_record,
    write_discovery_record,
)
from monitor.outputs.mqtt.discovery_summary import summary_payload
from monitor.outputs.mqtt.stale_entities import MAX_STALE, merged, newest, removal_messages, without
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.payload import as_json

log = logging.getLogger(__name__)

MANY_ENTITIES = 250
"""Entities of one node beyond which forty nodes are too many for Home Assistant."""

MANY = (
    "mqtt: Home Assistant gets %s as a device with %d entities, and takes 10,000 from all nodes together; "
    "mqtt.discovery: summary announces a handful"
)

SETTLE_SECONDS = 5.0
"""Home Assistant needs it to process a message before the next one about the same components."""

MAX_RETIRED = 500
"""Removed labels of a source that are still described as event types; older ones are forgotten.

They wait for events that may be refused for ever, and all of them are in one component."""

MIGRATE = as_json({"migrate_discovery": True})
"""Makes Home Assistant release the components of a topic and keep the users' settings for them."""


Labels = Mapping[str, Sequence[LabelConfig]]
"""Labels by source."""


@dataclass(slots=True)
class _Progress:
    """Progress of publishing one description."""

    recorded: bool = False
    """The record on disk includes it."""
    removals_sent: bool = False
    """Removals have been sent, whether or not Home Assistant was running."""
    born: bool = False
    """Home Assistant has started in the meantime."""
    removals_received: bool = False
    """Removals have been sent after that, so Home Assistant received them."""
    unconfirmed: bool = False
    """Everything is sent, and the broker has not acknowledged all of it."""
    all_at: float = math.inf
    """Monotonic time at which a postponed description is published."""
    repeat_at: float = math.inf
    """Monotonic time at which the description is repeated and the broker is cleaned up."""


@dataclass(frozen=True, slots=True)
class _Description:
    """What a node publishes with one set of labels."""

    labels: Labels
    retired: Mapping[str, Sequence[str]]
    """Removed labels that are still described as event types, by source."""
    types: Mapping[str, Collection[str]]
    """Event types by source."""
    parts: Mapping[str, Mapping[str, Any]]
    """Payloads by topic."""
    components: Components
    entities: int
    """Entities that Home Assistant enables."""
    retained: frozenset[str]
    """Topics of all other retained messages."""


class DiscoverySync:
    """Description of a node as the broker retains it; used by the publisher's thread.

    The file records what the broker may retain before it is published, and forgets it when the broker has
    acknowledged its removal: a crash at any moment leaves no stale entity.  Components that Home Assistant
    may still show stay in the file until they are removed after a birth, when Home Assistant certainly
    listened.  Without discovery in the settings, the description of an earlier run is removed.  Without a
    path, there is no record beyond this run.  ``page`` is the URL of the web page.
    """

    def __init__(
        self,
        config: MqttConfig,
        topics: Topics,
        *,
        labels: Labels,
        model: str,
        path: Path | None,
        page: str | None = None,
    ) -> None:
        self._topics, self._model, self._path, self._page = topics, model, path, page
        self._prefix, self._commands = config.discovery_prefix, config.commands
        self.enabled = bool(config.discovery)
        """Whether the node is described at all."""
        self._summary = config.discovery == "summary"
        self._warned = False
        record = read_discovery_record(path)
        self._before, self._retained_before = record.components, frozenset(record.retained)
        self._now = self._describe(labels, record.types, self._before)
        self._stale = self._find_stale(record.stale)
        self._warn_of_many()
        self._progress = _Progress()
        self.birth = birth_topic(self._prefix) if self.enabled or self._stale else None
        """Topic of the birth message of Home Assistant; None if there is nothing to tell it."""

    @property
    def max_messages(self) -> int:
        """Messages that are sent at once, at most, until the labels change."""
        described = len(self._before) + len(self._now.parts)
        return 2 * (MAX_STALE + described) + len(self._retained_before)

    @property
    def entities(self) -> int:
        """Entities that Home Assistant enables."""
        return self._now.entities

    def apply(self, labels: Labels) -> bool:
        """Describe other labels from now on; True if the description changed and must be published."""
        return self._apply(labels, self._now.types)

    def drop_retired(self) -> bool:
        """Drop removed labels without waiting events; True if the description changed."""
        return bool(self._now.retired) and self._apply(self._now.labels, {})

    def publish(self, publish: Callable[..., None], *, born: bool = False) -> None:
        """Publish the description and, until it is confirmed, removals, with `MqttSession.publish`.

        Home Assistant has just started if ``born``.
        """
        progress = self._progress
        progress.born = born
        progress.removals_received = progress.removals_received and born
        if not progress.recorded:
            progress.recorded = True
            components = merged(self._before, self._now.components)
            self._record(components, self._retained_before | self._now.retained)
            for topic in self._moved_from():
                publish(topic, MIGRATE, qos=1)
                progress.all_at = time.monotonic() + SETTLE_SECONDS
        if time.monotonic() >= progress.all_at or math.isinf(progress.all_at):
            self._publish_all(publish)

    def publish_due(self, publish: Callable[..., None]) -> None:
        """Publish what was postponed, if it is due."""
        now = time.monotonic()
        if now >= self._progress.all_at:
            self._publish_all(publish)
        elif now >= self._progress.repeat_at:
            self._repeat(publish)

    def due(self) -> float:
        """Return the monotonic time of the next `publish_due`."""
        return min(self._progress.all_at, self._progress.repeat_at)

    def confirm(self) -> None:
        """Forget removed components, because the broker has acknowledged everything that was sent."""
        if not self._progress.unconfirmed:
            return
        self._progress.unconfirmed = False
        stale, self._stale = self._stale, {} if self._progress.removals_received else self._stale
        now = (self._now.components, self._now.retained)
        if (self._before, self._retained_before, stale) != (*now, self._stale):
            self._before, self._retained_before = now
            self._record(*now)

    def _apply(self, labels: Labels, types: Mapping[str, Collection[str]]) -> bool:
        """Change the description; False if it is the same as before."""
        was, before = self._now, merged(self._before, self._now.components)
        self._now = self._describe(labels, types, before)
        if (self._now.parts, self._now.retained) == (was.parts, was.retained):
            return False
        self._before, self._retained_before = before, self._retained_before | was.retained
        self._stale = self._find_stale(self._stale)
        self._warn_of_many()
        self._progress = _Progress()
        return True

    def _warn_of_many(self) -> None:
        """Log once that this node takes a large share of what Home Assistant takes."""
        if self.entities > MANY_ENTITIES and not self._warned:
            self._warned = True
            log.warning(MANY, self._topics.node, self.entities)

    def _describe(
        self, labels: Labels, types: Mapping[str, Collection[str]], before: Components
    ) -> _Description:
        """Describe labels, and known event types without a label; components stay where they were before."""
        ids = {source: [label.id for label in labels[source]] for source in labels}
        retired = {
            source: removed[:MAX_RETIRED]  # the newest come first
            for source in labels
            if (removed := [label for label in types.get(source, ()) if label not in ids[source]])
        }
        parts: Mapping[str, Mapping[str, Any]] = {}
        if self.enabled:
            describe = summary_payload if self._summary else discovery_payload
            payload = describe(
                self._topics,
                labels=labels,
                model=self._model,
                commands=self._commands,
                page=self._page,
                retired=retired,
            )
            parts = split_payload(payload, self._prefix, device_id(self._topics.node), before)
        return _Description(
            labels=labels,
            retired=retired,
            types={source: [*ids[source], *retired.get(source, ())] for source in labels},
            parts=parts,
            components={topic: platforms(part) for topic, part in parts.items()},
            entities=sum(map(enabled_entities, parts.values())),
            retained=frozenset(self._topics.retained(ids)),
        )

    def _find_stale(self, stale: Components) -> Components:
        return newest(without(merged(stale, self._before), self._now.components))

    def _moved_from(self) -> list[str]:
        """Return topics whose components are described under another topic from now on."""
        now = self._now.components
        place = {(_device(topic), key): topic for topic in now for key in now[topic]}
        return [
            topic
            for topic in self._before
            if any(place.get((_device(topic), key), topic) != topic for key in self._before[topic])
        ]

    def _publish_all(self, publish: Callable[..., None]) -> None:
        progress = self._progress
        progress.all_at = math.inf
        for topic in sorted(set(self._before) - set(self._now.components)):
            publish(topic, "", qos=1, retain=True)
        if self._stale and (progress.born or not progress.removals_sent):
            progress.removals_sent = True
            progress.removals_received = progress.removals_received or progress.born
            for topic, payload in removal_messages(self._stale, ORIGIN):
                publish(topic, as_json(payload), qos=1)
        self._publish_parts(publish)
        if self._before in ({}, self._now.components) and self._retained_before <= self._now.retained:
            progress.unconfirmed = True
        else:
            progress.repeat_at = time.monotonic() + SETTLE_SECONDS

    def _repeat(self, publish: Callable[..., None]) -> None:
        """Repeat the description, and clear retained messages that are not described any more.

        Home Assistant drops the rest of a message at the first component that it is still working on, and an
        empty text is an error to an entity that still exists.
        """
        self._progress.repeat_at = math.inf
        self._publish_parts(publish)
        for topic in sorted(self._retained_before - self._now.retained):
            publish(topic, "", qos=1, retain=True)
        self._progress.unconfirmed = True

    def _publish_parts(self, publish: Callable[..., None]) -> None:
        for topic, payload in self._now.parts.items():
            publish(topic, as_json(payload), qos=1, retain=True)

    def _record(self, components: Components, retained: Collection[str]) -> None:
        record = DiscoveryRecord(components, retained, self._stale, self._now.types)
        write_discovery_record(self._path, record)


def _device(topic: str) -> tuple[str, str]:
    """Return the discovery prefix and the device of a description."""
    return topic.rpartition("/device/")[0], device_of(topic)
