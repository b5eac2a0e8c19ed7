"""PortAudio streams: from the callback through a queue to the sources that share a device."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.audio.captured_audio import CapturedAudio
from monitor.audio.downmix import Downmixer
from monitor.audio.sources.blocks import BlockLengths
from monitor.audio.sources.capture_clock import CaptureClock
from monitor.audio.sources.devices import Device
from monitor.audio.sources.reconnect import WrongRateError
from monitor.audio.sources.sample_rate_check import SampleRateCheck
from monitor.system.boundary import boundary
from monitor.types import OfflineReason, SourceError

_PERIOD_SECONDS = 0.05
"""Audio of one call of PortAudio."""

_QUEUE_SECONDS = 5.0
_LATENCY_SECONDS = 0.2
"""Requested from the driver: it buffers this much audio while this process gets no processor time."""


class DeviceStream:
    """Open device, shared by any number of sources; ``rate`` is in Hz, ``now`` gives monotonic seconds."""

    def __init__(
        self,
        portaudio: ModuleType,
        device: Device,
        *,
        channels: int,
        rate: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate = rate
        self.channels = channels
        self.name = device.name
        self.readers: tuple[ChannelReader, ...] = ()
        """Replaced as a whole, because PortAudio's thread may iterate over it at any moment."""
        self.trouble: SourceError | None = None
        """Why it must be closed; its sources then open it again."""
        self.sounded_at = now()
        """Monotonic seconds when any channel last had a sample other than zero."""
        self._error = portaudio.PortAudioError
        self._now = now
        self._started = False
        self._stream = portaudio.InputStream(
            device=device.index,
            channels=channels,
            samplerate=rate,
            blocksize=round(rate * _PERIOD_SECONDS),
            latency=_LATENCY_SECONDS,
            dtype="float32",
            callback=self._captured,
        )

    def start(self) -> None:
        """Start to capture."""
        with boundary(SourceError, f"{self.name!r}"):
            try:
                self._stream.start()
            except self._error as error:
                raise SourceError(f"{self.name!r} does not start: {in_one_line(error)}") from error
        self._started = True

    def check(self) -> None:
        """Raise `SourceError` if it no longer delivers audio to all of its sources."""
        if self.trouble is not None:
            raise type(self.trouble)(str(self.trouble), self.trouble.reason)
        if self._started and not self._is_active():
            raise SourceError(f"{self.name!r} has disappeared", OfflineReason.LOST)

    def close(self) -> None:
        """Close the device; if the driver hangs, this never returns."""
        self._stream.abort()
        self._stream.close()

    def _is_active(self) -> bool:
        try:
            return bool(self._stream.active)
        except self._error:
            return False

    def _captured(self, frames: NDArray[np.float32], _count: int, _time: Any, flags: Any) -> None:
        """Copy the audio into the queues; PortAudio's thread calls this, so nothing here may wait."""
        now, unix_now, frames = self._now(), time.time(), frames.copy()
        if frames.any():
            self.sounded_at = now
        for reader in self.readers:
            reader.receive(frames, now, unix_now, overflow=bool(flags.input_overflow))


@dataclass(frozen=True, slots=True, eq=False)
class _Period:
    """What PortAudio delivered in one call."""

    frames: NDArray[np.float32]
    """Shape (n, channels); a copy that is never written again."""
    now: float
    unix_now: float
    """The moment of the call, on the monotonic clock and on the system's."""
    dropped: int
    """Samples that did not fit into the queue before it."""
    overflow: bool
    """PortAudio lost samples before it."""


class _Block:
    """Periods without a gap between them."""

    def __init__(self) -> None:
        self.frames: list[NDArray[np.float32]] = []
        self.ended_at = 0.0
        self.gap = False
        self.lost = self.overflows = 0

    def add(self, period: _Period, *, gap: bool, lost: int) -> None:
        """Add a period; ``lost`` samples, beside those dropped, were found to be missing."""
        self.frames.append(period.frames)
        self.gap = self.gap or gap
        self.lost += period.dropped + lost
        self.overflows += period.overflow + (period.dropped > 0)


