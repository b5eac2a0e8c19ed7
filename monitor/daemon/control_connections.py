"""Connections of the control socket: all are waited for at once, and those who have asked are answered."""

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
"""At once; for one more, the one that has been silent for longest is let go."""

_PAUSE_SECONDS = 0.1


class ControlConnections:
    """Wait for connections and answer them; `run` is the body of several threads.

    Parameters
    ----------
    listener : socket.socket
        Bound and listening; closed by `close`.
    answers : mapping of str to callable
        By the ``command`` of a request.
    """

    def __init__(self, listener: socket.socket, answers: Mapping[str, Answer]) -> None:
        self._listener = listener
        self._answers = answers
        self._closed = threading.Event()
        self._waiting = threading.Lock()
        """Held by the one thread that waits for all connections."""
        self._lock = threading.Lock()
        self._open: set[ControlExchange] = set()
        self._unread: deque[ControlExchange] = deque()
        """Whose newest line has not gone yet: the thread that waits goes on with them."""
        self._ready: deque[ControlExchange] = deque()
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)

    def run(self) -> None:
        """Answer one request after another until closed."""
        while (conversation := self._next()) is not None:
            try:
                unread = conversation.go_on()
            except OSError:  # whoever asked has gone
                unread = False
            if not unread or not self._wait_for_reader(conversation):
                self._drop(conversation)

    def close(self) -> None:
        """Take no more connections and break off those that there are; `run` returns."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            os.eventfd_write(self._wake, 1)
            for conversation in self._open:
                with suppress(OSError):
                    conversation.connection.shutdown(socket.SHUT_RDWR)
        with self._waiting:  # the thread that waited has been woken
            waiting = [key.data for key in self._selector.get_map().values() if key.data is not None]
            self._selector.close()
            self._listener.close()
            with self._lock:
                os.close(self._wake)
                waiting += [*self._unread, *self._ready]
            for conversation in waiting:
                self._drop(conversation)

    def _next(self) -> ControlExchange | None:
        """Wait for somebody who is to be answered; None once closed."""
        with self._waiting:
            while not self._closed.is_set():
                if self._ready:
                    return self._ready.popleft()
                self._wait()
        return None

    def _wait(self) -> None:
        """Wait until anything happens, and take it in; for the one thread that may."""
        waiting = [key.data for key in self._selector.get_map().values() if key.data is not None]
        due = min((each.give_up_at for each in waiting), default=None)
        for key, _ in self._selector.select(None if due is None else max(0.0, due - time.monotonic())):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj == self._wake:
                self._take_unread()
            elif key.data.connection.fileno() >= 0:  # not let go meanwhile
                self._look_at(key.data)
        now = time.monotonic()
        for conversation in waiting:
            connection = conversation.connection
            still = connection.fileno() >= 0 and connection in self._selector.get_map()
            if still and now >= conversation.give_up_at:
                self._let_go(conversation)

    def _look_at(self, conversation: ControlExchange) -> None:
        try:
            done = conversation.write() if conversation.asked else conversation.read()
        except OSError:
            self._let_go(conversation)
            return
        if done:
            self._selector.unregister(conversation.connection)
            self._ready.append(conversation)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:  # whoever it was has gone
            return
        except OSError:  # no descriptor is free, and the listener stays readable
            time.sleep(_PAUSE_SECONDS)
            return
        silent = [key.data for key in self._selector.get_map().values() if key.data and not key.data.asked]
        if len(self._open) >= MOST_CONNECTIONS and not silent:
            connection.close()
            return
        if len(self._open) >= MOST_CONNECTIONS:
            self._let_go(min(silent, key=lambda each: each.connected_at))
        conversation = ControlExchange(connection, self._answers)
        with self._lock:
            self._open.add(conversation)
        self._selector.register(connection, selectors.EVENT_READ, conversation)

    def _take_unread(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while self._unread:
            conversation = self._unread.popleft()
            self._selector.register(conversation.connection, selectors.EVENT_WRITE, conversation)

    def _wait_for_reader(self, conversation: ControlExchange) -> bool:
        """Leave a conversation to the thread that waits; False if there is none any more."""
        with self._lock:
            if self._closed.is_set():
                return False
            self._unread.append(conversation)
            os.eventfd_write(self._wake, 1)
        return True

    def _let_go(self, conversation: ControlExchange) -> None:
        self._selector.unregister(conversation.connection)
        self._drop(conversation)

    def _drop(self, conversation: ControlExchange) -> None:
        with self._lock:
            self._open.discard(conversation)
        conversation.close()
