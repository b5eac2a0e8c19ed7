"""Raw samples from standard input or any other pipe."""

from __future__ import annotations

import io
import logging
import math
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from monitor.audio.digital_silence import DigitalSilence
from monitor.audio.downmix import Downmixer
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.blocks import BlockMaker
from monitor.types import AudioBlock, NotAudioError, OfflineReason, SourceError

log = logging.getLogger(__name__)

Format = Literal["s16le", "s24le", "s32le", "f32le", "u8"]

WIDTH: dict[Format, int] = {"s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "u8": 1}
"""Bytes of one sample."""

NOTHING_SECONDS = 5.0
"""A live stream without a sample for so long is offline."""

_NOTHING = f"nothing has come through the pipe for {NOTHING_SECONDS:g} s"
_BLOCK_SECONDS = 0.1
_LOOK_AT_STOP_SECONDS = 0.1
_GATHER_SECONDS = 1.0
"""For a block, at most."""

_AT_ONCE_SECONDS = 0.5
_STORE_SECONDS = 5.0
_DRIFT = 2e-3
"""How much faster than the computer's the clock of whoever writes may be."""

_FASTER = (
    "source %s: samples come faster than time goes, so they are a recording, heard at the pace of time; with "
    "--fast it is heard as fast as the model goes"
)

_PULL = 3e-4
"""How fast the stamp of a live pipe is pulled back to the clock; sound cards differ by 1e-4 at most."""


def pcm(  # noqa: PLR0913 - four of them describe the raw samples
    name: str,
    stream: BinaryIO,
    *,
    input_rate: int,
    format: Format,  # noqa: A002 - the word of the configuration and of the command line
    channels: int,
    channel: int | None,
    rate: int,
    status: SourceStatus,
    stop: threading.Event,
    live: bool = False,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[AudioBlock]:
    """Read raw interleaved samples until the stream ends.

    The end of the stream, or its writer's going away, is an ordinary end.  If it comes within a
    sample, those bytes are said in the log and count as one lost sample.

    Parameters
    ----------
    name : str
        Of the source.
    stream : binary file
        If it has a descriptor, that is read directly, and ``stop`` is honoured within 0.2 s.
    input_rate, rate : int
        Hz, of the stream and of the blocks.
    format : str
        Of one sample; see `WIDTH`.
    channels : int
        Interleaved channels in the stream.
    channel : int or None
        From 1; None is the mean of all channels.
    status : SourceStatus
        Writes ``looked``, ``lost``, ``offline_at``, ``offline_reason`` and ``offline_text``.
    stop : threading.Event
        Ends the iteration.
    live : bool
        The samples are captured as they come: without any for `NOTHING_SECONDS`, or with nothing but exact
        zeros for `SILENCE_SECONDS`, the source is offline; what comes after nothing does not continue what
        was before.  More than time brings is held back.  Else the writer may take its time, or hurry.
    now : callable
        Monotonic seconds.

    Raises
    ------
    SourceError
        If there is no such channel, or the stream cannot be read.
    NotAudioError
        If the stream ends before its first sample.
    """
    if channel is not None and channel > channels:
        raise SourceError(f"source {name}: the stream has {channels} channels, so no channel {channel}")
    width = WIDTH[format] * channels
    maker, clock = BlockMaker(name, rate), _ArrivalClock(input_rate)
    yield from maker.begin(input_rate, gap=False)
    heard, rest, last, idle = 0, b"", now(), False
    silence, pace = DigitalSilence(status), _Pace(name, input_rate)
    mixer = Downmixer(f"source {name}", channel)
    for piece in _pieces(name, stream, round(input_rate * _BLOCK_SECONDS) * width, stop):
        status.looked += 1
        if not piece:
            if live and now() - last >= NOTHING_SECONDS:
                idle = True
                if status.set_offline(OfflineReason.NO_DATA, _NOTHING):
                    log.warning("source %s is offline: %s", name, _NOTHING)
            continue
        last = now()
        data = rest + piece
        whole = len(data) // width
        rest = data[whole * width :]
        heard += whole
        samples = mixer.push(to_float(data[: whole * width], format).reshape(-1, channels), input_rate)
        if live:
            if stop.wait(pace.wait(heard, last)):
                break
            silence.hear(samples, input_rate)
        yield from maker.push(samples, clock.stamp(heard, time.time()), gap=idle)
        idle = False
    yield from maker.finish()
    if rest and not stop.is_set():
        log.warning("source %s: the last %d bytes are no whole sample", name, len(rest))
        status.lost += 1
    if not heard and not stop.is_set():
        raise NotAudioError(f"source {name}: the stream ended before its first sample")


def to_float(data: bytes, format: Format) -> NDArray[np.float32]:  # noqa: A002
    """Raw samples, shape (n,), as fractions of full scale; floats are taken as they are.

    The length of ``data`` must be a multiple of the format's width.
    """
    if format == "f32le":
        return np.frombuffer(data, "<f4").astype(np.float32)
    if format == "u8":
        return ((np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128).astype(np.float32)
    if format == "s24le":
        padded = np.zeros((len(data) // 3, 4), dtype=np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, format = padded.tobytes(), "s32le"  # noqa: A001
    kind = "<i2" if format == "s16le" else "<i4"
    samples = np.frombuffer(data, kind)
    return (samples / float(-np.iinfo(samples.dtype).min)).astype(np.float32)


class _ArrivalClock:
    """When samples that came through a pipe were captured.

    A live pipe cannot be ahead of the clock: its samples were captured as they arrive.  A recording
    that is piped faster than real time is stamped as if it had been captured from the opening on.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._offset = -math.inf
        self._heard = 0

    def stamp(self, heard: int, now: float) -> float:
        """Unix seconds of the sample that is ``heard``-th (from 1), just read at ``now``; never falls."""
        offset = now - heard / self._rate
        ahead = self._offset - offset
        if ahead < 0:
            self._offset = offset
        elif ahead < 1:
            self._offset -= min(ahead, _PULL * (heard - self._heard) / self._rate)
        self._heard = heard
        return self._offset + heard / self._rate


class _Pace:
    """Hold back what comes through a live pipe faster than it can have been captured: it is a recording.

    Else windows would be left out, as if the model were too slow.  What a writer had in store
    when it began, up to `_STORE_SECONDS`, is heard at twice the pace of time, so that nothing stays late.
    """

    def __init__(self, name: str, rate: int) -> None:
        self._name = name
        self._rate = rate
        self._began_at: float | None = None
        self._said = False

    def wait(self, heard: int, now: float) -> float:
        """Return how many seconds the sample that is ``heard``-th (from 1), read at ``now``, is to wait."""
        if self._began_at is None:
            self._began_at = now
        seconds, elapsed = heard / self._rate, (now - self._began_at) * (1 + _DRIFT)
        ahead = seconds - _STORE_SECONDS - elapsed
        if ahead > 0 and elapsed > _STORE_SECONDS and not self._said:
            log.warning(_FASTER, self._name)
            self._said = True
        return max(0.0, ahead, (seconds - _AT_ONCE_SECONDS) / 2 - elapsed)


def _pieces(name: str, stream: BinaryIO, size: int, stop: threading.Event) -> Iterator[bytes]:
    """Up to ``size`` bytes at a time, less only if no more come for a moment, and then perhaps none."""
    read = _reader(stream)
    while not stop.is_set():
        held, began = bytearray(), time.monotonic()
        # A writer that gives a byte now and then is no reason to look at nothing else.
        while len(held) < size and time.monotonic() - began < _GATHER_SECONDS:
            try:
                piece = read(size - len(held))
            except OSError as error:
                raise SourceError(f"source {name}: {error.strerror or error}") from error
            if piece is None:
                break
            if not piece:
                if held:
                    yield bytes(held)
                return
            held += piece
            if stop.is_set():
                break
        yield bytes(held)


def _reader(stream: BinaryIO) -> Callable[[int], bytes | None]:
    """Read at most that many bytes; None if nothing comes for a moment, so that nobody waits for ever."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:  # no real file, so it does not wait either
        return stream.read
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)

    def read(size: int) -> bytes | None:
        return os.read(descriptor, size) if poll.poll(_LOOK_AT_STOP_SECONDS * 1000) else None

    return read
