"""Bugs in clap-monitor in one request or one output: counted and logged, while the monitor goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from monitor.system.boundary import boundary
from monitor.system.trouble_log import LogLimit
from monitor.types import MonitorError

log = logging.getLogger(__name__)
log.addFilter(LogLimit())


class FaultError(Exception):
    """An unexpected exception in a request or in an output."""


class Faults:
    """Counts the faults of one server or one output; from any thread."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def counted(self, where: str, instead: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Log and count any exception within, call ``instead``, and go on; ``where`` is for the log."""
        try:
            with boundary(FaultError, where):
                yield
        except (FaultError, MonitorError) as error:
            self.record(where, error)
            instead()

    def record(self, where: str, error: BaseException) -> None:
        """Count and log a fault; the log is rate-limited, and lines have the traceback of the cause."""
        self.count += 1
        cause = error.__cause__ if isinstance(error, FaultError) and error.__cause__ else error
        text = str(error).removeprefix(f"{where}: ")
        log.error("a bug in clap-monitor, in %s: %s", where, text, exc_info=cause)
