"""Decoder: from the packets of a container to mono audio at its own rate, with missing audio marked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from monitor.audio.captured_audio import CapturedAudio
from monitor.audio.downmix import Downmixer
from monitor.audio.sources.blocks import BlockLengths
from monitor.audio.sources.ffmpeg.container import Packet, implausible
from monitor.audio.turns import turn
from monitor.system.boundary import boundary
from monitor.system.trouble_log import TroubleLog
from monitor.types import Samples, SourceError

log = logging.getLogger(__name__)
_troubles = TroubleLog(log, burst=20)

_UNKNOWN_SECONDS = 0.03
"""Assumed length of a damaged packet without a duration."""

_LONGEST_PACKET_SECONDS = 60.0
"""A longer duration of a damaged packet is ignored."""

_KINDS = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
"""FFmpeg's sample formats; PyAV's own table lacks s64."""


def blocks_of(
    packets: Iterable[Packet],
    name: str,
    channel: int | None,
    missing: Callable[[av.AudioFrame], tuple[bool, float]],
    lengths: BlockLengths,
) -> Iterator[CapturedAudio]:
    """Yield the decoded audio in blocks of ``lengths``; after damaged packets, with what they held as lost.

    Before a gap or a change of rate, and at the end, a block is shorter.  Packets that cannot be decoded, or
    claim an implausible rate or number of channels, count as damaged.  ``channel`` counts from 1; None is the
    mean of all channels.  ``missing`` returns for each frame whether audio is missing before it, and how many
    seconds.

    Raises
    ------
    SourceError
        If there is no such channel in the first frame.
    """
    joiner = _Joiner(Downmixer(name, channel), lengths)
    try:
        for piece, lost, gap in _pieces(packets, name, channel, missing):
            yield from joiner.push(piece, lost, gap=gap)
    except SourceError:
        yield from joiner.finish()
        raise
    yield from joiner.finish()


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Samples of one decoded frame, as the decoder left them."""

    planes: list[NDArray[np.generic]]
    """One of shape (n,) for each channel, or one of shape (n * channels,) for all."""
    length: int
    channels: int
    rate: int

    @property
    def layout(self) -> tuple[object, ...]:
        """What pieces must have in common to be converted together."""
        return self.rate, self.channels, len(self.planes), self.planes[0].dtype


def _pieces(
    packets: Iterable[Packet],
    name: str,
    channel: int | None,
    missing: Callable[[av.AudioFrame], tuple[bool, float]],
) -> Iterator[tuple[_Piece, int, bool]]:
    """Yield the pieces, how many samples were lost before each, and whether any were."""
    damage, received = _Damage(name), False
    for packet in packets:
        try:
            with turn:
                decoded = _decoded(packet, name)
        except SourceError as error:
            damage.add(error, packet)
            continue
        for frame, piece in decoded:
            if channel is not None and channel > piece.channels:
                other = SourceError(f"{name}: has {piece.channels} channels, so no channel {channel}")
                if not received:
                    raise other
                damage.add(other, packet)
                continue
            gap, seconds = missing(frame)
            gap, seconds = gap or damage.seconds > 0, max(damage.seconds, seconds)
            damage.seconds = 0.0
            received = True
            yield piece, round(seconds * piece.rate), gap


class _Joiner:
    """Joins the frames of a block, and converts and mixes them together.

    A frame lasts some hundredths of a second.  With a hundred streams, operations on arrays for each frame,
    and the switches between threads that they cause, took most of the time of reading [measured].
    """

    def __init__(self, mixer: Downmixer, lengths: BlockLengths) -> None:
        self._mixer = mixer
        self._lengths = lengths
        self._pieces: list[_Piece] = []
        self._mixed: list[Samples] = []
        self._rate = self._count = self._lost = 0
        self._wanted = 1
        self._gap = False

    def push(self, piece: _Piece, lost: int, *, gap: bool) -> Iterator[CapturedAudio]:
        """Return the blocks that are full; the next frame follows a gap, or a loss of some samples."""
        if gap or piece.rate != self._rate:
            yield from self.finish()
            self._begin(piece.rate, lost, gap=gap)
        elif self._pieces and piece.layout != self._pieces[-1].layout:
            self._mix()
        self._pieces.append(piece)
        self._count += piece.length
        if self._count < self._wanted:
            return
        self._mix()
        samples, start = np.concatenate(self._mixed), 0
        while start + self._wanted <= self._count:
            yield self._block(samples[start : start + self._wanted].copy())
            start += self._wanted
            self._wanted = self._lengths.samples(self._rate, first=False)
        self._mixed, self._count = [samples[start:]], self._count - start

    def finish(self) -> Iterator[CapturedAudio]:
        """Return what is left, if anything is."""
        self._mix()
        if self._count:
            yield self._block(np.concatenate(self._mixed))
        self._mixed, self._count = [], 0

    def _begin(self, rate: int, lost: int, *, gap: bool) -> None:
        self._rate, self._lost, self._gap, self._count = rate, lost, gap, 0
        self._wanted = self._lengths.samples(rate, first=True)

    def _mix(self) -> None:
        if not self._pieces:
            return
        with turn:
            first = self._pieces[0]
            planes = [
                np.concatenate(plane) for plane in zip(*(each.planes for each in self._pieces), strict=True)
            ]
            self._mixed.append(self._mixer.push(to_float(np.stack(planes), first.channels), first.rate))
        self._pieces = []

    def _block(self, samples: Samples) -> CapturedAudio:
        block = CapturedAudio(samples, self._rate, lost=self._lost, gap=self._gap)
        self._lost, self._gap = 0, False
        return block


