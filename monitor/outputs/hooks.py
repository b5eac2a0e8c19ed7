"""Hooks: each runs a command of the user for every event, with the event as JSON on standard input.

A command that hangs is killed with all its children, and one that fails is counted and logged.  Neither
delays anything else: each hook has its own bounded queue and its own threads.
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
from monitor.system.clock_sync import read_clock_sync
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.types import ConfigError, Event

log = logging.getLogger(__name__)

WAITING = 100
"""Events that may wait for a hook; a command that runs long after the sound is of no use."""

LAST_SECONDS = 3.0
"""Time after `close` for commands that run or wait."""

_LINE = 400
"""Characters of a failed command's output that are logged."""


class Hook(Output):
    """Runs one command for every event; `run` is the body of each of its threads.

    Raises as `find_program`.
    """

    def __init__(self, config: HookConfig, *, node: str, model: str) -> None:
        find_program(config)
        self.name = config.name
        self.done = self.failed = self.killed = 0
        """Runs that succeeded, that failed, and that were killed at their time limit."""
        self.trouble: str | None = None
        """Why the newest run failed; None if it succeeded."""
        self._config, self._node, self._model = config, node, model
        self._outbox: Outbox[dict[str, object]] = Outbox(self._deliver, WAITING)
        self._environment = environment()
        self._closed_at = math.inf
        self._discarded = 0
        self._counting = threading.Lock()
        self._log = TroubleLog(log)

    @property
    def dropped(self) -> int:
        """Events without a run, because too many waited or the monitor ended."""
        return self._outbox.dropped + self._discarded

    def start(self, threads: ThreadGroup) -> None:
        """Start as many threads of `run` as commands may run at once."""
        for number in range(self._config.max_parallel):
            threads.start(f"hook {self.name}" + (f" {number + 1}" if number else ""), self.run)

    def on_event(self, event: Event, label: LabelConfig) -> None:
        """Run the command for an event, if the configuration asks for it."""
        self.put(
            event_message(
                event,
                node=self._node,
                label=label,
                model=self._model,
                published_at=time.time(),
                clock=read_clock_sync(),
            )
        )

    def put(self, payload: dict[str, object]) -> None:
        """Run the command for an `event_message`, if its label and phase are configured."""
        wanted = self._config.labels is None or payload["label"] in self._config.labels
        if wanted and payload["phase"] in self._config.phases:
            self._outbox.put(payload)

    def close(self) -> None:
        """No more events come; commands that run or wait have `LAST_SECONDS`."""
        self._closed_at = min(self._closed_at, time.monotonic())
        self._outbox.close()

    def run(self) -> None:
        """Run the command for one event after another, until closed."""
        self._outbox.run()

    def _deliver(self, payload: dict[str, object]) -> None:
        started_at = time.monotonic()
        if started_at >= self._closed_at + LAST_SECONDS:
            with self._counting:
                self._discarded += 1
            return

        def give_up_at() -> float:
            return min(started_at + self._config.timeout_seconds, self._closed_at + LAST_SECONDS)

        command, text = self._config.command, as_json(payload)
        try:
            ended = run_child(command, text, environment=self._environment, give_up_at=give_up_at)
        except OSError as error:
            self._count(1, f"cannot be started: {error.strerror}")
        else:
            self._count(ended.code, self._judge(ended))

    def _judge(self, ended: Ended) -> str | None:
        if ended.code == 0:
            return None
        if ended.code is None:
            limit = f"not done within {self._config.timeout_seconds:g} s"
            how = f"was killed: {'the monitor is ending' if self._outbox.closed else limit}"
        else:
            how = f"failed: exit code {ended.code}" if ended.code > 0 else f"failed: signal {-ended.code}"
        return how + _output(ended.tail)

    def _count(self, code: int | None, trouble: str | None) -> None:
        """Count how a run ended, and log each change of the trouble once."""
        with self._counting:
            self.done += code == 0
            self.killed += code is None
            self.failed += bool(code)
            self.trouble = self._log.change(self.trouble, trouble, f"hook {self.name}")


def find_program(config: HookConfig) -> None:
    """Check that the program of a hook can be run.

    Raises
    ------
    ConfigError
        The program is missing or not executable.
    """
    program = config.command[0]
    if shutil.which(program) is None:
        raise ConfigError(
            f'hooks: {config.name}: command: "{program}" is not an executable program; '
            "write its full path, and make it executable"
        )


def _output(tail: bytes) -> str:
    """Return the last lines of a command's output as one line for the log."""
    lines = " / ".join(filter(None, map(str.strip, tail.decode(errors="replace").splitlines())))
    text = printable(lines)
    return f": {text[-_LINE:]}" if text else ""
