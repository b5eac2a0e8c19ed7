"""PCM source: raw samples from standard input or any other pipe."""

from __future__ import annotations

import io
import logging
import math
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from monitor.audio.digital_silence import DigitalSilence
from monitor.audio.downmix import Downmixer
from monitor.audio.sources.blocks import BlockMaker
from monitor.audio.sources.source_context import SourceContext
from monitor.config import SourceConfig
from monitor.types import AudioBlock, NotAudioError, OfflineReason, SourceError

log = logging.getLogger(__name__)

Format = Literal["s16le", "s24le", "s32le", "f32le", "u8"]

WIDTH: dict[Format, int] = {"s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "u8": 1}
"""Bytes of one sample."""

NOTHING_SECONDS = 5.0
"""A live stream without a sample for this long is offline."""

_NOTHING = f"nothing has arrived through the pipe for {NOTHING_SECONDS:g} s"
_POLL_SECONDS = 0.1
"""How long a read may wait before ``stop`` is checked."""
_GATHER_SECONDS = 1.0
"""Longest time to collect a block."""

_AT_ONCE_SECONDS = 0.5
_STORE_SECONDS = 5.0
_DRIFT = 2e-3
"""Relative drift allowed for the clock of the writer."""

_FASTER = (
    "source %s: samples come faster than real time, so they are a recording; it is replayed in real time, or "
    "with --fast as fast as the model allows"
)

_PULL = 3e-4
"""How fast the time of a live pipe is pulled back to the clock; sound cards differ by 1e-4 at most."""


def open_pcm(
    config: SourceConfig,
    context: SourceContext,
    stream: BinaryIO | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[AudioBlock]:
    """Yield the blocks of raw interleaved samples until the stream ends.

    The end of the stream, or of its writer, is a regular end.  If it is within a sample, its bytes are logged
    and count as one lost sample.

    At the pace "realtime" the samples are captured as they arrive.  Without any for `NOTHING_SECONDS`, or
    with only exact zeros for `SILENCE_SECONDS`, the source is offline.  Samples after an interruption follow
    a gap, and samples that come faster than real time are held back.  At the pace "fast" the writer may be
    slow or fast.

    ``stream`` is standard input by default.  If it has a descriptor, that is read directly, and ``stop`` is
    honoured within 0.2 s.

    Raises
    ------
    SourceError
        If there is no such channel, or the stream cannot be read.
    NotAudioError
        If the stream ends before its first sample.
    """
    name, status, stop = context.name, context.status, context.stop
    channels, rate, live = config.channels, config.rate, config.pace == "realtime"
    assert rate is not None  # noqa: S101 - validated with the configuration
    if config.channel is not None and config.channel > channels:
        raise SourceError(
            f"source {name}: the stream has {channels} channels, so no channel {config.channel}"
        )
    width = WIDTH[config.format] * channels
    maker, clock = BlockMaker(name, context.rate), _ArrivalClock(rate)
    yield from maker.begin(rate, gap=False)
    count, rest, last, idle = 0, b"", now(), False
    silence, pace = DigitalSilence(status), _Pace(name, rate)
    mixer = Downmixer(f"source {name}", config.channel)
    sizes = (context.lengths.samples(rate, first=first) * width for first in chain((True,), repeat(False)))
    for piece in _pieces(name, stream or _stdin(name), sizes, stop):
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
        count += whole
        samples = mixer.push(to_float(data[: whole * width], config.format).reshape(-1, channels), rate)
        if live:
            if stop.wait(pace.wait(count, last)):
                break
            silence.observe(samples, rate)
        yield from maker.push(samples, clock.stamp(count, time.time()), gap=idle)
        idle = False
    yield from maker.finish()
    if rest and not stop.is_set():
        log.warning("source %s: the last %d bytes are not a whole sample", name, len(rest))
        status.lost += 1
    if not count and not stop.is_set():
        raise NotAudioError(f"source {name}: the stream ended before its first sample")


def _stdin(name: str) -> BinaryIO:
    if sys.stdin is None:
        raise SourceError(f"source {name}: standard input is closed")
    return sys.stdin.buffer


def to_float(data: bytes, format: Format) -> NDArray[np.float32]:  # noqa: A002
    """Convert raw samples to fractions of full scale, shape (n,); floats stay as they are.

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
    """Estimates when samples that came through a pipe were captured.

    A live pipe cannot be ahead of the clock: its samples are captured as they arrive.  A recording that is
    piped faster than real time counts as captured from the opening on.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._offset = -math.inf
        self._count = 0

    def stamp(self, count: int, now: float) -> float:
        """Return the Unix seconds of the sample number ``count``, just read at ``now``; never falls."""
        offset = now - count / self._rate
        ahead = self._offset - offset
        if ahead < 0:
            self._offset = offset
        elif ahead < 1:
            self._offset -= min(ahead, _PULL * (count - self._count) / self._rate)
        self._count = count
        return self._offset + count / self._rate


class _Pace:
    """Holds back samples of a live pipe that come faster than they can have been captured: a recording.

    Otherwise windows would be left out, as if the model were too slow.  A writer's backlog at the start, up
    to `_STORE_SECONDS`, passes at twice the real-time rate, so that it is caught up.
    """

    def __init__(self, name: str, rate: int) -> None:
        self._name = name
        self._rate = rate
        self._began_at: float | None = None
        self._warned = False

    def wait(self, count: int, now: float) -> float:
        """Return how many seconds the sample number ``count``, read at ``now``, has to wait."""
        if self._began_at is None:
            self._began_at = now
        seconds, elapsed = count / self._rate, (now - self._began_at) * (1 + _DRIFT)
        ahead = seconds - _STORE_SECONDS - elapsed
        if ahead > 0 and elapsed > _STORE_SECONDS and not self._warned:
            log.warning(_FASTER, self._name)
            self._warned = True
        return max(0.0, ahead, (seconds - _AT_ONCE_SECONDS) / 2 - elapsed)


def _pieces(name: str, stream: BinaryIO, sizes: Iterator[int], stop: threading.Event) -> Iterator[bytes]:
    """Yield pieces of up to these many bytes; less, or none, if no more arrive for a moment."""
    read = _reader(stream)
    while not stop.is_set():
        size, held, began = next(sizes), bytearray(), time.monotonic()
        # A writer that sends single bytes must not keep us from checking ``stop``.
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
    """Return a function that reads at most this many bytes, None if nothing arrives for a moment."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:  # not a real file, so it does not block either
        return stream.read
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)

    def read(size: int) -> bytes | None:
        return os.read(descriptor, size) if poll.poll(_POLL_SECONDS * 1000) else None

    return read
