"""Connections of the control socket: one thread waits for all of them, and any thread answers a request."""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from monitor.daemon.control_protocol import Answer, ControlExchange

MOST_CONNECTIONS = 32
"""Connections at once; a further one replaces the one that has waited longest without a request."""

_PAUSE_SECONDS = 0.1


class ControlConnections:
    """Waits for connections and answers them; `run` is the body of several threads.

    ``listener`` is bound and listening; `close` closes it.  ``answers`` are by the ``command`` of a request.
    """

    def __init__(self, listener: socket.socket, answers: Mapping[str, Answer]) -> None:
        self._listener = listener
        self._answers = answers
        self._closed = threading.Event()
        self._waiting = threading.Lock()
        """Held by the thread that waits for all connections."""
        self._lock = threading.Lock()
        self._open: set[ControlExchange] = set()
        self._unread: deque[ControlExchange] = deque()
        """Exchanges with an unsent line; the waiting thread sends the rest."""
        self._ready: deque[ControlExchange] = deque()
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)

    def run(self) -> None:
        """Answer one request after another until closed."""
        while (exchange := self._next()) is not None:
            try:
                unread = exchange.send_answer()
            except OSError:  # the client has gone
                unread = False
            if not unread or not self._finish_sending_later(exchange):
                self._drop(exchange)

    def close(self) -> None:
        """Accept no more connections and end all exchanges; `run` returns."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            os.eventfd_write(self._wake, 1)
            for exchange in self._open:
                with suppress(OSError):
                    exchange.connection.shutdown(socket.SHUT_RDWR)
        with self._waiting:  # the waiting thread has been woken
            waiting = [key.data for key in self._selector.get_map().values() if key.data is not None]
            self._selector.close()
            self._listener.close()
            with self._lock:
                os.close(self._wake)
                waiting += [*self._unread, *self._ready]
            for exchange in waiting:
                self._drop(exchange)

    def _next(self) -> ControlExchange | None:
        """Wait for a request; None once closed."""
        with self._waiting:
            while not self._closed.is_set():
                if self._ready:
                    return self._ready.popleft()
                self._wait()
        return None

    def _wait(self) -> None:
        """Wait until a connection is ready, and read or write it; called by one thread at a time."""
        waiting = [key.data for key in self._selector.get_map().values() if key.data is not None]
        due = min((each.give_up_at for each in waiting), default=None)
        for key, _ in self._selector.select(None if due is None else max(0.0, due - time.monotonic())):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj == self._wake:
                self._take_unread()
            elif key.data.connection.fileno() >= 0:  # not dropped meanwhile
                self._continue(key.data)
        now = time.monotonic()
        for exchange in waiting:
            connection = exchange.connection
            still = connection.fileno() >= 0 and connection in self._selector.get_map()
            if still and now >= exchange.give_up_at:
                self._unregister_and_drop(exchange)

    def _continue(self, exchange: ControlExchange) -> None:
        try:
            done = exchange.write() if exchange.asked else exchange.read()
        except OSError:
            self._unregister_and_drop(exchange)
            return
        if done:
            self._selector.unregister(exchange.connection)
            self._ready.append(exchange)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:  # the client has gone
            return
        except OSError:  # no descriptor is free, and the listener stays readable
            time.sleep(_PAUSE_SECONDS)
            return
        silent = [key.data for key in self._selector.get_map().values() if key.data and not key.data.asked]
        if len(self._open) >= MOST_CONNECTIONS and not silent:
            connection.close()
            return
        if len(self._open) >= MOST_CONNECTIONS:
            self._unregister_and_drop(min(silent, key=lambda each: each.connected_at))
        exchange = ControlExchange(connection, self._answers)
        with self._lock:
            self._open.add(exchange)
        self._selector.register(connection, selectors.EVENT_READ, exchange)

    def _take_unread(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while self._unread:
            exchange = self._unread.popleft()
            self._selector.register(exchange.connection, selectors.EVENT_WRITE, exchange)

    def _finish_sending_later(self, exchange: ControlExchange) -> bool:
        """Leave an exchange with an unsent line to the waiting thread; False once closed."""
        with self._lock:
            if self._closed.is_set():
                return False
            self._unread.append(exchange)
            os.eventfd_write(self._wake, 1)
        return True

    def _unregister_and_drop(self, exchange: ControlExchange) -> None:
        self._selector.unregister(exchange.connection)
        self._drop(exchange)

    def _drop(self, exchange: ControlExchange) -> None:
        with self._lock:
            self._open.discard(exchange)
        exchange.close()
