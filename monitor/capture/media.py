"""Sound files of any common format, through FFmpeg."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from monitor.capture.blocks import BlockMaker
from monitor.capture.resample import mono
from monitor.status import SourceStatus
from monitor.types import AudioBlock, NotAudioError, Samples, SourceError

log = logging.getLogger(__name__)

_BLOCK_SECONDS = 0.2

_JUMP_SECONDS = 0.03
"""A larger step between time stamps is lost audio; containers round them, to 1 ms at worst a frame."""


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Decoded audio, and how much is missing just before it."""

    samples: Samples
    rate: int
    lost: int = 0


def media(
    name: str,
    path: Path,
    *,
    rate: int,
    channel: int | None,
    pace: Literal["realtime", "fast"],
    status: SourceStatus,
    stop: threading.Event,
) -> Iterator[AudioBlock]:
    """Replay a sound file as if it were being captured now.

    Sample i is taken to be captured i / rate seconds after the opening, at either pace.  Samples
    that are not finite are passed on as they are.

    Parameters
    ----------
    name : str
        Of the source.
    path : Path
        Anything FFmpeg can decode; of several audio streams the first.
    rate : int
        Hz, of the blocks.
    channel : int or None
        From 1; None is the mean of all channels.
    pace : str
        ``realtime``: a block is given when its last sample would have been captured.
        ``fast``: as soon as it is asked for.
    status : SourceStatus
        Samples that could not be decoded are added to ``lost``, as far as time stamps tell.
    stop : threading.Event
        Ends the iteration, also while it waits.

    Raises
    ------
    SourceError
        If the file cannot be opened or read, or has no such channel.
    NotAudioError
        If it holds no audio.
    """
    opened_at, started = time.time(), time.monotonic()
    for block in _blocks(name, path, rate, channel, status):
        due = started + block.stop / rate
        if stop.wait(max(0.0, due - time.monotonic())) if pace == "realtime" else stop.is_set():
            return
        yield replace(block, ended_at=opened_at + block.stop / rate)


def decode(path: Path, rate: int, channel: int | None = None) -> Samples:
    """Read a whole sound file: exactly the samples that `media` gives.

    Parameters
    ----------
    path, rate, channel
        As for `media`.

    Returns
    -------
    float32, shape (n,)
        In [-1, 1], n at least 1.

    Raises
    ------
    SourceError, NotAudioError
        As for `media`.
    """
    blocks = _blocks(path.name, path, rate, channel, SourceStatus(path.name))
    samples = [block.samples for block in blocks]
    if not samples:
        raise NotAudioError(f"{path}: holds less than one sample at {rate} Hz")
    return np.concatenate(samples)


def _blocks(
    name: str, path: Path, rate: int, channel: int | None, status: SourceStatus
) -> Iterator[AudioBlock]:
    maker = BlockMaker(name, rate)
    input_rate = None
    for piece in _pieces(path, channel):
        if piece.rate != input_rate:
            input_rate = piece.rate
            yield from maker.begin(input_rate, gap=False)
        status.lost += maker.at_rate(piece.lost)
        yield from maker.push(piece.samples, 0.0, gap=piece.lost > 0)
    yield from maker.finish()


def _pieces(path: Path, channel: int | None) -> Iterator[_Piece]:
    """Mono audio at the file's own rate, in pieces of `_BLOCK_SECONDS` or, before a change, less."""
    rate, lost, held = 0, 0, np.zeros(0, dtype=np.float32)
    decoded = False
    for frame in _frames(path, channel):
        decoded = True
        if frame.lost or frame.rate != rate:
            if len(held):
                yield _Piece(held, rate, lost)
            rate, lost, held = frame.rate, frame.lost, frame.samples
        else:
            held = np.concatenate([held, frame.samples])
        length = max(1, round(rate * _BLOCK_SECONDS))
        while len(held) >= length:
            yield _Piece(held[:length].copy(), rate, lost)
            lost, held = 0, held[length:]
    if len(held):
        yield _Piece(held, rate, lost)
    if not decoded:
        raise NotAudioError(f"{path}: holds 0 seconds of audio")


def _frames(path: Path, channel: int | None) -> Iterator[_Piece]:
    """Each decoded frame; one that follows damaged ones says how much they held."""
    with _opened(path) as container:
        audio = container.streams.audio[0]
        expected: float | None = None
        undecoded = 0.0
        for packet in _packets(path, container, audio):
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                if not undecoded:
                    log.warning("%s: a part cannot be decoded and is left out: %s", path, error.strerror)
                undecoded += float((packet.duration or 0) * packet.time_base) or _JUMP_SECONDS
                continue
            for frame in frames:
                # Most formats number their samples, so what was skipped shows; mp3 does not.
                jump = 0.0 if frame.time is None or expected is None else frame.time - expected
                seconds = max(undecoded, jump if jump > _JUMP_SECONDS else 0.0)
                expected = None if frame.time is None else frame.time + frame.samples / frame.sample_rate
                undecoded = 0.0
                if frame.samples:
                    samples = mono(to_float(frame.to_ndarray(), _channels(path, frame, channel)), channel)
                    yield _Piece(samples, frame.sample_rate, round(seconds * frame.sample_rate))


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
    frames = samples.T if samples.shape[0] == channels else samples.reshape(-1, channels)
    if frames.dtype.kind == "f":
        return frames.astype(np.float32)
    bits = 8 * frames.dtype.itemsize
    offset = 128.0 if frames.dtype.kind == "u" else 0.0
    exact: NDArray[Any] = frames.astype(np.float32 if bits <= 16 else np.float64)  # noqa: PLR2004 - 24 bits fit
    scaled: NDArray[np.float32] = ((exact - offset) / 2.0 ** (bits - 1)).astype(np.float32, copy=False)
    return scaled


def _opened(path: Path) -> av.container.InputContainer:
    try:
        with path.open("rb"):  # first by ourselves: FFmpeg would take `a:b.wav` for protocol `a`
            pass
        container = av.open(f"file:{path}", metadata_errors="replace")
    except av.error.InvalidDataError as error:
        raise NotAudioError(f"{path}: is no sound file that FFmpeg knows") from error
    except (OSError, av.error.FFmpegError) as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if not container.streams.audio:
        container.close()
        raise NotAudioError(f"{path}: holds no audio")
    return container


def _packets(
    path: Path, container: av.container.InputContainer, audio: av.AudioStream
) -> Iterator[av.packet.Packet[av.AudioStream]]:
    try:
        yield from container.demux(audio)
    except av.error.FFmpegError as error:
        raise SourceError(f"{path}: cannot be read to its end: {error.strerror}") from error


def _channels(path: Path, frame: av.AudioFrame, channel: int | None) -> int:
    channels: int = frame.layout.nb_channels
    if channel is not None and channel > channels:
        raise SourceError(f"{path}: has {channels} channels, so no channel {channel}")
    return channels
