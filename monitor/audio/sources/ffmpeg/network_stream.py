"""Network streams of cameras and servers, over RTSP and HTTP, at the live edge; `reconnect` opens them again.

libav blocks while it connects and reads, and its time limits must be set beforehand.  So each connection has
a thread of its own, which fills a queue, and the source never blocks.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from monitor.audio.captured_audio import CapturedAudio
from monitor.audio.sources.capture_clock import CaptureClock
from monitor.audio.sources.ffmpeg.connection import (
    OPEN_SECONDS,
    AbsentError,
    ForbiddenError,
    RefusedError,
    SoundFormat,
    format_of,
    sound_of,
)
from monitor.audio.sources.ffmpeg.live_edge import DRIFT, LiveEdge
from monitor.audio.sources.reconnect import OpenDevice, reconnecting
from monitor.audio.sources.source_context import SourceContext
from monitor.config import Address
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.types import AudioBlock, OfflineReason, SourceError

log = logging.getLogger(__name__)

_QUEUE_SECONDS = 5.0

_STEP_SECONDS = 1.0
"""Networks delay more, and for longer, than sound cards."""

_BEHIND_SECONDS = 5.0
"""A stream so far behind the clock is reconnected: servers start at the live edge."""

_REFUSED_SECONDS = 300.0
"""Wait after a refused login: cameras lock out clients that retry too often."""

_REOPEN_SECONDS = 300.0
"""Exact zeros until a reconnection: encoders make zeros of a quiet room, and reconnecting loses a second."""

_SOON_SECONDS = 60.0
_MOST_SOON_LOST = 2
"""Connections in a row lost so soon until the other way is tried; the network may be the cause, too."""

_LOOK_AT_STOP_SECONDS = 0.1
_CLOSE_SECONDS = 1.0


def open_stream(address: Address, channel: int | None, context: SourceContext) -> Iterator[AudioBlock]:
    """Yield the blocks of a stream, connected again whenever it is lost or ends, until ``context.stop``.

    ``channel`` counts from 1; None is the mean of all channels.

    Raises
    ------
    SourceError
        Only if ``context.required``.
    """
    return reconnecting(_Connector(address, channel, context), context, reopen_seconds=_REOPEN_SECONDS)


def probe(address: Address) -> SoundFormat:
    """Return what a stream sends, asked for as `open_stream` does.

    Raises
    ------
    SourceError
        It cannot be reached, refuses the login, or sends no audio; the message holds no secret.
    """
    troubles: list[SourceError] = []
    for pictures in _ways(address):
        try:
            return format_of(address, pictures=pictures)
        except (RefusedError, AbsentError):
            raise
        except SourceError as error:
            troubles.append(error)
    raise troubles[0]


class _Connector:
    """Connects to one stream, again and again, but never twice at once.

    Some cameras send audio only together with video.  If a camera answers a request for audio alone without
    audio, all tracks are requested at once afterwards, and the way that worked is tried first from then on.
    Other cameras start to send audio alone and soon stop: then the other way is tried first.
    """

    def __init__(self, address: Address, channel: int | None, context: SourceContext) -> None:
        self._name = context.name
        self._address = address
        self._channel = channel
        self._stop = context.stop
        self._context = context
        self._pictures = _ways(address)
        self._last: _Connection | None = None
        self._refused: tuple[float, str] | None = None
        self._soon_lost = 0
        self._log = TroubleLog(log)

    @contextmanager
    def __call__(self) -> Iterator[OpenDevice]:
        if self._last is not None and not self._last.gone:
            raise SourceError(f"{self._address.shown}: the previous connection is still being closed")
        if self._refused is not None and time.monotonic() - self._refused[0] < _REFUSED_SECONDS:
            raise SourceError(self._refused[1], OfflineReason.LOGIN)
        connection = self._open()
        opened_at = time.monotonic()
        try:
            yield connection
        except SourceError:
            self._count_loss(time.monotonic() - opened_at)
            raise
        finally:
            connection.close()

    def _count_loss(self, seconds: float) -> None:
        """Count short connections; after several, the other way is tried first."""
        self._soon_lost = self._soon_lost + 1 if seconds < _SOON_SECONDS else 0
        if self._soon_lost >= _MOST_SOON_LOST and len(self._pictures) > 1:
            self._soon_lost = 0
            self._pictures = self._pictures[::-1]
            tracks = "all tracks" if self._pictures[0] else "audio alone"
            self._log.warning(
                "source %s: lost soon after connecting, %d times in a row; from now on requesting %s first",
                self._name,
                _MOST_SOON_LOST,
                tracks,
            )

    def _open(self) -> _Connection:
        """Connect in the way that worked last; without audio, in the other way."""
        troubles: list[SourceError] = []
        for pictures in self._pictures:
            connection = self._last = _Connection(
                self._context, self._address, self._channel, pictures=pictures
            )
            try:
                connection.wait_until_open(self._stop)
            except SourceError as error:
                connection.close()
                troubles.append(error)
                if isinstance(error, RefusedError | AbsentError) or not connection.gone:
                    break
            else:
                self._remember(pictures)
                return connection
        if isinstance(troubles[-1], RefusedError) or self._is_forbidden_to_us(troubles):
            self._refused = time.monotonic(), str(troubles[-1])
        raise troubles[-1] if isinstance(troubles[-1], RefusedError | AbsentError) else troubles[0]

    def _is_forbidden_to_us(self, troubles: list[SourceError]) -> bool:
        """Return whether the user is refused, and not only the requested tracks."""
        both = len(troubles) > 1 and all(isinstance(each, ForbiddenError) for each in troubles)
        return both and self._address.login is not None

    def _remember(self, pictures: bool) -> None:  # noqa: FBT001
        if pictures != self._pictures[0] and not self._stop.is_set():
            how = "only together with video, which is dropped" if pictures else "without video again"
            self._log.warning("source %s: this camera sends audio %s", self._name, how)
            self._pictures = self._pictures[::-1]


def _ways(address: Address) -> tuple[bool, ...]:
    """Return whether to request video, in the order of the attempts."""
    if not address.scheme.startswith("rtsp"):
        return (False,)
    return {"auto": (False, True), "always": (True,), "never": (False,)}[address.pictures]


class _Connection:
    """One connection: its thread fills a queue of `_QUEUE_SECONDS`, `read` empties it.

    If the queue is full, a new block is dropped, and counted in the next one that fits.
    """

    def __init__(
        self, context: SourceContext, address: Address, channel: int | None, *, pictures: bool
    ) -> None:
        self._address = address
        self._context = context
        self._channel = channel
        self._pictures = pictures
        self._queue: queue.Queue[CapturedAudio] = queue.Queue(round(_QUEUE_SECONDS / context.lengths.seconds))
        self._opened_at = time.monotonic()
        self._edge: LiveEdge | None = None
        self._clock: CaptureClock | None = None
        self._gap = False
        self._dropped = 0
        self._open = threading.Event()
        self._ended = threading.Event()
        self._gone = threading.Event()
        self._reader = ThreadGroup(self._ended)
        self._reader.start(f"read {context.name}", self._run)

    @property
    def gone(self) -> bool:
        """The connection is closed."""
        return self._gone.is_set()

    def wait_until_open(self, stop: threading.Event) -> None:
        """Wait for the first audio, or for ``stop``; `SourceError` if there is no audio."""
        while not self._open.wait(_LOOK_AT_STOP_SECONDS) and not stop.is_set():
            self._raise_failure()
            if time.monotonic() - self._opened_at > 2 * OPEN_SECONDS:
                raise SourceError(
                    f"{self._address.shown}: no audio has arrived for {2 * OPEN_SECONDS:g} s",
                    OfflineReason.NO_DATA,
                )

    def read(self, seconds: float) -> CapturedAudio | None:
        """Return the next audio; see `monitor.audio.sources.reconnect.OpenDevice`."""
        try:
            return self._queue.get(timeout=seconds)
        except queue.Empty:
            self._raise_failure()
            return None

    def close(self) -> None:
        """Close the connection, which may take libav as long as a read."""
        self._ended.set()
        self._gone.wait(_CLOSE_SECONDS)

    def _raise_failure(self) -> None:
        if self._gone.is_set():
            self._reader.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            lengths = self._context.lengths
            sound = sound_of(self._address, self._channel, lengths, self._ended, pictures=self._pictures)
            with closing(sound):
                for audio in sound:
                    self._enqueue(audio)
                    if self._ended.is_set():
                        return
        finally:
            self._gone.set()

    def _enqueue(self, audio: CapturedAudio) -> None:
        rate, gap = audio.rate, audio.gap or self._gap
        if self._edge is None or self._clock is None:
            self._edge = LiveEdge(rate, self._opened_at)
            self._clock = CaptureClock(rate, drift=DRIFT, step_seconds=_STEP_SECONDS)
        elif rate != self._edge.rate:
            self._edge.change(rate)
            self._clock = CaptureClock(rate, drift=DRIFT, step_seconds=_STEP_SECONDS)
            gap = True
        wait = self._edge.delay_of(len(audio.samples), time.monotonic())
        if wait is None or self._ended.wait(wait):
            self._gap = True
            return
        now, unix_now = time.monotonic(), time.time()
        late, lost = self._clock.observe(audio.lost + len(audio.samples), now, overflow=False)
        if lost > _BEHIND_SECONDS * rate:
            raise SourceError(
                f"{self._address.shown}: has fallen {lost / rate:.0f} s behind", OfflineReason.LATE
            )
        audio = replace(
            audio,
            ended_at=self._clock.ended_at(now, unix_now),
            gap=gap or late,
            lost=audio.lost + lost + self._dropped,
            overflows=int(self._dropped > 0),
        )
        try:
            self._queue.put_nowait(audio)
        except queue.Full:
            self._gap, self._dropped = True, audio.lost + len(audio.samples)
        else:
            self._gap, self._dropped = False, 0
            self._open.set()
