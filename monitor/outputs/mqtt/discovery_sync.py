"""Descriptions that a node gives Home Assistant, said and taken back; remembered across restarts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.config import LabelConfig, MqttConfig
from monitor.outputs.mqtt.discovery import ORIGIN, birth_topic, device_id, discovery_payload, platforms
from monitor.outputs.mqtt.discovery_parts import device_of, partition
from monitor.outputs.mqtt.discovery_record import (
    Components,
    DiscoveryRecord,
    read_discovery_record,
    write_discovery_record,
)
from monitor.outputs.mqtt.stale_entities import MOST_GHOSTS, farewells, newest, together, without
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.payload import as_json

SETTLE_SECONDS = 5.0
"""Given to Home Assistant to work on a message before the next one about the same components."""

MOST_RETIRED = 500
"""Labels of a source that are gone and still named as types of its events; older ones are forgotten.

They wait for events that may be refused for ever, and all of them stand in one component."""

MIGRATE = as_json({"migrate_discovery": True})
"""Home Assistant lets go of the components of a topic, but keeps what people have set for them."""


@dataclass(slots=True)
class _Round:
    """How far one description has been told."""

    begun: bool = False
    """It is in the file."""
    unheard: bool = True
    """What is gone has not been told at all."""
    listens: bool = False
    """Home Assistant has been born meanwhile."""
    told: bool = False
    """And has been told what is gone."""
    unconfirmed: bool = False
    """The broker has not acknowledged all of it."""
    all_at: float = math.inf
    """Moment, on the monotonic clock, until which it is put off."""
    parts_at: float = math.inf
    """Moment at which what there is is said once more, and the rest is taken out of the broker."""


class DiscoverySync:
    """The description of a node as the broker keeps it; used by the one thread that publishes.

    What may be retained at the broker is in the file before it is published, and out of it only when
    the broker has acknowledged that it is gone: a crash at any moment leaves no ghost.  What Home Assistant
    may still show is in the file until it has been told after a birth, when it surely listened.

    Parameters
    ----------
    config : MqttConfig
        Without discovery, what an earlier run announced is taken back.
    topics : Topics
        Of the node.
    labels : mapping of str to sequence of LabelConfig
        Those of each source, by its name.
    model : str
        Name of the checkpoint.
    path : Path or None
        The memory; None remembers nothing beyond this run.
    page : str or None
        URL of the page.
    """

    def __init__(
        self,
        config: MqttConfig,
        topics: Topics,
        *,
        labels: Mapping[str, Sequence[LabelConfig]],
        model: str,
        path: Path | None,
        page: str | None = None,
    ) -> None:
        self._topics, self._model, self._path, self._page = topics, model, path, page
        self._prefix, self._commands = config.discovery_prefix, config.commands
        self.described = config.discovery
        """Whether Home Assistant is told what there is."""
        known = read_discovery_record(path)
        self._before, self._retained_before = known.components, frozenset(known.retained)
        self._ghosts, self._types = known.ghosts, known.types
        self._round = _Round()
        self._describe(labels)
        self.birth = birth_topic(self._prefix) if self.described or self._ghosts else None
        """Where Home Assistant says that it has started; None if there is nothing to tell it."""

    @property
    def most(self) -> int:
        """No more messages than these are sent at once, before anything changes."""
        described = len(self._before) + len(self._parts)
        return 2 * (MOST_GHOSTS + described) + len(self._retained_before)

    def change(self, labels: Mapping[str, Sequence[LabelConfig]]) -> bool:
        """Describe other labels from now on; True if that is news, to be said."""
        was = (self._parts, self._retained)
        before = (self._before, self._retained_before)
        self._before = together(self._before, self._now)
        self._retained_before = self._retained_before | self._retained
        self._describe(labels)
        if (self._parts, self._retained) == was:
            self._before, self._retained_before = before
            return False
        self._round = _Round()
        return True

    def settle(self) -> bool:
        """Note that no event waits, so none of a label that is gone will come; True if that is news."""
        if not self._retired:
            return False
        self._types = {}
        return self.change(self._labels)

    def say(self, publish: Callable[..., None], *, born: bool = False) -> None:
        """Say what there is and, until it is confirmed, what is gone.

        Parameters
        ----------
        publish : callable
            Sends one message: `Link.publish`.
        born : bool
            Home Assistant has just said that it has started.
        """
        self._round.listens = born
        self._round.told = self._round.told and born
        if not self._round.begun:
            self._round.begun = True
            self._keep(together(self._before, self._now), self._retained_before | self._retained)
            for topic in self._left():
                publish(topic, MIGRATE, qos=1)
                self._round.all_at = time.monotonic() + SETTLE_SECONDS
        if time.monotonic() >= self._round.all_at or math.isinf(self._round.all_at):
            self._say_all(publish)

    def say_again(self, publish: Callable[..., None]) -> None:
        """Say what was put off, or what is said twice, if its moment has come."""
        now = time.monotonic()
        if now >= self._round.all_at:
            self._say_all(publish)
        elif now >= self._round.parts_at:
            self._say_rest(publish)

    def due(self) -> float:
        """Moment, on the monotonic clock, at which there is something to `say_again`."""
        return min(self._round.all_at, self._round.parts_at)

    def confirm(self) -> None:
        """Forget what is gone: the broker has acknowledged everything that was said."""
        if not self._round.unconfirmed:
            return
        self._round.unconfirmed = False
        ghosts, self._ghosts = self._ghosts, {} if self._round.told else self._ghosts
        if (self._before, self._retained_before, ghosts) != (self._now, self._retained, self._ghosts):
            self._before, self._retained_before = self._now, self._retained
            self._keep(self._now, self._retained)

    def _describe(self, labels: Mapping[str, Sequence[LabelConfig]]) -> None:
        self._labels = labels
        ids = {source: [label.id for label in labels[source]] for source in labels}
        self._retired = {
            source: gone[:MOST_RETIRED]  # the newest come first
            for source in labels
            if (gone := [label for label in self._types.get(source, ()) if label not in ids[source]])
        }
        self._types = {source: [*ids[source], *self._retired.get(source, ())] for source in labels}
        self._parts: dict[str, dict[str, object]] = {}
        if self.described:
            whole = discovery_payload(
                self._topics,
                labels=labels,
                model=self._model,
                commands=self._commands,
                page=self._page,
                retired=self._retired,
            )
            self._parts = partition(whole, self._prefix, device_id(self._topics.node), self._before)
        self._now = {topic: platforms(part) for topic, part in self._parts.items()}
        self._retained = frozenset(self._topics.retained(ids))
        self._ghosts = newest(without(together(self._ghosts, self._before), self._now))

    def _left(self) -> list[str]:
        """Topics whose components are announced under another one from now on."""
        place = {(_base(topic), key): topic for topic in self._now for key in self._now[topic]}
        return [
            topic
            for topic in self._before
            if any(place.get((_base(topic), key), topic) != topic for key in self._before[topic])
        ]

    def _say_all(self, publish: Callable[..., None]) -> None:
        self._round.all_at = math.inf
        for topic in sorted(set(self._before) - set(self._now)):
            publish(topic, "", qos=1, retain=True)
        if self._ghosts and (self._round.unheard or self._round.listens):
            self._round.unheard = False
            self._round.told = self._round.told or self._round.listens
            for topic, payload in farewells(self._ghosts, ORIGIN):
                publish(topic, as_json(payload), qos=1)
        self._say_parts(publish)
        if self._before in ({}, self._now) and self._retained_before <= self._retained:
            self._round.unconfirmed = True
        else:
            self._round.parts_at = time.monotonic() + SETTLE_SECONDS

    def _say_rest(self, publish: Callable[..., None]) -> None:
        """Say what there is once more, and take out of the broker what is not described any more.

        Home Assistant drops the rest of a message at the first component that it still works on, and an
        empty text is an error to an entity that is still there.
        """
        self._round.parts_at = math.inf
        self._say_parts(publish)
        for topic in sorted(self._retained_before - self._retained):
            publish(topic, "", qos=1, retain=True)
        self._round.unconfirmed = True

    def _say_parts(self, publish: Callable[..., None]) -> None:
        for topic, payload in self._parts.items():
            publish(topic, as_json(payload), qos=1, retain=True)

    def _keep(self, components: Components, retained: Collection[str]) -> None:
        write_discovery_record(self._path, DiscoveryRecord(components, retained, self._ghosts, self._types))


def _base(topic: str) -> tuple[str, str]:
    """Home Assistant, by its prefix, and device to which a description belongs."""
    return topic.rpartition("/device/")[0], device_of(topic)
