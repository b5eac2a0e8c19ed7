"""Published watchlists: the one at the broker and the one before; how they are pushed, and who follows."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

from monitor.config import LabelConfig, MqttConfig
from monitor.fleet.broker_client import BrokerClient
from monitor.fleet.node_state import NodeState
from monitor.fleet.nodes import Nodes
from monitor.fleet.signature import Sign, Verify
from monitor.fleet.watchlist import Watchlist, parse_watchlist, watchlist_text
from monitor.outputs.mqtt.connection_events import Received
from monitor.outputs.mqtt.topics import previous_watchlist_topic, watchlist_topic
from monitor.types import ConfigError

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2


class PublishedWatchlists:
    """Watchlists of one broker and the nodes that follow them; a context manager.

    Parameters
    ----------
    config : MqttConfig
    verify : callable or None
        Check of the signature; None: a watchlist needs none.

    Raises
    ------
    MonitorError
        As `BrokerClient`.
    """

    def __init__(self, config: MqttConfig, verify: Verify | None) -> None:
        base = config.base_topic
        self._topic, self._previous_topic = watchlist_topic(base), previous_watchlist_topic(base)
        self._texts: dict[str, str] = {}
        self._verify = verify
        self._nodes = Nodes(base)
        filters = (self._topic, self._previous_topic, *Nodes.filters(base))
        self._client = BrokerClient(config, filters, self._receive)
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.enter_context(self._client)
            self._client.wait_retained()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def current(self) -> Watchlist | None:
        """The watchlist at the broker; None if there is none, or none that counts."""
        return self._read(self._topic)

    @property
    def previous(self) -> Watchlist | None:
        """The watchlist before the newest, as `current`."""
        return self._read(self._previous_topic)

    def followers(self) -> list[NodeState]:
        """Return the nodes that follow a watchlist, by name."""
        return [state for state in self._nodes.states() if state.watchlist is not None]

    def push(self, labels: Sequence[LabelConfig], sign: Sign | None) -> Watchlist:
        """Publish labels as the newest watchlist, and keep the one before for a rollback.

        The version is the time in Unix seconds, or one more than the last: so it grows even if the broker has
        lost everything.

        Raises
        ------
        ConfigError
            The labels cannot be a watchlist.
        OutputError
            The broker refuses it.
        """
        before, now = self.current, time.time()
        version = int(now) if before is None else max(int(now), before.version + 1)
        text = watchlist_text(version, now, labels, sign)
        watchlist = parse_watchlist(text, self._verify)  # as every node will
        if before is not None:
            self._client.publish(self._previous_topic, before.text)
        self._client.publish(self._topic, text)
        return watchlist

    def roll_back(self, sign: Sign | None) -> Watchlist:
        """Push the labels of the watchlist before the newest again, as the newest.

        Raises
        ------
        ConfigError
            There is none.
        OutputError
            The broker refuses it.
        """
        previous = self.previous
        if previous is None:
            raise ConfigError("the broker has no watchlist before the newest: push the labels again")
        return self.push(previous.labels, sign)

    def wait_for_followers(self, version: int, seconds: float) -> list[NodeState]:
        """Wait until every node that is online has accepted or refused a version; return the others."""
        until = time.monotonic() + seconds
        while (late := [s for s in self.followers() if s.online and not answered(s, version)]) and (
            time.monotonic() < until
        ):
            time.sleep(_LOOK_SECONDS)
        return late

    def _receive(self, message: Received) -> None:
        if message.topic in {self._topic, self._previous_topic}:
            self._texts[message.topic] = message.text
        else:
            self._nodes.receive(message)

    def _read(self, topic: str) -> Watchlist | None:
        text = self._texts.get(topic)
        if not text:
            return None
        try:
            return parse_watchlist(text, self._verify)
        except ConfigError as error:
            log.warning("%s: %s: ignored", topic, error)
            return None


def answered(state: NodeState, version: int) -> bool:
    """Return whether a node has accepted or refused a version."""
    told = state.watchlist
    return told is not None and version in {told.version, told.refused_version}
