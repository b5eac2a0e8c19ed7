"""Listeners: who hears a source live, and the audio that each of them gets.

The ring buffer is the queue of a listener.  One that is too slow loses audio, which is counted; nothing waits
for it.  While nobody listens, nothing runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from monitor.audio.ring_buffer import OverrunError, RingBuffer
from monitor.audio.source_status import SourceStatus
from monitor.detection.event_machine import ulid
from monitor.outputs import Output
from monitor.outputs.live.listening import Listen, ListenEnd
from monitor.outputs.live.webm import BITS_PER_SECOND, WebmStream
from monitor.types import MonitorError

log = logging.getLogger(__name__)

MAX_LISTENERS = 2
"""At one source."""

LONGEST_SECONDS = 600.0
"""A forgotten page does not listen for ever."""

BLOCK_SECONDS = 0.1
"""Audio that is encoded at once."""

MOST_BEHIND_SECONDS = 1.0
"""A listener that is further behind continues with the newest audio."""

MAX_UNSENT_BYTES = BITS_PER_SECOND // 8
"""One second of audio: with more that its client has not taken, a listener gets nothing new."""

_WAIT_SECONDS = 0.25
"""From one look at whether the listener may stay to the next, if no audio comes."""


class NoListeningError(MonitorError):
    """A source cannot be heard now."""

    def __init__(self, text: str, reason: ListenEnd | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        """As for one who listens already; None if there are too many of them."""


@dataclass(frozen=True, slots=True)
class ListenerCounts:
    """Counts of one source."""

    now: int = 0
    """Listeners at the moment."""
    lost_seconds: float = 0.0
    """Audio that slow listeners lost."""


class Listener:
    """One who listens, from the newest audio on; `read` it in one thread until it returns None."""

    def __init__(self, listen: Listen, buffer: RingBuffer, obstacle: Callable[[], ListenEnd | None]) -> None:
        self.listen = listen
        self.reason = ListenEnd.LEFT
        """Why `read` returned None."""
        self.lost = 0
        """Samples left out."""
        self._buffer = buffer
        self._obstacle = obstacle
        self._block = round(BLOCK_SECONDS * buffer.rate)
        self._position = buffer.stop
        self._stream = WebmStream(buffer.rate)

    def read(self, unsent: int) -> bytes | None:
        """Wait a moment for audio, and return the next part of the stream, which may be empty.

        ``unsent`` bytes have not been taken by the client yet.  None once the listener may not stay.
        """
        self._buffer.wait(self._position + self._block, _WAIT_SECONDS)
        obstacle = self._obstacle()
        if obstacle is not None:
            self.reason = obstacle
            return None
        stop = self._buffer.stop
        if stop - self._position > MOST_BEHIND_SECONDS * self._buffer.rate:
            self.lost += stop - self._block - self._position
            self._position = stop - self._block
        if unsent > MAX_UNSENT_BYTES:
            time.sleep(BLOCK_SECONDS)
            return b""
        return self._encode(stop)

    def _encode(self, stop: int) -> bytes:
        if stop == self._position:
            return b""
        try:
            samples = self._buffer.read(self._position, stop)
        except OverrunError:  # a replay at full speed; the next look continues with the newest audio
            return b""
        self._position = stop
        return self._stream.add(samples)


class Listeners:
    """All listeners; every method may be called from any thread.

    Parameters
    ----------
    buffers : mapping of str to RingBuffer
        By source name.
    status : mapping of str to SourceStatus
        By source name.
    is_armed : callable
        Whether detection is armed.
    outputs : collection of Output
        Receive each start and end.
    longest_seconds : float
        Time after which a listener is ended.
    """

    def __init__(
        self,
        buffers: Mapping[str, RingBuffer],
        status: Mapping[str, SourceStatus],
        *,
        is_armed: Callable[[], bool],
        outputs: Collection[Output],
        longest_seconds: float = LONGEST_SECONDS,
    ) -> None:
        self._buffers, self._status, self._is_armed = buffers, status, is_armed
        self._outputs = outputs
        self._longest_seconds = longest_seconds
        self._counts = dict.fromkeys(buffers, ListenerCounts())
        self._present: set[Listener] = set()
        self.stopping = False
        """The monitor shuts down (writer: the daemon): a source that ends now does so for that reason."""
        self._closed = False
        self._lock = threading.Lock()

    @property
    def counts(self) -> Mapping[str, ListenerCounts]:
        """Counts by source."""
        return self._counts.copy()

    @contextmanager
    def listening(self, source: str, client: str) -> Iterator[Listener]:
        """Add a listener at a network address, and remove it at the end.

        Raises
        ------
        KeyError
            There is no such source.
        NoListeningError
            The source cannot be heard now, or too many listen.
        OutputError
            Audio cannot be encoded.
        """
        obstacle = self._obstacle(source)
        if obstacle is not None:
            raise NoListeningError(self._text(source, obstacle), obstacle)
        until = time.monotonic() + self._longest_seconds
        started_at = time.time()
        listener = Listener(
            Listen(ulid(started_at), source, client, started_at),
            self._buffers[source],
            lambda: ListenEnd.TIME_LIMIT if time.monotonic() >= until else self._obstacle(source),
        )
        with self._lock:
            self._add(listener)
        try:
            yield listener
        finally:
            with self._lock:
                self._remove(listener, listener.reason)

    def close(self) -> None:
        """End every listener, now and later: called before the outputs are closed, which are told of it."""
        with self._lock:
            self._closed = True
            for listener in list(self._present):
                self._remove(listener, ListenEnd.SHUTDOWN)

    def _add(self, listener: Listener) -> None:
        listen, before = listener.listen, self._counts[listener.listen.source]
        if self._closed:
            raise NoListeningError("the monitor is shutting down", ListenEnd.SHUTDOWN)
        if before.now >= MAX_LISTENERS:
            raise NoListeningError(f"{listen.source} already has {before.now} listeners, the maximum")
        self._present.add(listener)
        self._counts[listen.source] = replace(before, now=before.now + 1)
        log.info("%s: %s listens", listen.source, listen.client)
        self._tell(listen)

    def _remove(self, listener: Listener, reason: ListenEnd) -> None:
        if listener not in self._present:
            return
        self._present.remove(listener)
        listen, before = listener.listen, self._counts[listener.listen.source]
        lost = listener.lost / self._buffers[listen.source].rate
        after = replace(before, now=before.now - 1, lost_seconds=before.lost_seconds + lost)
        self._counts[listen.source] = after
        ended_at = max(listen.started_at, time.time())
        seconds = ended_at - listen.started_at
        log.info("%s: %s no longer listens, after %.0f s: %s", listen.source, listen.client, seconds, reason)
        self._tell(replace(listen, ended_at=ended_at, reason=reason, lost_seconds=round(lost, 3)))

    def _tell(self, listen: Listen) -> None:
        for output in self._outputs:
            output.on_listen(listen, self._counts[listen.source].now)

    def _obstacle(self, source: str) -> ListenEnd | None:
        """Return why a source cannot be heard now."""
        status = self._status[source]
        if not self._is_armed():
            return ListenEnd.DISARMED
        if status.ended:
            return ListenEnd.SHUTDOWN if self.stopping else ListenEnd.END
        if self._closed or self._buffers[source].closed:
            return ListenEnd.SHUTDOWN
        return ListenEnd.OFFLINE if status.offline else None

    def _text(self, source: str, obstacle: ListenEnd) -> str:
        if obstacle is ListenEnd.DISARMED:
            return "detection is disarmed; arm it to listen"
        if obstacle is ListenEnd.OFFLINE:
            return f"{source} is offline: {self._status[source].offline_text}"
        return f"{source} has ended"
