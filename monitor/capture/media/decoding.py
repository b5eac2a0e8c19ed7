"""Packets of a container -> mono audio at its own rate, and how much of it is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from monitor.capture.mixing import Mixer
from monitor.types import Samples, SourceError

log = logging.getLogger(__name__)

_UNKNOWN_SECONDS = 0.03
"""Taken for what a damaged packet held if it does not say."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Decoded audio, and how much is missing just before it."""

    samples: Samples
    """Shape (n,), mono, in [-1, 1]."""
    rate: int
    """Hz."""
    lost: int = 0
    """Samples known to be missing."""
    gap: bool = False
    """What was before is not continued, whether or not it is known how much is missing."""


def frames(
    packets: Iterable[av.packet.Packet[av.AudioStream]],
    name: str,
    channel: int | None,
    missing: Callable[[av.AudioFrame], tuple[bool, float]],
) -> Iterator[Piece]:
    """Each decoded frame; one that follows damaged packets says how much they held.

    Parameters
    ----------
    packets : iterable
        Of one audio stream.
    name : str
        What is decoded, for messages.
    channel : int or None
        From 1; None is the mean of all channels.
    missing : callable
        Tells of each frame whether audio is missing before it, and how many seconds.

    Raises
    ------
    SourceError
        If there is no such channel.
    """
    undecoded, said, mixer = 0.0, False, Mixer(name, channel)
    for packet in packets:
        try:
            decoded = packet.decode()
        except av.error.FFmpegError as error:
            if not said:  # a camera may go on like this for days
                log.warning("%s: a part cannot be decoded and is left out: %s", name, error.strerror)
                said = True
            undecoded += float((packet.duration or 0) * packet.time_base) or _UNKNOWN_SECONDS
            continue
        for frame in decoded:
            gap, seconds = missing(frame)
            gap, seconds = gap or undecoded > 0, max(undecoded, seconds)
            undecoded = 0.0
            if frame.samples:
                samples = to_float(frame.to_ndarray(), _channels(name, frame, channel))
                samples = mixer.push(samples, frame.sample_rate)
                yield Piece(samples, frame.sample_rate, round(seconds * frame.sample_rate), gap)


def pieces(parts: Iterable[Piece], seconds: float) -> Iterator[Piece]:
    """Make pieces of ``seconds`` of any parts; before a gap or a change of rate they are shorter."""
    held: list[Piece] = []
    count = 0
    for part in parts:
        if held and (part.gap or part.rate != held[0].rate):
            yield _joined(held)
            held, count = [], 0
        held.append(part)
        count += len(part.samples)
        length = max(1, round(part.rate * seconds))
        if count < length:
            continue
        whole = _joined(held)
        for start in range(0, count - length + 1, length):
            samples = whole.samples[start : start + length].copy()
            yield replace(whole, samples=samples) if start == 0 else Piece(samples, part.rate)
        rest = whole.samples[count - count % length :]
        held, count = ([Piece(rest, part.rate)] if len(rest) else []), len(rest)
    if held:
        yield _joined(held)


def _joined(parts: list[Piece]) -> Piece:
    """One piece of parts of which only the first may follow a gap."""
    return replace(parts[0], samples=np.concatenate([part.samples for part in parts]))


def to_float(samples: NDArray[np.generic], channels: int) -> NDArray[np.float32]:
    """Convert what FFmpeg decodes to.

    Parameters
    ----------
    samples : uint8, int16, int32, int64, float32 or float64
        Planar, shape (channels, n), or packed, shape (1, n * channels).
    channels : int

    Returns
    -------
    float32, shape (n, channels)
        Integers as fractions of full scale, so in [-1, 1); 24 bits fit a float32 without rounding.
    """
    planar = samples.T if samples.shape[0] == channels else samples.reshape(-1, channels)
    if planar.dtype.kind == "f":
        with np.errstate(over="ignore"):  # a float64 beyond float32 is an infinity, which is no sound either
            return planar.astype(np.float32)
    bits = 8 * planar.dtype.itemsize
    offset = 128.0 if planar.dtype.kind == "u" else 0.0
    exact: NDArray[Any] = planar.astype(np.float32 if bits <= 16 else np.float64)  # noqa: PLR2004 - 24 bits fit
    scaled: NDArray[np.float32] = ((exact - offset) / 2.0 ** (bits - 1)).astype(np.float32, copy=False)
    return scaled


def _channels(name: str, frame: av.AudioFrame, channel: int | None) -> int:
    channels: int = frame.layout.nb_channels
    if channel is not None and channel > channels:
        raise SourceError(f"{name}: has {channels} channels, so no channel {channel}")
    return channels
