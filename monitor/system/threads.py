"""Thread group: named threads that start and end together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from monitor.types import MonitorError

A = TypeVar("A")
B = TypeVar("B")

log = logging.getLogger(__name__)


def outcome_of(call: Callable[[A], B], item: A) -> Callable[[], B]:
    """Call a function; return a function that returns or raises in another thread what it did in this one."""
    try:
        result = call(item)
    except Exception as error:  # noqa: BLE001 - raised again by the caller
        failure = error

        def raise_it() -> B:
            raise failure

        return raise_it
    return lambda: result


class ThreadGroup:
    """Starts threads, detects when one fails, and ends all of them together.

    ``stop`` is set as soon as any thread fails; the owner waits for it and ends the others.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._threads: list[threading.Thread] = []
        self._may_stay: set[str] = set()
        self._errors: list[Exception] = []

    def start(self, name: str, run: Callable[[], None], *, may_stay: bool = False) -> None:
        """Run ``run`` in a new thread called ``name``.

        Threads are daemonic: a stuck driver or network call must not keep the process from exiting once
        `join` has given up on it.  One that may stay, because it may wait for ever for a disk or the like,
        is then logged, and is not an error.
        """
        if may_stay:
            self._may_stay.add(name)
        thread = threading.Thread(target=self._guard, args=(name, run), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def fail(self, error: Exception) -> None:
        """End all threads because of an error found elsewhere; `join` raises it."""
        self._errors.append(error)
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait for all threads, at most ``seconds``.

        Raises
        ------
        MonitorError
            If nothing else went wrong: the first one.
        ExceptionGroup
            Everything that went wrong in the threads, and a `TimeoutError` that names those still running.
        """
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        errors = list(self._errors)
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        for name in self._may_stay.intersection(stuck):
            log.error("%s: did not end within %g s; its unfinished work is lost", name, seconds)
        stuck = [name for name in stuck if name not in self._may_stay]
        if stuck:
            errors.append(TimeoutError(f"still running after {seconds} s: {', '.join(stuck)}"))
        if errors and all(isinstance(error, MonitorError) for error in errors):
            raise errors[0]
        if errors:
            raise ExceptionGroup("the monitor failed", errors)

    def _guard(self, name: str, run: Callable[[], None]) -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001 - the one place: no thread dies unnoticed
            error.add_note(f"in thread {name!r}")
            self._errors.append(error)
            self._stop.set()
