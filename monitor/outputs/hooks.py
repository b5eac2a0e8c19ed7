"""Events -> commands: each hook runs a program of yours, with the event on its standard input.

A hook that hangs is killed with all that it started, one that fails is counted and logged; neither delays
anything else, for each has its own box and its own threads.
"""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time

from monitor.config import HookConfig, LabelConfig
from monitor.outputs import Output
from monitor.outputs.outbox import Outbox
from monitor.outputs.payload import as_json, event_message
from monitor.system.boundary import printable
from monitor.system.child_process import Ended, environment, run_child
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.types import ConfigError, Event

log = logging.getLogger(__name__)

WAITING = 100
"""Events that may wait for a hook; what is much older than its sound is of no use."""

LAST_SECONDS = 3.0
"""From `close` on, everything that still runs or waits has so long."""

_LINE = 400
"""Characters of what a failed command said that are logged."""


class Hook(Output):
    """Run one command for every event; `run` is the body of each of its threads.

    Parameters
    ----------
    config : HookConfig
    node : str
        Name of this monitor, for the payload.
    model : str
        Name of the checkpoint, for the payload.

    Raises
    ------
    ConfigError
        If there is no such program.
    """

    def __init__(self, config: HookConfig, *, node: str, model: str) -> None:
        find_program(config)
        self.name = config.name
        self.done = self.failed = self.killed = 0
        """Runs that ended well, that did not, and that were killed because their time was over."""
        self.trouble: str | None = None
        """Why the newest run failed, for people; None if it did not."""
        self._config, self._node, self._model = config, node, model
        self._outbox: Outbox[dict[str, object]] = Outbox(self._deliver, WAITING)
        self._environment = environment()
        self._closed_at = math.inf
        self._left = 0
        self._counting = threading.Lock()
        self._log = TroubleLog(log)

    @property
    def dropped(self) -> int:
        """Events it was not run for, because too many waited or the end had come."""
        return self._outbox.dropped + self._left

    def start(self, threads: ThreadGroup) -> None:
        """Start as many threads of `run` as commands may run at once."""
        for number in range(self._config.max_parallel):
            threads.start(f"hook {self.name}" + (f" {number + 1}" if number else ""), self.run)

    def on_event(self, event: Event, label: LabelConfig) -> None:
        """Run the command for an event, if the configuration asks for it."""
        self.put(
            event_message(event, node=self._node, label=label, model=self._model, published_at=time.time())
        )

    def put(self, payload: dict[str, object]) -> None:
        """Run the command for an event, if it is one of those it is meant for.

        Parameters
        ----------
        payload : dict
            Of `monitor.outputs.payload.event_message`.
        """
        wanted = self._config.labels is None or payload["label"] in self._config.labels
        if wanted and payload["phase"] in self._config.phases:
            self._outbox.put(payload)

    def close(self) -> None:
        """No more events will come; what runs and waits has `LAST_SECONDS`."""
        self._closed_at = min(self._closed_at, time.monotonic())
        self._outbox.close()

    def run(self) -> None:
        """Run the command for one event after the other, until closed."""
        self._outbox.run()

    def _deliver(self, payload: dict[str, object]) -> None:
        started_at = time.monotonic()
        if started_at >= self._closed_at + LAST_SECONDS:
            with self._counting:
                self._left += 1
            return
        try:
            ended = run_child(
                self._config.command,
                as_json(payload),
                environment=self._environment,
                give_up_at=lambda: min(
                    started_at + self._config.timeout_seconds, self._closed_at + LAST_SECONDS
                ),
            )
        except OSError as error:
            self._count(1, f"cannot be started: {error.strerror}")
        else:
            self._count(ended.code, self._judge(ended))

    def _judge(self, ended: Ended) -> str | None:
        if ended.code == 0:
            return None
        if ended.code is None and self._outbox.closed:
            return f"was killed: the monitor ends{_said(ended.tail)}"
        if ended.code is None:
            return f"was killed: not done within {self._config.timeout_seconds:g} s{_said(ended.tail)}"
        how = f"exit code {ended.code}" if ended.code > 0 else f"signal {-ended.code}"
        return f"failed: {how}{_said(ended.tail)}"

    def _count(self, code: int | None, trouble: str | None) -> None:
        """Count how a run ended, and log what went wrong, once for each change."""
        with self._counting:
            self.done += code == 0
            self.killed += code is None
            self.failed += bool(code)
            self.trouble = self._log.change(self.trouble, trouble, f"hook {self.name}")


def find_program(config: HookConfig) -> None:
    """See that the program of a hook is there.

    Raises
    ------
    ConfigError
        If it is not, or cannot be run.
    """
    program = config.command[0]
    if shutil.which(program) is None:
        raise ConfigError(
            f'hooks: {config.name}: command: "{program}" is no program that can be run; '
            "write its full path, and make it executable"
        )


def _said(tail: bytes) -> str:
    """Return the last lines of what a command said, as one that can be logged."""
    lines = " / ".join(filter(None, map(str.strip, tail.decode(errors="replace").splitlines())))
    text = printable(lines)
    return f": {text[-_LINE:]}" if text else ""
