"""Nodes: the state of all monitors below a base topic of a broker."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from monitor.fleet.node_state import LastEvent, NodeInfo, NodeState, last_event_of, node_info, node_state
from monitor.outputs.mqtt.connection_events import Received
from monitor.outputs.mqtt.topics import FLEET
from monitor.system.bounded_read import DamagedError, parse_json

MOST_NODES = 20_000
"""Nodes that are kept; whoever may write below the base topic can invent more."""

ENTITIES = 10_000
"""Enabled entities that Home Assistant (2026.7) takes from one MQTT entry; further ones fail silently."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Which nodes are shown."""

    node: str = "*"
    """Pattern of names, such as ``hall-*``."""
    label: str = "*"
    """Pattern of the identifier of a label: that of the newest event."""
    no_audio: bool = False
    """Only those that do not hear."""

    def admits(self, state: NodeState) -> bool:
        """Return whether a node is shown."""
        label = "" if state.last_event is None else state.last_event.label
        named = fnmatchcase(state.node, self.node) and (self.label == "*" or fnmatchcase(label, self.label))
        return named and not (self.no_audio and state.no_audio is None)


@dataclass(slots=True)
class _Told:
    """What a node has said."""

    status: str | None = None
    info: NodeInfo | None = None
    last_event: LastEvent | None = None


class Nodes:
    """Nodes by name; `receive` may be called by one thread, and everything else by any.

    ``now`` returns Unix seconds.
    """

    def __init__(self, base: str, *, now: Callable[[], float] = time.time) -> None:
        self._base, self._now = base, now
        self._told: dict[str, _Told] = {}
        self._lock = threading.Lock()

    @staticmethod
    def filters(base: str) -> tuple[str, ...]:
        """Return the topic filters of what nodes say of themselves."""
        return f"{base}/+/status", f"{base}/+/info"

    def receive(self, message: Received) -> None:
        """Take a message under one of `filters`, or an event; anything else is left out."""
        node, _, rest = message.topic.removeprefix(f"{self._base}/").partition("/")
        if node == FLEET or not _NAME.fullmatch(node):
            return
        with self._lock:
            told = self._told.get(node)
            if told is None:
                if len(self._told) >= MOST_NODES or not message.text:
                    return
                told = self._told[node] = _Told()
            if rest == "status":
                told.status = message.text or None
            elif rest == "info":
                content = _content(message.text)
                told.info = node_info(content) if content else None
            elif rest.endswith("/event"):
                told.last_event = last_event_of(_content(message.text)) or told.last_event
            if told.status is None and told.info is None:
                del self._told[node]  # its retained messages were deleted: it is gone

    def states(self) -> list[NodeState]:
        """Return the state of every node, by name."""
        now = self._now()
        with self._lock:
            return [
                node_state(name, told.status, told.info or NodeInfo(), told.last_event, now)
                for name, told in sorted(self._told.items())
            ]


@dataclass(frozen=True, slots=True)
class FleetSummary:
    """Counts of all nodes."""

    nodes: int
    online: int
    no_audio: int
    entities: int
    """Enabled entities of Home Assistant, of all nodes."""
    refusing: int
    """Nodes that refuse a watchlist."""


def summary_of(states: list[NodeState]) -> FleetSummary:
    """Return the counts of nodes."""
    return FleetSummary(
        nodes=len(states),
        online=sum(state.online for state in states),
        no_audio=sum(state.no_audio is not None for state in states),
        entities=sum(state.entities for state in states),
        refusing=sum(state.watchlist is not None and state.watchlist.reason is not None for state in states),
    )


def _content(text: str) -> Mapping[str, Any]:
    try:
        content = parse_json(text)
    except DamagedError:
        return {}
    return content if isinstance(content, dict) else {}
