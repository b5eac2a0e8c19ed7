"""PortAudio's thread -> queue -> what was captured next."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.audio.downmix import Downmixer
from monitor.audio.sources.capture_clock import CaptureClock
from monitor.audio.sources.devices import Device
from monitor.audio.sources.reconnect import Take, WrongRateError
from monitor.audio.sources.sample_rate_check import SampleRateCheck
from monitor.system.boundary import boundary
from monitor.types import OfflineReason, SourceError

_BLOCK_SECONDS = 0.05
_QUEUE_SECONDS = 5.0
_LATENCY_SECONDS = 0.2
"""Asked of the driver: it keeps the audio for so long when this process is not given the processor."""


@dataclass(frozen=True, slots=True, eq=False)
class _Captured:
    """What PortAudio's thread hands over."""

    frames: NDArray[np.float32]
    """Shape (n, channels)."""
    dropped: int
    """Samples that did not fit into the queue just before."""
    overflow: bool
    """The driver lost samples just before."""
    now: float
    """When it was handed over, on the monotonic clock."""
    unix_now: float
    """The same moment in Unix seconds."""


class DeviceStream:
    """An open device, which any number of sources listen to.

    Parameters
    ----------
    portaudio : module
        sounddevice; only `monitor.audio.sources.portaudio` imports it.
    device : Device
    channels : int
        To open.
    rate : int
        Hz, of the device.
    now : callable
        Monotonic seconds.
    """

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
        self.ears: tuple[ChannelReader, ...] = ()
        """Replaced as a whole, for PortAudio's thread goes through them at any moment."""
        self.trouble: SourceError | None = None
        """Why it is to be closed, and opened again by who wants it."""
        self.sounded_at = now()
        """Monotonic seconds when any channel last had anything but exact zeros."""
        self._error = portaudio.PortAudioError
        self._now = now
        self._started = False
        self._stream = portaudio.InputStream(
            device=device.index,
            channels=channels,
            samplerate=rate,
            blocksize=round(rate * _BLOCK_SECONDS),
            latency=_LATENCY_SECONDS,
            dtype="float32",
            callback=self._captured,
        )

    def start(self) -> None:
        """Begin to capture."""
        with boundary(SourceError, f"{self.name!r}"):
            try:
                self._stream.start()
            except self._error as error:
                raise SourceError(f"{self.name!r} does not start: {in_one_line(error)}") from error
        self._started = True

    def check(self) -> None:
        """`SourceError` if it delivers no more, to one of its sources or to all."""
        if self.trouble is not None:
            raise type(self.trouble)(str(self.trouble), self.trouble.reason)
        if self._started and not self._is_active():
            raise SourceError(f"{self.name!r} has gone away", OfflineReason.LOST)

    def close(self) -> None:
        """Close the device; a driver that hangs may keep the caller for ever."""
        self._stream.abort()
        self._stream.close()

    def _is_active(self) -> bool:
        try:
            return bool(self._stream.active)
        except self._error:
            return False

    def _captured(self, frames: NDArray[np.float32], _count: int, _time: Any, flags: Any) -> None:
        """Copy and hand over: this runs in PortAudio's thread, and nothing here may wait."""
        now, unix_now, frames = self._now(), time.time(), frames.copy()
        if frames.any():
            self.sounded_at = now
        for ear in self.ears:
            ear.hear(frames, now, unix_now, overflow=bool(flags.input_overflow))


class ChannelReader:
    """One source of an open device: PortAudio's thread fills a queue of `_QUEUE_SECONDS`, `read` empties it.

    When the queue is full a new block is dropped, and the next that fits says how much was.

    Parameters
    ----------
    stream : DeviceStream
        What it listens to, from now on.
    channel : int or None
        To listen to, from 1; None is the mean of all.
    """

    def __init__(self, stream: DeviceStream, channel: int | None) -> None:
        self.rate = stream.rate
        self.stream = stream
        self._mixer = Downmixer(f"microphone {stream.name!r}", channel)
        self._clock = CaptureClock(self.rate)
        self._rate_check = SampleRateCheck(self.rate)
        self._queue: queue.Queue[_Captured] = queue.Queue(round(_QUEUE_SECONDS / _BLOCK_SECONDS))
        self._dropped = 0
        self._overflow = False
        stream.ears = (*stream.ears, self)

    def read(self, seconds: float) -> Take | None:
        """Return what came next; None if nothing does within ``seconds``; `SourceError` if it is lost.

        `WrongRateError` if its samples are more or fewer a second than it says.
        """
        if self.stream.trouble is not None:
            self.stream.check()
        try:
            captured = self._queue.get(timeout=seconds)
        except queue.Empty:
            self.stream.check()
            return None
        count = captured.dropped + len(captured.frames)
        self._rate_check.observe(count, captured.now, lost=captured.overflow)
        if (delivered := self._rate_check.wrong_rate) is not None:
            raise WrongRateError(
                f"{self.stream.name!r} delivers {delivered} samples a second where {self.rate} were "
                "agreed on: set the source's `rate` to one that the device has"
            )
        gap, lost = self._clock.observe(count, captured.now, overflow=captured.overflow)
        return Take(
            self._mixer.push(captured.frames, self.rate),
            ended_at=self._clock.ended_at(captured.now, captured.unix_now),
            gap=gap or captured.dropped > 0,
            lost=captured.dropped + lost,
            overflows=captured.overflow + (captured.dropped > 0),
            at_rate=self._rate_check.confirmed,
        )

    def hear(self, frames: NDArray[np.float32], now: float, unix_now: float, *, overflow: bool) -> None:
        """Take what was captured; called in PortAudio's thread.

        Parameters
        ----------
        frames : float32, shape (n, channels)
            Nobody writes to it any more.
        now, unix_now : float
            This moment on the monotonic clock and on the system's.
        overflow : bool
            The driver lost samples just before.
        """
        self._overflow = self._overflow or overflow
        try:
            self._queue.put_nowait(_Captured(frames, self._dropped, self._overflow, now, unix_now))
        except queue.Full:
            self._dropped += len(frames)
        else:
            self._dropped, self._overflow = 0, False

    def leave(self) -> None:
        """Hear nothing more."""
        self.stream.ears = tuple(ear for ear in self.stream.ears if ear is not self)


def in_one_line(error: Exception) -> str:
    """Return what PortAudio said, in one line."""
    return " ".join(str(error).split())
