"""PortAudio streams: from the callback through a queue to the sources that share a device."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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
        self._queue: queue.Queue[tuple[float, CapturedAudio]] = queue.Queue(
            round(_QUEUE_SECONDS / _PERIOD_SECONDS)
        )
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
            self._whole.wait(seconds)
            self._whole.clear()
            self._blocks.extend(self._joined())
        if not self._blocks:
            self.stream.check()
            return None
        return self._blocks.popleft()

    def _joined(self) -> Iterator[CapturedAudio]:
        """Yield the audio in the queue, joined to blocks that end where they should, or at a gap."""
        periods: list[CapturedAudio] = []
        while not self._queue.empty():  # nobody else empties it
            period = self._observed(*self._queue.get_nowait())
            if period.gap:
                if periods:
                    yield self._block(periods)
                periods, self._wanted = [], self._read + self._lengths.samples(period.rate, first=True)
            periods.append(period)
            self._read += len(period.samples)
            if self._read >= self._wanted:
                yield self._block(periods)
                periods = []
                self._wanted += self._lengths.samples(period.rate, first=False)
        if periods:
            yield self._block(periods)

    def _block(self, periods: Sequence[CapturedAudio]) -> CapturedAudio:
        frames = np.concatenate([period.samples for period in periods])
        return replace(
            periods[-1],
            samples=self._mixer.push(frames, self.stream.rate),
            gap=periods[0].gap,
            lost=sum(period.lost for period in periods),
            overflows=sum(period.overflows for period in periods),
        )

    def _observed(self, now: float, audio: CapturedAudio) -> CapturedAudio:
        """Compare a period with the clock; return it with what is known of its time and of losses."""
        count, overflow, rate = audio.lost + len(audio.samples), audio.overflows > 0, self.stream.rate
        self._rate_check.observe(count, now, lost=overflow)
        if (delivered := self._rate_check.wrong_rate) is not None:
            raise WrongRateError(
                f"{self.stream.name!r} delivers {delivered} samples a second instead of {rate}: "
                "set the source's `rate` to one that the device supports"
            )
        gap, lost = self._clock.observe(count, now, overflow=overflow)
        return replace(
            audio,
            ended_at=self._clock.ended_at(now, audio.ended_at),
            gap=gap or audio.gap,
            lost=audio.lost + lost,
            overflows=audio.overflows + audio.gap,
            rate_confirmed=self._rate_check.confirmed,
        )

    def receive(self, frames: NDArray[np.float32], now: float, unix_now: float, *, overflow: bool) -> None:
        """Queue captured audio, shape (n, channels); PortAudio's thread calls this.

        ``frames`` is a copy that is never written again.  ``now`` and ``unix_now`` are this moment on the
        monotonic clock and on the system's.
        """
        self._overflow = self._overflow or overflow
        audio = CapturedAudio(
            frames,
            self.stream.rate,
            ended_at=unix_now,
            gap=self._dropped > 0,
            lost=self._dropped,
            overflows=int(self._overflow),
        )
        try:
            self._queue.put_nowait((now, audio))
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
