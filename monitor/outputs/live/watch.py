"""Watch feed: live messages for `clap-monitor watch` at the control socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from monitor.outputs.live.broadcast import Broadcast, TooManyError

MAX_WATCHERS = 4
"""Watchers at once: connections must remain for other requests."""

STATUS_SECONDS = 2.0
"""From one status to the next."""

KINDS = frozenset({"scores", "event", "near_miss"})

_NO_SPECTROGRAM = ""
"""Name of no source."""

_WAIT_SECONDS = 0.5


class WatchFeed:
    """Send the messages of `Broadcast` to watchers, and the status, a ``snapshot``, now and then."""

    def __init__(self, live: Broadcast, snapshot: Callable[[], Mapping[str, object]]) -> None:
        self._live = live
        self._snapshot = snapshot
        self._places = threading.BoundedSemaphore(MAX_WATCHERS)

    def answer(self, _request: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
        """Yield until the monitor ends or the reader is too slow; an `Answer` of the control socket.

        Each message has a ``kind``: status, scores, event, near_miss; at last end, with ``why``.  Raises a
        `TooManyError` if there are too many watchers.
        """
        if not self._places.acquire(blocking=False):
            raise TooManyError(f"{MAX_WATCHERS} clients at the control socket are watching already")
        try:
            yield from self._messages()
        finally:
            self._places.release()

    def _messages(self) -> Iterator[Mapping[str, object]]:
        woken = threading.Event()
        watcher = self._live.subscribe(woken.set, _NO_SPECTROGRAM)
        status_at = -STATUS_SECONDS
        try:
            while watcher.gone is None:
                if time.monotonic() >= status_at + STATUS_SECONDS:
                    status_at = time.monotonic()
                    yield {"kind": "status", **self._snapshot()}
                woken.wait(_WAIT_SECONDS)
                woken.clear()
                for message in self._live.take(watcher):
                    if message.kind in KINDS:
                        content = json.loads(message.text)
                        content.pop("spectrogram", None)  # of other watchers
                        yield {"kind": message.kind, **content}
            yield {"kind": "end", "why": watcher.gone}
        finally:
            self._live.unsubscribe(watcher)
