"""What is heard now, line by line, for `clap-monitor watch` at the control socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from monitor.outputs.live.broadcast import Broadcast, TooManyError
from monitor.types import RefusedError

MOST = 4
"""So many can watch at the socket at once: others must still be able to ask it."""

BUSY = 75
"""Exit code of who comes too many (EX_TEMPFAIL)."""

STATUS_SECONDS = 2.0
"""From one line about how it goes to the next."""

KINDS = frozenset({"scores", "event", "near_miss"})

_WAIT_SECONDS = 0.5


class WatchFeed:
    """Tell watchers what `Broadcast` says, and now and then how it goes.

    Parameters
    ----------
    live : Broadcast
    snapshot : callable
        Returns what `clap-monitor status` shows.
    """

    def __init__(self, live: Broadcast, snapshot: Callable[[], Mapping[str, object]]) -> None:
        self._live = live
        self._snapshot = snapshot
        self._places = threading.BoundedSemaphore(MOST)

    def answer(self, _request: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
        """Yield until the monitor ends or the reader is too slow; an `Answer` of the control socket.

        Yields
        ------
        dict
            With its ``kind``: status, scores, event, near_miss; at last end, with ``why``.

        Raises
        ------
        RefusedError
            Enough are watching already.
        """
        if not self._places.acquire(blocking=False):
            raise RefusedError(f"{MOST} are watching at the control socket already", BUSY)
        try:
            yield from self._news()
        except TooManyError as error:
            raise RefusedError(str(error), BUSY) from error
        finally:
            self._places.release()

    def _news(self) -> Iterator[Mapping[str, object]]:
        woken = threading.Event()
        watcher = self._live.subscribe(woken.set)
        status_at = -STATUS_SECONDS
        try:
            while watcher.gone is None:
                if time.monotonic() >= status_at + STATUS_SECONDS:
                    status_at = time.monotonic()
                    yield {"kind": "status", **self._snapshot()}
                woken.wait(_WAIT_SECONDS)
                woken.clear()
                for message in watcher.take():
                    if message.kind in KINDS:
                        content = json.loads(message.text)
                        content.pop("spectrogram", None)
                        yield {"kind": message.kind, **content}
            yield {"kind": "end", "why": watcher.gone}
        finally:
            self._live.unsubscribe(watcher)
