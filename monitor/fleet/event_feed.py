"""Event feed: events of all nodes, one after another, in bounded memory."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from monitor.outputs.mqtt.connection_events import Received
from monitor.system.bounded_read import DamagedError, parse_json

MOST_WAITING = 10_000
"""Events that wait for a slow reader; further ones wait at the broker."""

MOST_TEXT = 16_384
"""Characters of an event; one of a monitor has about a thousand."""

WAIT_SECONDS = 10.0
"""Longest time that the connection waits for a slow reader; the broker ends one that stays silent."""

NEEDED: Mapping[str, type | tuple[type, ...]] = {
    "event_id": str,
    "phase": str,
    "node": str,
    "source": str,
    "label": str,
    "started_at": (int, float),
}
"""Keys without which a message is no event."""

FleetEvent = dict[str, Any]
"""An event as its node has published it, with ``received_at``, Unix seconds."""


def event_filter(base: str, share: str | None = None) -> str:
    """Return the topic filter of all events; readers with the same ``share`` split them among themselves."""
    prefix = "" if share is None else f"$share/{share}/"
    return f"{prefix}{base}/+/+/event"


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are read."""

    node: str = "*"
    """Pattern of the node."""
    label: str = "*"
    """Pattern of the identifier of the label."""

    def admits(self, event: FleetEvent) -> bool:
        """Return whether an event is read."""
        return fnmatchcase(event["node"], self.node) and fnmatchcase(event["label"], self.label)


class EventFeed:
    """Events between the thread of the connection, which calls `receive`, and one reader.

    ``now`` returns Unix seconds.
    """

    def __init__(
        self,
        wanted: EventFilter,
        *,
        size: int = MOST_WAITING,
        wait_seconds: float = WAIT_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.unreadable = 0
        """Messages that are no events (writer: the connection)."""
        self.lost = 0
        """Events that were dropped because the reader was too slow (writer: the connection)."""
        self._wanted, self._now, self._wait_seconds = wanted, now, wait_seconds
        self._waiting: queue.Queue[FleetEvent] = queue.Queue(size)

    def receive(self, message: Received) -> None:
        """Take a message under `event_filter`; wait while too many events wait."""
        event = _event(message)
        if event is None:
            self.unreadable += 1
        elif self._wanted.admits(event):
            event["received_at"] = round(self._now(), 4)
            try:
                self._waiting.put(event, timeout=self._wait_seconds)
            except queue.Full:
                self.lost += 1

    def take(self, seconds: float) -> list[FleetEvent]:
        """Return the events that wait; wait for the first one, but no longer than ``seconds``."""
        try:
            first = self._waiting.get(timeout=seconds)
        except queue.Empty:
            return []
        return [first, *self._rest()]

    def _rest(self) -> Iterator[FleetEvent]:
        for _ in range(self._waiting.maxsize):
            try:
                yield self._waiting.get_nowait()
            except queue.Empty:
                return


def _event(message: Received) -> FleetEvent | None:
    """Return the event in a message; None if it is none, or speaks for another node than its topic."""
    if len(message.text) > MOST_TEXT:
        return None
    try:
        event = parse_json(message.text)
    except DamagedError:
        return None
    if not isinstance(event, dict) or not all(
        isinstance(event.get(key), kind) for key, kind in NEEDED.items()
    ):
        return None
    # The broker's access list knows topics only: what a message says of its node proves nothing.
    return event if message.topic.split("/")[-3:] == [event["node"], event["source"], "event"] else None
