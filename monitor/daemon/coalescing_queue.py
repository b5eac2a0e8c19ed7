"""Command queue: requests of many threads for one, where a newer request takes the place of an older one."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


class CoalescingQueue(Generic[T]):
    """Take requests without ever waiting; hand them out one after another, in the order they came in.

    A request with the key of one that still waits replaces it, and waits anew behind all others: so it
    still comes after what it may depend on.  Each lane has a bound of its own, so a flood in one pushes
    nothing out of another.

    Parameters
    ----------
    lanes : mapping of str to int
        How many may wait, by the name of the lane.  What is in the first lane is handed out before all else.
    """

    def __init__(self, lanes: Mapping[str, int]) -> None:
        self.replaced = 0
        """Requests whose place was taken by a newer one with the same key."""
        self._most = dict(lanes)
        self._first = next(iter(lanes))
        self._lanes: dict[str, dict[Hashable, tuple[int, T]]] = {lane: {} for lane in lanes}
        self._numbers = count()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, request: T, *, lane: str, key: Hashable) -> T | None:
        """Add a request; return the oldest of the lane if it had to make room.

        Parameters
        ----------
        request : object
        lane : str
        key : hashable
            What the request sets: only the newest counts.  A new object if each counts.
        """
        with self._changed:
            waiting = self._lanes[lane]
            self.replaced += waiting.pop(key, None) is not None
            lost = waiting.pop(next(iter(waiting)))[1] if len(waiting) == self._most[lane] else None
            waiting[key] = next(self._numbers), request
            self._changed.notify()
            return lost

    def take(self) -> T | None:
        """Wait for the next request; None once the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or any(self._lanes.values()))
            filled = [waiting for waiting in self._lanes.values() if waiting]
            if not filled:
                return None
            first = self._lanes[self._first]
            oldest = first or min(filled, key=lambda waiting: next(iter(waiting.values()))[0])
            return oldest.pop(next(iter(oldest)))[1]

    def close(self) -> None:
        """No more will come; `take` returns what is left, then None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
