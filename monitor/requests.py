"""Changes that somebody asks for while the monitor runs: one after another, in a thread of their own."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from monitor.control import Control
from monitor.outputs.commands import Command, obey
from monitor.outputs.outbox import Outbox
from monitor.types import ConfigError, MonitorError

log = logging.getLogger(__name__)

SIZE = 64
"""Requests that may wait for an earlier one; the oldest make room."""

REFUSALS_SECONDS = 1.0
"""From one line in the log about a refused command to the next."""


class Requests:
    """Commands and reloads; `run` is the body of the thread, the others never wait.

    Parameters
    ----------
    control : Control
    refuse : callable
        Takes the topic of a command that is refused, and why.
    """

    def __init__(self, control: Control, refuse: Callable[[str, str], None]) -> None:
        self.refused = 0
        """Commands that were refused."""
        self._control = control
        self._refuse = refuse
        self._refused_at = -math.inf
        self._waiting: Outbox[Callable[[], None]] = Outbox(lambda request: request(), SIZE)

    @property
    def lost(self) -> int:
        """Requests that made room for others."""
        return self._waiting.dropped

    def command(self, topic: str, command: Command | str) -> None:
        """Take what was said over the broker: a command, or why it is none."""
        self._waiting.put(partial(self._obey, topic, command))

    def reload(self) -> None:
        """Read the configuration again."""
        self._waiting.put(self._reload)

    def close(self) -> None:
        """No more will come."""
        self._waiting.close()

    def run(self) -> None:
        """Do what is asked for, until closed."""
        self._waiting.run()

    def _obey(self, topic: str, command: Command | str) -> None:
        try:
            if isinstance(command, str):
                raise ConfigError(command)
            obey(command, self._control)
            log.info("mqtt: %s: done", topic)
        except MonitorError as error:
            self._tell(topic, str(error))

    def _tell(self, topic: str, why: str) -> None:
        """Say why, but not without end: whoever says nonsense may do so a thousand times a second."""
        self.refused += 1
        now = time.monotonic()
        if now - self._refused_at >= REFUSALS_SECONDS:
            self._refused_at = now
            log.warning("mqtt: %s: refused, %s in all: %s", topic, self.refused, why)
        self._refuse(topic, why)

    def _reload(self) -> None:
        with suppress(MonitorError):  # it has been logged, and stands in the status
            self._control.reload()
