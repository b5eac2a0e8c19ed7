"""Says to Home Assistant what there is, and takes back what there was; remembers it across restarts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from monitor.boundary import explain
from monitor.bounded import DamagedError, read_json
from monitor.config import LabelConfig, MqttConfig
from monitor.outputs.discovery import (
    birth_topic,
    discovery_payload,
    discovery_topic,
    platforms,
    taking_back,
)
from monitor.outputs.payload import Topics, as_json
from monitor.whole import make_directory, write_whole

log = logging.getLogger(__name__)

_MOST_BYTES = 16 * 2**20
_LONGEST_TOPIC = 65_535
"""Bytes of UTF-8, of MQTT."""


class Announcement:
    """The description of a node as the broker keeps it; used by the one thread that publishes.

    What may be retained at the broker is in the file before it is published, and out of it only when
    the broker has acknowledged that it is gone: a crash at any moment leaves no ghost.

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
    """

    def __init__(
        self,
        config: MqttConfig,
        topics: Topics,
        *,
        labels: Mapping[str, Sequence[LabelConfig]],
        model: str,
        path: Path | None,
    ) -> None:
        self._topic = discovery_topic(config.discovery_prefix, topics.node)
        self._topics, self._model = topics, model
        self._commands = config.commands
        self.birth = birth_topic(config.discovery_prefix) if config.discovery else None
        """Where Home Assistant says that it has started; None if it is not told anything."""
        self._path = path
        self._before, self._retained_before = ({}, set()) if path is None else _read(path)
        self.most = 2 + len(self._before) + len(self._retained_before)
        """No more messages than these are sent at once, before anything changes."""
        self._begun = False
        self._unconfirmed = False
        self._describe(labels)

    def change(self, labels: Mapping[str, Sequence[LabelConfig]]) -> bool:
        """Describe other labels from now on; True if that is news, to be said."""
        before = (self._payload, self._retained)
        gone, retained = self._now, self._retained
        self._describe(labels)
        if (self._payload, self._retained) == before:
            return False
        self._before, self._retained_before = _together(self._before, gone), self._retained_before | retained
        self._begun = False
        return True

    def _describe(self, labels: Mapping[str, Sequence[LabelConfig]]) -> None:
        self._payload: dict[str, object] | None = None
        self._now: dict[str, dict[str, str]] = {}
        if self.birth is not None:
            self._payload = discovery_payload(
                self._topics,
                labels=labels,
                model=self._model,
                commands=self._commands,
            )
            self._now = {self._topic: platforms(self._payload)}
        self._retained = self._topics.retained(
            {source: [label.id for label in labels[source]] for source in labels}
        )

    def say(self, publish: Callable[..., None]) -> None:
        """Say what there is and, until it is confirmed, what is gone.

        Parameters
        ----------
        publish : callable
            Sends one message: `Link.publish`.
        """
        say = partial(publish, qos=1, retain=True)
        if not self._begun:
            self._begun = True
            self._keep(_together(self._before, self._now), self._retained_before | self._retained)
        for topic in sorted(set(self._before) - set(self._now)):
            say(topic, "")
        if self._payload is not None:
            known = self._before.get(self._topic, {})
            gone = {key: known[key] for key in known if key not in self._now[self._topic]}
            if gone:
                say(self._topic, as_json(taking_back(self._payload, gone)))
            say(self._topic, as_json(self._payload))
        for topic in sorted(self._retained_before - self._retained):
            say(topic, "")
        self._unconfirmed = True

    def confirm(self) -> None:
        """Forget what is gone: the broker has acknowledged everything that was said."""
        if self._unconfirmed:
            self._unconfirmed = False
            if (self._before, self._retained_before) != (self._now, self._retained):
                self._before, self._retained_before = self._now, self._retained
                self._keep(self._now, self._retained)

    def _keep(self, announced: Mapping[str, Mapping[str, str]], retained: Collection[str]) -> None:
        if self._path is None:
            return
        content = json.dumps({"announced": announced, "retained": sorted(retained)}, indent=1)
        try:
            make_directory(self._path.parent)
            write_whole(self._path, content.encode())
        except OSError as error:
            log.warning(
                "%s: what the broker keeps of us cannot be remembered: %s", self._path, error.strerror
            )


def _together(
    before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    return {topic: {**before.get(topic, {}), **now.get(topic, {})} for topic in {**before, **now}}


def _read(path: Path) -> tuple[dict[str, dict[str, str]], set[str]]:
    try:
        content = read_json(path, _MOST_BYTES)
        announced, retained = _parts(content)
    except FileNotFoundError:
        return {}, set()
    except (OSError, DamagedError) as error:
        log.warning("%s: not readable, what was announced before is not taken back: %s", path, explain(error))
        return {}, set()
    return announced, set(retained)


def _parts(content: Any) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return the two parts of the memory, checked down to the last name."""
    announced = content.get("announced") if isinstance(content, dict) else None
    retained = content.get("retained") if isinstance(content, dict) else None
    if not isinstance(announced, dict) or not isinstance(retained, list):
        raise DamagedError("holds no mapping of announced and retained")
    if not all(isinstance(components, dict) for components in announced.values()):
        raise DamagedError("holds a device without components")
    platforms = [platform for components in announced.values() for platform in components.values()]
    if not all(isinstance(name, str) for name in (*platforms, *retained)):
        raise DamagedError("holds something else than names")
    _check_topics([*announced, *retained])
    return announced, retained


def _check_topics(topics: Sequence[str]) -> None:
    """Refuse what cannot be published: the client would raise, and the broker end the connection."""
    for topic in topics:
        if not topic or set(topic) & set("+#\0") or len(topic.encode()) > _LONGEST_TOPIC:
            raise DamagedError(f"holds the topic {topic[:80]!r}, which is none")
