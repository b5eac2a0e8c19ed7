"""Outbox: a bounded queue in memory between the analysis and one output."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Outbox(Generic[T]):
    """Receives items without blocking the caller; other threads deliver them.

    Parameters
    ----------
    deliver : callable
        Receives one item; called outside the lock, by `run` or by `flush`.
    size : int
        Items that may wait, at least 1; a full outbox drops the oldest, counted in `dropped`.
    """

    def __init__(self, deliver: Callable[[T], None], size: int) -> None:
        if size < 1:
            raise ValueError(f"the size of an outbox is at least 1, not {size}")
        self.dropped = 0
        self._deliver = deliver
        self._waiting: deque[T] = deque(maxlen=size)
        self._closed = False
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """Items that are not delivered yet."""
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """True once no more items come."""
        return self._closed

    def put(self, item: T) -> None:
        """Add an item; a full outbox drops the oldest."""
        with self._changed:
            self.dropped += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(item)
            self._changed.notify()

    def close(self) -> None:
        """No more items come; `run` returns once all are delivered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def run(self) -> None:
        """Deliver items, oldest first, until the outbox is closed and empty."""
        while self._wait():
            self.flush(1)

    def flush(self, most: int) -> int:
        """Deliver at most ``most`` of the items that wait, oldest first; return how many."""
        for delivered in range(most):
            with self._changed:
                if not self._waiting:
                    return delivered
                item = self._waiting.popleft()
            self._deliver(item)
        return max(0, most)

    def _wait(self) -> bool:
        """Wait for an item; False if no more come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return bool(self._waiting)
