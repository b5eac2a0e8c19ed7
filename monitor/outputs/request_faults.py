"""Faults of ours in what a client asked for: the request fails, the monitor goes on, and it is counted."""

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
    """Something that nobody foresaw was raised while a request was being answered."""


class RequestFaults:
    """Count the faults of a server; from any thread of it."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def counted(self, where: str, instead: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Log and count whatever is raised within, and go on.

        Parameters
        ----------
        where : str
            What was being done: a word for the log.
        instead : callable
            What is done then.
        """
        try:
            with boundary(FaultError, where):
                yield
        except (FaultError, MonitorError) as error:
            self.note(where, error)
            instead()

    def note(self, where: str, error: BaseException) -> None:
        """Count a fault, and log it: one line, and now and then with its traceback."""
        self.count += 1
        cause = error.__cause__ if isinstance(error, FaultError) and error.__cause__ else error
        told = str(error).removeprefix(f"{where}: ")
        log.error("a fault of clap-monitor in %s: %s", where, told, exc_info=cause)
