"""Streams of cameras and servers: RTSP and HTTP, at the live edge, connected again whenever they are lost.

libav blocks while it connects and reads, and can be told to give up only beforehand.  So each
connection is read by a thread of its own, which fills a queue; whoever listens waits for neither.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.capture_clock import CaptureClock
from monitor.audio.sources.ffmpeg.connection import (
    OPEN_SECONDS,
    AbsentError,
    ForbiddenError,
    RefusedError,
    sound_of,
)
from monitor.audio.sources.ffmpeg.decoder import Piece, pieces
from monitor.audio.sources.ffmpeg.live_edge import DRIFT, LiveEdge
from monitor.audio.sources.reconnect import OpenDevice, Take, recovering
from monitor.config import Address
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.types import AudioBlock, OfflineReason, SourceError

log = logging.getLogger(__name__)

_BLOCK_SECONDS = 0.1
_QUEUE_SECONDS = 5.0

_STEP_SECONDS = 1.0
"""Networks hold up more, and for longer, than sound cards do."""

_BEHIND_SECONDS = 5.0
"""A stream that has fallen so far behind the clock is connected again: servers start at the live edge."""

_REFUSED_SECONDS = 300.0
"""Cameras lock out who often comes with a wrong password."""

_REOPEN_SECONDS = 300.0
"""Of exact zeros, until it is connected again: encoders make them of what is quiet, and it costs a second."""

_SOON_SECONDS = 60.0
_MOST_SOON_LOST = 2
"""Times in a row that a connection is lost so soon until the other way is tried: a network fails as well."""

_LOOK_AT_STOP_SECONDS = 0.1
_CLOSE_SECONDS = 1.0


def stream(
    name: str,
    address: Address,
    *,
    channel: int | None,
    rate: int,
    status: SourceStatus,
    stop: threading.Event,
    required: bool = False,
) -> Iterator[AudioBlock]:
    """Blocks of the sound of a stream, connected again whenever it is lost or ends, until ``stop``.

    Parameters
    ----------
    name : str
        Of the source.
    address : Address
        Where it is.
    channel : int or None
        From 1; None is the mean of all channels.
    rate : int
        Hz, of the blocks.
    status, stop, required
        As for `monitor.audio.sources.reconnect.recovering`.

    Raises
    ------
    SourceError
        Only if ``required``.
    """
    return recovering(
        name,
        _Connector(name, address, channel, stop),
        rate=rate,
        status=status,
        stop=stop,
        required=required,
        reopen_seconds=_REOPEN_SECONDS,
    )


class _Connector:
    """Connects to one stream, again and again, but never twice at once.

    Some cameras give sound only to those who take the pictures, too.  If one answers, and gives no sound to
    who asks for sound alone, all tracks are asked for at once after it; what worked is tried first from then
    on.  Others begin to give it and soon stop: then the other way is tried first.
    """

    def __init__(self, name: str, address: Address, channel: int | None, stop: threading.Event) -> None:
        self._name = name
        self._address = address
        self._channel = channel
        self._stop = stop
        self._pictures = _ways(address)
        self._last: _Connection | None = None
        self._refused: tuple[float, str] | None = None
        self._soon_lost = 0
        self._log = TroubleLog(log)

    @contextmanager
    def __call__(self) -> Iterator[OpenDevice]:
        if self._last is not None and not self._last.gone:
            raise SourceError(f"{self._address.shown}: the last connection is still being closed")
        if self._refused is not None and time.monotonic() - self._refused[0] < _REFUSED_SECONDS:
            raise SourceError(self._refused[1], OfflineReason.LOGIN)
        connection = self._open()
        opened_at = time.monotonic()
        try:
            yield connection
        except SourceError:
            self._note_loss(time.monotonic() - opened_at)
            raise
        finally:
            connection.close()

    def _note_loss(self, seconds: float) -> None:
        """Note for how long a connection gave sound; ask in the other way first after several short ones."""
        self._soon_lost = self._soon_lost + 1 if seconds < _SOON_SECONDS else 0
        if self._soon_lost >= _MOST_SOON_LOST and len(self._pictures) > 1:
            self._soon_lost = 0
            self._pictures = self._pictures[::-1]
            what = "all its tracks are" if self._pictures[0] else "sound alone is"
            self._log.warning(
                "source %s: was lost soon, %d times in a row; %s asked for first from now on",
                self._name,
                _MOST_SOON_LOST,
                what,
            )

    def _open(self) -> _Connection:
        """Connect in the way that worked last; if that gives no sound, in the other one."""
        troubles: list[SourceError] = []
        for pictures in self._pictures:
            connection = self._last = _Connection(self._name, self._address, self._channel, pictures=pictures)
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
        """Tell whether it is the user who is refused, and not only what was asked for."""
        both = len(troubles) > 1 and all(isinstance(each, ForbiddenError) for each in troubles)
        return both and self._address.login is not None

    def _remember(self, pictures: bool) -> None:  # noqa: FBT001
        if pictures != self._pictures[0] and not self._stop.is_set():
            what = "only with its pictures, which are dropped" if pictures else "without its pictures again"
            self._log.warning("source %s: this camera gives sound %s", self._name, what)
            self._pictures = self._pictures[::-1]


def _ways(address: Address) -> tuple[bool, ...]:
    """Whether to ask for pictures, in the order in which it is tried."""
    if not address.scheme.startswith("rtsp"):
        return (False,)
    return {"auto": (False, True), "always": (True,), "never": (False,)}[address.pictures]


class _Connection:
    """One connection: its thread fills a queue of `_QUEUE_SECONDS`, `read` empties it.

    When the queue is full a new block is dropped, and the next that fits says how much was.
    """

    def __init__(self, name: str, address: Address, channel: int | None, *, pictures: bool) -> None:
        self.rate = 1
        self._address = address
        self._channel = channel
        self._pictures = pictures
        self._takes: queue.Queue[Take] = queue.Queue(round(_QUEUE_SECONDS / _BLOCK_SECONDS))
        self._opened_at = time.monotonic()
        self._edge: LiveEdge | None = None
        self._clock: CaptureClock | None = None
        self._gap = False
        self._dropped = 0
        self._open = threading.Event()
        self._ended = threading.Event()
        self._gone = threading.Event()
        self._reader = ThreadGroup(self._ended)
        self._reader.start(f"read {name}", self._run)

    @property
    def gone(self) -> bool:
        """Whether the connection is closed."""
        return self._gone.is_set()

    def wait_until_open(self, stop: threading.Event) -> None:
        """Return when the first audio is here, or ``stop`` is set; `SourceError` if it does not come."""
        while not self._open.wait(_LOOK_AT_STOP_SECONDS) and not stop.is_set():
            self._raise_what_ended_it()
            if time.monotonic() - self._opened_at > 2 * OPEN_SECONDS:
                raise SourceError(
                    f"{self._address.shown}: no sound has come for {2 * OPEN_SECONDS:g} s",
                    OfflineReason.NO_DATA,
                )

    def read(self, seconds: float) -> Take | None:
        """Return what came next; None if nothing does within ``seconds``; `SourceError` if it is lost."""
        try:
            take = self._takes.get(timeout=seconds)
        except queue.Empty:
            self._raise_what_ended_it()
            return None
        return take

    def close(self) -> None:
        """Have the connection closed, which may take libav as long as a read may take."""
        self._ended.set()
        self._gone.wait(_CLOSE_SECONDS)

    def _raise_what_ended_it(self) -> None:
        if self._gone.is_set():
            self._reader.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            with closing(sound_of(self._address, self._channel, pictures=self._pictures)) as sound:
                for piece in pieces(sound, _BLOCK_SECONDS):
                    self._hand_over(piece)
                    if self._ended.is_set():
                        return
        finally:
            self._gone.set()

    def _hand_over(self, piece: Piece) -> None:
        """Put what is live into the queue."""
        rate, gap = piece.rate, piece.gap or self._gap
        if self._edge is None or self._clock is None:
            self.rate = rate
            self._edge = LiveEdge(rate, self._opened_at)
            self._clock = CaptureClock(rate, drift=DRIFT, step_seconds=_STEP_SECONDS)
        elif rate != self._edge.rate:
            self._edge.change(rate)
            self._clock = CaptureClock(rate, drift=DRIFT, step_seconds=_STEP_SECONDS)
            gap = True
        wait = self._edge.delay_of(len(piece.samples), time.monotonic())
        if wait is None or self._ended.wait(wait):
            self._gap = True
            return
        now, unix_now = time.monotonic(), time.time()
        late, lost = self._clock.observe(piece.lost + len(piece.samples), now, overflow=False)
        if lost > _BEHIND_SECONDS * rate:
            raise SourceError(
                f"{self._address.shown}: has fallen {lost / rate:.0f} s behind", OfflineReason.LATE
            )
        take = Take(
            piece.samples,
            ended_at=self._clock.ended_at(now, unix_now),
            gap=gap or late,
            lost=piece.lost + lost + self._dropped,
            overflows=self._dropped > 0,
            rate=rate,
        )
        try:
            self._takes.put_nowait(take)
        except queue.Full:
            self._gap, self._dropped = True, take.lost + len(take.samples)
        else:
            self._gap, self._dropped = False, 0
            self._open.set()