class ChannelReader:
    """Source of an open device: PortAudio's thread fills a queue of `_QUEUE_SECONDS`, `read` empties it.

    `read` wakes up when a whole block is there, and joins what PortAudio delivered in shorter periods.  If
    the queue is full, a new period is dropped, and counted in the next one that fits.  ``channel`` counts
    from 1; None is the mean of all.
    """

    def __init__(self, stream: DeviceStream, channel: int | None, lengths: BlockLengths) -> None:
        self.stream = stream
        self._lengths = lengths
        self._mixer = Downmixer(f"microphone {stream.name!r}", channel)
        self._clock = CaptureClock(stream.rate)
        self._rate_check = SampleRateCheck(stream.rate)
        self._queue: queue.Queue[_Period] = queue.Queue(round(_QUEUE_SECONDS / _PERIOD_SECONDS))
        self._received = 0
        """Samples put into the queue (writer: PortAudio's thread)."""
        self._wanted = lengths.samples(stream.rate, first=True)
        """The next block ends when so many have been received."""
        self._read = 0
        """Samples taken from the queue."""
        self._whole = threading.Event()
        """A block is there."""
        self._blocks: deque[CapturedAudio] = deque()
        self._dropped = 0
        self._overflow = False
        stream.readers = (*stream.readers, self)

    def read(self, seconds: float) -> CapturedAudio | None:
        """Return the next audio; see `monitor.audio.sources.reconnect.OpenDevice`."""
        if self.stream.trouble is not None:
            self.stream.check()
        if not self._blocks:
            whole = self._whole.wait(seconds)
            self._blocks.extend(self._joined(whole=whole))
            self._whole.clear()
            if self._received >= self._wanted:  # since then
                self._whole.set()
        if not self._blocks:
            self.stream.check()
            return None
        return self._blocks.popleft()

    def _joined(self, *, whole: bool) -> Iterator[CapturedAudio]:
        """Yield the audio in the queue in blocks that end where they should, or at a gap.

        With ``whole`` the beginning of a further block stays in the queue.
        """
        rate, block = self.stream.rate, _Block()
        # Nobody else empties the queue.
        while not self._queue.empty() and (self._received >= self._wanted or not whole):
            period = self._queue.get_nowait()
            count = period.dropped + len(period.frames)
            self._rate_check.observe(count, period.now, lost=period.overflow)
            late, lost = self._clock.observe(count, period.now, overflow=period.overflow)
            if gap := late or period.dropped > 0:
                yield from self._mixed(block)
                block, self._wanted = _Block(), self._read + self._lengths.samples(rate, first=True)
            block.add(period, gap=gap, lost=lost)
            block.ended_at = self._clock.ended_at(period.now, period.unix_now)
            self._read += len(period.frames)
            if self._read >= self._wanted:
                yield from self._mixed(block)
                block = _Block()
                self._wanted += self._lengths.samples(rate, first=False)
        yield from self._mixed(block)

    def _mixed(self, block: _Block) -> Iterator[CapturedAudio]:
        if not block.frames:
            return
        rate = self.stream.rate
        if (delivered := self._rate_check.wrong_rate) is not None:
            raise WrongRateError(
                f"{self.stream.name!r} delivers {delivered} samples a second instead of {rate}: "
                "set the source's `rate` to one that the device supports"
            )
        yield CapturedAudio(
            self._mixer.push(np.concatenate(block.frames), rate),
            rate,
            ended_at=block.ended_at,
            gap=block.gap,
            lost=block.lost,
            overflows=block.overflows,
            rate_confirmed=self._rate_check.confirmed,
        )

    def receive(self, frames: NDArray[np.float32], now: float, unix_now: float, *, overflow: bool) -> None:
        """Queue captured audio, shape (n, channels); PortAudio's thread calls this.

        ``frames`` is a copy that is never written again.  ``now`` and ``unix_now`` are this moment on the
        monotonic clock and on the system's.
        """
        self._overflow = self._overflow or overflow
        try:
            self._queue.put_nowait(_Period(frames, now, unix_now, self._dropped, self._overflow))
        except queue.Full:
            self._dropped += len(frames)
        else:
            self._dropped, self._overflow = 0, False
            self._received += len(frames)
        if self._received >= self._wanted:
            self._whole.set()

    def leave(self) -> None:
        """Receive no more audio."""
        self.stream.readers = tuple(each for each in self.stream.readers if each is not self)


def in_one_line(error: Exception) -> str:
    """Return an error of PortAudio in one line."""
    return " ".join(str(error).split())
