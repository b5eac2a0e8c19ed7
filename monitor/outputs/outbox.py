"""A bounded queue between the analysis and one output.

It lives in memory: what waits in it ends with the process.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Outbox(Generic[T]):
    """Take things without ever blocking the caller; deliver them in another thread, or in several.

    Parameters
    ----------
    deliver : callable
        Takes one thing; called outside the lock, by `run` or by `flush`.
    size : int
        How many may wait; at least 1.  When it is full the oldest makes room, counted in `dropped`.
    """

    def __init__(self, deliver: Callable[[T], None], size: int) -> None:
        if size < 1:
            raise ValueError(f"an outbox holds at least 1, not {size}")
        self.dropped = 0
        self._deliver = deliver
        self._waiting: deque[T] = deque(maxlen=size)
        self._closed = False
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many wait to be delivered."""
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """True once no more will come."""
        return self._closed

    def put(self, thing: T) -> None:
        """Add the newest; when the box is full the oldest makes room."""
        with self._changed:
            self.dropped += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(thing)
            self._changed.notify()

    def close(self) -> None:
        """No more will come; `run` returns once the box is empty."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def run(self) -> None:
        """Deliver everything, oldest first, until the box is closed and empty."""
        while self._wait():
            self.flush(1)

    def flush(self, most: int) -> int:
        """Deliver what waits now, oldest first and at most ``most``; return how many that was."""
        for delivered in range(most):
            with self._changed:
                if not self._waiting:
                    return delivered
                thing = self._waiting.popleft()
            self._deliver(thing)
        return max(0, most)

    def _wait(self) -> bool:
        """Wait for something to deliver; False if nothing more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return bool(self._waiting)
