"""Worker: a thread that calls one function, so that its caller can prepare the next call meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

from monitor.system.threads import outcome_of

A = TypeVar("A")
B = TypeVar("B")


class Worker(Generic[A, B]):
    """Calls a function in a thread of its own, which starts with the first item.

    Parameters
    ----------
    name : str
        Of the thread.
    call : callable
    """

    def __init__(self, name: str, call: Callable[[A], B]) -> None:
        self._call = call
        self._items: SimpleQueue[tuple[A] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Callable[[], B]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def results(self, items: Iterable[A]) -> Iterator[tuple[A, B]]:
        """Yield each item and what the function returns for it, or raise what it raises.

        The next item is taken, and the one before is handled by the caller, while the function is called.
        """
        if self._thread.ident is None:
            self._thread.start()
        waiting: deque[A] = deque()
        for item in items:
            self._items.put((item,))
            waiting.append(item)
            if len(waiting) > 1:
                yield waiting.popleft(), self._outcomes.get()()
        while waiting:
            yield waiting.popleft(), self._outcomes.get()()

    def close(self) -> None:
        """End the thread."""
        self._items.put(None)

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            self._outcomes.put(outcome_of(self._call, *item))