class _Damage:
    """Packets that were left out since the last decoded frame."""

    def __init__(self, name: str) -> None:
        self.seconds = 0.0
        self._name = name
        self._logged = False

    def add(self, error: SourceError, packet: Packet) -> None:
        """Count the length of a packet, and log the first time why it is left out."""
        if not self._logged:  # a camera may send such packets for days
            why = str(error).removeprefix(f"{self._name}: ")
            _troubles.warning("%s: a part cannot be decoded and is left out: %s", self._name, why)
            self._logged = True
        self.seconds += _seconds_in(packet)


def _seconds_in(packet: Packet) -> float:
    """Return the duration of a packet, if it is plausible."""
    seconds = float((packet.duration or 0) * (packet.time_base or 0))
    return seconds if 0 < seconds <= _LONGEST_PACKET_SECONDS else _UNKNOWN_SECONDS


def _decoded(packet: Packet, name: str) -> list[tuple[av.AudioFrame, _Piece]]:
    """Return the frames of a packet that hold samples, and these samples."""
    with boundary(SourceError, name):
        try:
            decoded = packet.decode()
        except av.error.EOFError:
            # The decoder took an empty packet in the middle for the end.
            if packet.size:
                packet.stream.codec_context.flush_buffers()
            raise
        except av.error.FFmpegError as error:
            raise SourceError(f"{name}: {error.strerror}") from None
        return [(frame, _piece_of(frame, name)) for frame in decoded if frame.samples]


def _piece_of(frame: av.AudioFrame, name: str) -> _Piece:
    channels: int = frame.layout.nb_channels
    why = implausible(frame.sample_rate, channels)
    if why is not None or not frame.sample_rate or not channels:
        raise SourceError(f"{name}: {why or 'has no known rate or number of channels'}")
    kind = _KINDS.get(frame.format.packed.name)
    if kind is None:  # that of DSD, or of a future decoder
        raise SourceError(f"{name}: its sample format {frame.format.name} is not supported")
    count = frame.samples if frame.format.is_planar else frame.samples * channels
    planes = [np.frombuffer(plane, kind, count) for plane in frame.planes]  # type: ignore[call-overload]
    return _Piece(planes, frame.samples, channels, frame.sample_rate)


def to_float(samples: NDArray[np.generic], channels: int) -> NDArray[np.float32]:
    """Convert decoded samples to float32, shape (n, channels).

    They are uint8, int16, int32, int64, float32 or float64: planar, shape (channels, n), or packed, shape
    (1, n * channels).  Integers become fractions of full scale, so in [-1, 1); 24 bits fit without rounding.
    """
    planar = samples.T if samples.shape[0] == channels else samples.reshape(-1, channels)
    if planar.dtype.kind == "f":
        with np.errstate(
            over="ignore"
        ):  # a float64 beyond float32 becomes infinite, which is not plausible either
            return planar.astype(np.float32)
    bits = 8 * planar.dtype.itemsize
    offset = 128.0 if planar.dtype.kind == "u" else 0.0
    exact: NDArray[Any] = planar.astype(np.float32 if bits <= 16 else np.float64)  # noqa: PLR2004 - 24 bits fit
    scaled: NDArray[np.float32] = ((exact - offset) / 2.0 ** (bits - 1)).astype(np.float32, copy=False)
    return scaled
