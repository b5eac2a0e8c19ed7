"""Long requests: one at a time, in a thread that pauses half of the time, cancelled if their client leaves.

A lower priority of the thread would do harm: on a busy machine it may wait for a core while it holds Python's
lock, and the analysis with it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import HTTPException, Request

from monitor.types import MonitorError

LONGEST_REST_SECONDS = 0.02
"""The thread works for a moment, then rests for as long, at most this."""

MOST_WAITING = 8
"""Requests that wait or are being answered; the next one is refused."""

_LOOK_SECONDS = 0.25
"""From one look at whether the client is still there to the next."""

T = TypeVar("T")


class GivenUpError(MonitorError):
    """Nobody waits for the answer any more."""


class LongRequests:
    """Answers one request at a time; `answer` is called in the loop of the web server."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "long request")
        self._waiting = 0

    async def answer(self, request: Request, work: Callable[[Callable[[], None]], T]) -> T:
        """Return what ``work`` returns.

        Parameters
        ----------
        request : Request
            Of the client that waits.
        work : callable
            Runs in the thread; it calls its argument now and then, which raises `GivenUpError` if the client
            has disconnected.

        Raises
        ------
        HTTPException
            Too many requests wait, or the client has disconnected.
        """
        if self._waiting >= MOST_WAITING:
            raise HTTPException(503, "Too many searches and replays at once", {"retry-after": "5"})
        gone = threading.Event()
        worked_since = 0.0

        def check() -> None:
            nonlocal worked_since
            rest = min(LONGEST_REST_SECONDS, time.monotonic() - worked_since)
            if gone.wait(rest):
                raise GivenUpError("the client has disconnected")
            worked_since = time.monotonic()

        def checked_work() -> T:
            check()
            return work(check)

        answer = asyncio.get_running_loop().run_in_executor(self._pool, checked_work)
        self._waiting += 1
        try:
            while not (await asyncio.wait([answer], timeout=_LOOK_SECONDS))[0]:
                if await request.is_disconnected():
                    raise HTTPException(503, "The client has disconnected")
            return answer.result()
        finally:
            gone.set()
            answer.cancel()
            self._waiting -= 1
