"""Decoder: from the packets of a container to mono audio at its own rate, with missing audio marked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from monitor.audio.captured_audio import CapturedAudio
from monitor.audio.downmix import Downmixer
from monitor.audio.sources.ffmpeg.container import Packet, implausible
from monitor.audio.turns import turn
from monitor.system.boundary import boundary
from monitor.system.trouble_log import TroubleLog
from monitor.types import SourceError

log = logging.getLogger(__name__)
_troubles = TroubleLog(log, burst=20)

_UNKNOWN_SECONDS = 0.03
"""Assumed length of a damaged packet without a duration."""

_LONGEST_PACKET_SECONDS = 60.0
"""A longer duration of a damaged packet is ignored."""

_KINDS = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
"""FFmpeg's sample formats; PyAV's own table lacks s64."""


def frames(
    packets: Iterable[Packet],
    name: str,
    channel: int | None,
    missing: Callable[[av.AudioFrame], tuple[bool, float]],
) -> Iterator[CapturedAudio]:
    """Yield the audio of each decoded frame; after damaged packets, with what they held as lost.

    Packets that cannot be decoded, or claim an implausible rate or number of channels, count as damaged.
    ``channel`` counts from 1; None is the mean of all channels.  ``missing`` returns for each frame whether
    audio is missing before it, and how many seconds.

    Raises
    ------
    SourceError
        If there is no such channel in the first frame.
    """
    damage, mixer = _Damage(name), Downmixer(name, channel)
    received = False
    for packet in packets:
        try:
            with turn:
                decoded = _decoded(packet, name)
        except SourceError as error:
            damage.add(error, packet)
            continue
        for frame, samples in decoded:
            if channel is not None and channel > samples.shape[1]:
                other = SourceError(f"{name}: has {samples.shape[1]} channels, so no channel {channel}")
                if not received:
                    raise other
                damage.add(other, packet)
                continue
            gap, seconds = missing(frame)
            gap, seconds = gap or damage.seconds > 0, max(damage.seconds, seconds)
            damage.seconds = 0.0
            received = True
            with turn:
                mixed = mixer.push(samples, frame.sample_rate)
            lost = round(seconds * frame.sample_rate)
            yield CapturedAudio(mixed, frame.sample_rate, lost=lost, gap=gap)


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


def _decoded(packet: Packet, name: str) -> list[tuple[av.AudioFrame, NDArray[np.float32]]]:
    """Return the frames of a packet with samples, and the samples, shape (n, channels)."""
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
        return [(frame, _samples_of(frame, name)) for frame in decoded if frame.samples]


def _samples_of(frame: av.AudioFrame, name: str) -> NDArray[np.float32]:
    channels: int = frame.layout.nb_channels
    why = implausible(frame.sample_rate, channels)
    if why is not None or not frame.sample_rate or not channels:
        raise SourceError(f"{name}: {why or 'has no known rate or number of channels'}")
    kind = _KINDS.get(frame.format.packed.name)
    if kind is None:  # that of DSD, or of a future decoder
        raise SourceError(f"{name}: its sample format {frame.format.name} is not supported")
    if frame.format.is_planar:
        planes = [_plane(plane, kind, frame.samples) for plane in frame.planes]
        return to_float(np.stack(planes), channels)
    return to_float(_plane(frame.planes[0], kind, frame.samples * channels)[np.newaxis], channels)


def _plane(plane: av.audio.plane.AudioPlane, kind: str, count: int) -> NDArray[np.generic]:
    samples: NDArray[np.generic] = np.frombuffer(plane, kind, count)  # type: ignore[call-overload]
    return samples


def resized(
    parts: Iterable[CapturedAudio], seconds: float, first_seconds: float | None = None
) -> Iterator[CapturedAudio]:
    """Yield parts of ``seconds`` each; before a gap or a change of rate they are shorter.

    The first part, also after a gap, is of ``first_seconds``, if given.
    """
    held: list[CapturedAudio] = []
    count, next_seconds = 0, first_seconds or seconds
    for part in parts:
        if held and (part.gap or part.rate != held[0].rate):
            yield _joined(held)
            held, count, next_seconds = [], 0, first_seconds or seconds
        held.append(part)
        count += len(part.samples)
        length = max(1, round(part.rate * next_seconds))
        if count < length:
            continue
        whole, start = _joined(held), 0
        while start + length <= count:
            samples = whole.samples[start : start + length].copy()
            yield replace(whole, samples=samples) if start == 0 else CapturedAudio(samples, part.rate)
            start += length
            next_seconds = seconds
            length = max(1, round(part.rate * seconds))
        rest = whole.samples[start:]
        held, count = ([CapturedAudio(rest, part.rate)] if len(rest) else []), len(rest)
    if held:
        yield _joined(held)


def _joined(parts: list[CapturedAudio]) -> CapturedAudio:
    """Join parts; only the first may follow a gap."""
    return replace(parts[0], samples=np.concatenate([part.samples for part in parts]))


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
