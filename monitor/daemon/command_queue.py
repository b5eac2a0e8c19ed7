"""Changes that somebody asks for while the monitor runs: one after another, in a thread of their own."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass

from monitor.daemon.coalescing_queue import CoalescingQueue
from monitor.detection.control import Control
from monitor.outputs.mqtt.commands import Arm, Command, PutLabel, RemoveLabel, SetThreshold, obey
from monitor.system.boundary import boundary
from monitor.system.trouble_log import TroubleLog
from monitor.types import ConfigError, MonitorError

log = logging.getLogger(__name__)

FIRST, LABELS, THRESHOLDS, UNKNOWN = "first", "labels", "thresholds", "unknown"

WAITING = {FIRST: 2, LABELS: 256, THRESHOLDS: 10_000, UNKNOWN: 256}
"""Requests that may wait for an earlier one, by kind; beyond it the oldest of the kind makes room.

Of thresholds each waits once: those of known labels are at most as many as sources times labels."""

LOST = "more commands came at once than can wait: this one was not carried out; say it again"

ENDED = "the monitor ends: this one was not carried out"

LAST_SECONDS = 3.0
"""From `close` on, what still waits has so long."""


@dataclass(frozen=True, slots=True)
class _Request:
    topic: str
    command: Command | None
    """None: read the configuration again."""


class CommandQueue:
    """Commands and reloads; `run` is the body of the thread, the others never wait.

    Of commands under one topic that wait only the newest is carried out; of labels each, in the order they
    came in, for each may be about another label.  Switching listening on or off comes before all else.

    Parameters
    ----------
    control : Control
    refuse : callable
        Takes the topic of a command that is refused, and why; from any thread.
    """

    def __init__(self, control: Control, refuse: Callable[[str, str], None]) -> None:
        self.done = self.refused = 0
        """Commands that were carried out, and that were refused."""
        self.lost = 0
        """Commands that made room for others."""
        self._control = control
        self._refuse = refuse
        self._queue: CoalescingQueue[_Request] = CoalescingQueue(WAITING)
        self._closed_at = math.inf
        self._counting = threading.Lock()
        self._refusals = TroubleLog(log)
        self._done = TroubleLog(log)

    @property
    def replaced(self) -> int:
        """Commands that were not carried out because a newer one under the same topic came meanwhile."""
        return self._queue.replaced

    def command(self, topic: str, command: Command | str) -> None:
        """Take what was said over the broker: a command, or why it is none."""
        if isinstance(command, str):
            self._tell(topic, command)
            return
        lane, key = self._place(command)
        lost = self._queue.put(_Request(topic, command), lane=lane, key=key)
        if lost is not None:
            self._lose(lost, LOST)

    def reload(self) -> None:
        """Read the configuration again; who asks twice before it is read is answered once."""
        self._queue.put(_Request("", None), lane=FIRST, key=None)

    def close(self) -> None:
        """No more will come."""
        self._closed_at = min(self._closed_at, time.monotonic())
        self._queue.close()

    def run(self) -> None:
        """Do what is asked for, until closed; what then still waits has `LAST_SECONDS`."""
        while (request := self._queue.take()) is not None:
            if time.monotonic() >= self._closed_at + LAST_SECONDS:
                self._lose(request, ENDED)
            elif request.command is None:
                self._reload()
            else:
                self._obey(request.topic, request.command)

    def _place(self, command: Command) -> tuple[str, Hashable]:
        """Return the lane of a command, and what it sets."""
        match command:
            case Arm():
                return FIRST, "armed"
            case PutLabel() | RemoveLabel():
                return LABELS, object()  # each counts: it may be about another label, or other keys of one
            case SetThreshold(source, label):
                active_labels = self._control.active_labels
                known = source in active_labels.sources and any(
                    each.id == label for each in active_labels.labels
                )
                return THRESHOLDS if known else UNKNOWN, (source, label)

    def _lose(self, request: _Request, why: str) -> None:
        with self._counting:
            self.lost += 1
        self._refusals.warning("mqtt: %s: lost, %s in all: %s", request.topic, self.lost, why)
        self._refuse(request.topic, why)

    def _obey(self, topic: str, command: Command) -> None:
        try:
            with boundary(ConfigError, "the command cannot be carried out"):
                obey(command, self._control)
        except MonitorError as error:
            self._tell(topic, str(error))
        else:
            self.done += 1
            self._done.info("mqtt: %s: done", topic)

    def _tell(self, topic: str, why: str) -> None:
        """Say why, but not without end: whoever says nonsense may do so a thousand times a second."""
        with self._counting:
            self.refused += 1
        self._refusals.warning("mqtt: %s: refused, %s in all: %s", topic, self.refused, why)
        self._refuse(topic, why)

    def _reload(self) -> None:
        with suppress(MonitorError):  # it has been logged, and stands in the status
            self._control.reload()
