"""Command queue: commands over MQTT and reloads, carried out one after another in a thread of their own."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from monitor.detection.control import Control
from monitor.outputs.mqtt.commands import (
    Arm,
    Command,
    FollowWatchlist,
    PutLabel,
    RemoveLabel,
    SetThreshold,
    apply_command,
)
from monitor.system.boundary import boundary
from monitor.system.trouble_log import TroubleLog
from monitor.types import ConfigError, MonitorError

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST, WATCHLIST, LABELS, THRESHOLDS, UNKNOWN = "first", "watchlist", "labels", "thresholds", "unknown"

WAITING = {FIRST: 2, WATCHLIST: 1, LABELS: 256, THRESHOLDS: 10_000, UNKNOWN: 256}
"""Requests that may wait, by kind; when a kind is full its oldest request makes room.

Each threshold waits at most once, so those of known labels are at most as many as sources times labels."""

LOST = "too many commands are waiting: this one was not carried out; send it again"

ENDED = "the monitor is ending: this command was not carried out"

LAST_SECONDS = 3.0
"""Time for the requests that wait at `close`."""


class CoalescingQueue(Generic[T]):
    """Bounded queue of requests, in which a newer request replaces a waiting one with the same key.

    The newer request goes to the end of the queue, so it still comes after what it may depend on.  Each lane
    has its own bound, so a flood in one lane pushes nothing out of another.  `put` never waits.  ``lanes``
    are the bounds by the name of the lane; requests of the first lane come before all others.
    """

    def __init__(self, lanes: Mapping[str, int]) -> None:
        self.replaced = 0
        """Requests that a newer one with the same key replaced."""
        self._most = dict(lanes)
        self._first = next(iter(lanes))
        self._lanes: dict[str, dict[Hashable, tuple[int, T]]] = {lane: {} for lane in lanes}
        self._numbers = count()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, request: T, *, lane: str, key: Hashable) -> T | None:
        """Add a request; return the oldest of its lane if that had to make room.

        ``key`` is what the request sets: only the newest one counts.  A new object if each counts.
        """
        with self._changed:
            waiting = self._lanes[lane]
            self.replaced += waiting.pop(key, None) is not None
            lost = waiting.pop(next(iter(waiting)))[1] if len(waiting) == self._most[lane] else None
            waiting[key] = next(self._numbers), request
            self._changed.notify()
            return lost

    def take(self) -> T | None:
        """Wait for the next request; None once the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or any(self._lanes.values()))
            filled = [waiting for waiting in self._lanes.values() if waiting]
            if not filled:
                return None
            first = self._lanes[self._first]
            oldest = first or min(filled, key=lambda waiting: next(iter(waiting.values()))[0])
            return oldest.pop(next(iter(oldest)))[1]

    def close(self) -> None:
        """No more requests come; `take` returns those that wait, then None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class _Request:
    topic: str
    command: Command | None
    """None: read the configuration again."""


class CommandQueue:
    """Carries out commands and reloads; `run` is the body of its thread, the other methods never wait.

    Of the waiting commands under one topic only the newest is carried out, except that every command about a
    label is: each may be about another label.  Arming, disarming and reloads come before all others.
    ``refuse`` receives the topic of a refused command and the reason, from any thread; ``follow`` a watchlist
    of the fleet.
    """

    def __init__(
        self,
        control: Control,
        refuse: Callable[[str, str], None],
        follow: Callable[[str, Control], None] = lambda _text, _control: None,
    ) -> None:
        self.done = self.refused = 0
        """Commands that were carried out, and commands that were refused."""
        self.lost = 0
        """Commands that were dropped because too many waited, or at the end."""
        self._control = control
        self._refuse, self._follow = refuse, follow
        self._queue: CoalescingQueue[_Request] = CoalescingQueue(WAITING)
        self._closed_at = math.inf
        self._counting = threading.Lock()
        self._refusals = TroubleLog(log)
        self._done = TroubleLog(log)

    @property
    def replaced(self) -> int:
        """Commands that a newer one under the same topic replaced before they were carried out."""
        return self._queue.replaced

    def command(self, topic: str, command: Command | str) -> None:
        """Receive a command from the broker, or the reason why a message is not one."""
        if isinstance(command, str):
            self._reject(topic, command)
            return
        lane, key = self._place(command)
        lost = self._queue.put(_Request(topic, command), lane=lane, key=key)
        if lost is not None:
            self._drop(lost, LOST)

    def reload(self) -> None:
        """Ask for a reload; several requests that wait become one reload."""
        self._queue.put(_Request("", None), lane=FIRST, key=None)

    def close(self) -> None:
        """No more requests come."""
        self._closed_at = min(self._closed_at, time.monotonic())
        self._queue.close()

    def run(self) -> None:
        """Carry out requests until closed; those that wait then have `LAST_SECONDS`."""
        while (request := self._queue.take()) is not None:
            if time.monotonic() >= self._closed_at + LAST_SECONDS:
                self._drop(request, ENDED)
            elif request.command is None:
                self._reload()
            else:
                self._carry_out(request.topic, request.command)

    def _place(self, command: Command) -> tuple[str, Hashable]:
        match command:
            case Arm():
                return FIRST, "armed"
            case FollowWatchlist():
                return WATCHLIST, "watchlist"
            case PutLabel() | RemoveLabel():
                return LABELS, object()  # each counts: it may be about another label, or other keys of one
            case SetThreshold(source, label):
                active_labels = self._control.active_labels
                known = source in active_labels.sources and any(
                    each.id == label for each in active_labels.labels
                )
                return THRESHOLDS if known else UNKNOWN, (source, label)

    def _drop(self, request: _Request, why: str) -> None:
        with self._counting:
            self.lost += 1
        self._refusals.warning("mqtt: %s: lost, %s in all: %s", request.topic, self.lost, why)
        self._refuse(request.topic, why)

    def _carry_out(self, topic: str, command: Command) -> None:
        try:
            with boundary(ConfigError, "the command cannot be carried out"):
                apply_command(command, self._control, self._follow)
        except MonitorError as error:
            self._reject(topic, str(error))
        else:
            self.done += 1
            self._done.info("mqtt: %s: done", topic)

    def _reject(self, topic: str, why: str) -> None:
        """Count, log and publish a refusal; the log is rate-limited, because any client can cause it."""
        with self._counting:
            self.refused += 1
        self._refusals.warning("mqtt: %s: refused, %s in all: %s", topic, self.refused, why)
        self._refuse(topic, why)

    def _reload(self) -> None:
        with suppress(MonitorError):  # `Control` has logged it, and it is in the status
            self._control.reload()
