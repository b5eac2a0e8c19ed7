"""Sound files, sample for sample."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import av
import av.error
import numpy as np

from monitor.capture.blocks import BlockMaker
from monitor.capture.media.decoding import Piece, frames, pieces
from monitor.status import SourceStatus
from monitor.types import AudioBlock, NotAudioError, Samples, SourceError

_BLOCK_SECONDS = {"realtime": 0.1, "fast": 0.2}
"""By pace: a window is not scored before its last block is there, and large blocks cost less."""

_JUMP_SECONDS = 0.03
"""A larger step between time stamps is lost audio; containers round them, to 1 ms at worst a frame."""


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
    for block in _blocks(name, path, rate, channel, status, _BLOCK_SECONDS[pace]):
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
    blocks = _blocks(path.name, path, rate, channel, SourceStatus(path.name), _BLOCK_SECONDS["fast"])
    samples = [block.samples for block in blocks]
    if not samples:
        raise NotAudioError(f"{path}: holds less than one sample at {rate} Hz")
    return np.concatenate(samples)


def _blocks(
    name: str, path: Path, rate: int, channel: int | None, status: SourceStatus, seconds: float
) -> Iterator[AudioBlock]:
    maker = BlockMaker(name, rate)
    input_rate = None
    for piece in pieces(_parts(path, channel), seconds):
        if piece.rate != input_rate:
            input_rate = piece.rate
            yield from maker.begin(input_rate, gap=False)
        status.lost += maker.at_rate(piece.lost)
        yield from maker.push(piece.samples, 0.0, gap=piece.lost > 0)
    yield from maker.finish()


def _parts(path: Path, channel: int | None) -> Iterator[Piece]:
    decoded = False
    with _opened(path) as container:
        packets = _packets(path, container, container.streams.audio[0])
        for part in frames(packets, str(path), channel, _Continuity().missing):
            decoded = True
            yield part
    if not decoded:
        raise NotAudioError(f"{path}: holds 0 seconds of audio")


class _Continuity:
    """Most formats number their samples, so what was skipped shows; mp3 does not."""

    def __init__(self) -> None:
        self._expected: float | None = None

    def missing(self, frame: av.AudioFrame) -> tuple[bool, float]:
        jump = 0.0 if frame.time is None or self._expected is None else frame.time - self._expected
        self._expected = None if frame.time is None else frame.time + frame.samples / frame.sample_rate
        return (True, jump) if jump > _JUMP_SECONDS else (False, 0.0)


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
