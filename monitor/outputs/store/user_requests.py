"""User requests: changes of the event store whose result a user waits for."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future

from monitor.outputs.store.operations import RefusedChangeError, apply_change
from monitor.outputs.store.rows import StoreError
from monitor.system.sqlite import translated

MAX_WAITING = 100

_ENDING = "the monitor is shutting down"


class UserRequests:
    """Requests that wait for the store; `add` may be called from any thread, the rest from the store's."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[sqlite3.Connection], bool], Future[bool]]] = []
        self._lock = threading.Lock()
        self._closed = False

    def add(self, change: Callable[[sqlite3.Connection], bool]) -> Future[bool]:
        """Add a change, and return its result; too many of them fail at once."""
        done: Future[bool] = Future()
        done.set_running_or_notify_cancel()  # a client may disconnect, but not cancel the change
        with self._lock:
            if self._closed or len(self._waiting) >= MAX_WAITING:
                done.set_exception(StoreError(_ENDING if self._closed else "too many requests are waiting"))
            else:
                self._waiting.append((change, done))
        return done

    def apply(self, connection: sqlite3.Connection) -> None:
        """Apply all requests; those that follow an error of the file stay."""
        while self._waiting:
            change, done = self._waiting[0]
            try:
                with translated():
                    result = apply_change(change, connection)
            except RefusedChangeError as error:
                done.set_exception(error)
            else:
                done.set_result(result)
            self._waiting.pop(0)

    def fail(self, error: StoreError) -> None:
        """Fail all requests."""
        with self._lock:
            requests, self._waiting = self._waiting, []
        for _, done in requests:
            done.set_exception(error)

    def close(self) -> None:
        """Fail all requests, and every later one."""
        with self._lock:
            self._closed = True
        self.fail(StoreError(_ENDING))
