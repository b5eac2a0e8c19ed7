"""Sound files, sample for sample."""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import av
import av.error
import numpy as np

from monitor.audio.digital_silence import DigitalSilence
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.blocks import BlockMaker
from monitor.audio.sources.ffmpeg.container import LIMITS, audio_track, opened, packets
from monitor.audio.sources.ffmpeg.decoder import Piece, frames, pieces
from monitor.audio.sources.ffmpeg.ogg_chain import chains
from monitor.types import AudioBlock, NotAudioError, Samples, SourceError

_BLOCK_SECONDS = {"realtime": 0.1, "fast": 0.2}
"""By pace: a window is not scored before its last block is there, and large blocks cost less."""

_JUMP_SECONDS = 0.03
"""A larger step between time stamps is lost audio; containers round them, to 1 ms at worst a frame."""

_LONGEST_JUMP_SECONDS = 86_400.0
"""A larger step is a damaged time stamp, and tells nothing about what was lost."""

_OF_THE_SYSTEM = (
    errno.EACCES,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOENT,
    errno.ENOMEM,
    errno.ESTALE,
)
"""Errors of which the content of a file is no cause; FFmpeg uses the names of others for what it does not
like in a header."""

_WAY_OUT = (
    "raw samples are read from standard input (kind pcm, or --source -), so let FFmpeg make them: "
    "ffmpeg -i INPUT -f s16le -ac 1 -ar 48000 - | clap-monitor run --source - --rate 48000"
)

log = logging.getLogger(__name__)


def media(
    name: str,
    path: Path,
    *,
    rate: int,
    channel: int | None,
    pace: Literal["realtime", "fast"],
    status: SourceStatus,
    stop: threading.Event,
    track: int | None = None,
) -> Iterator[AudioBlock]:
    """Replay a sound file as if it were being captured now.

    Sample i is taken to be captured i / rate seconds after the opening, at either pace.  Samples
    that are not finite are passed on as they are.

    Parameters
    ----------
    name : str
        Of the source.
    path : Path
        Anything FFmpeg can decode, but a regular file.
    rate : int
        Hz, of the blocks.
    channel : int or None
        From 1; None is the mean of all channels.
    pace : str
        ``realtime``: a block is given when its last sample would have been captured.
        ``fast``: as soon as it is asked for.
    status : SourceStatus
        Samples that could not be decoded are added to ``lost``, as far as time stamps tell.  In real time
        it is offline after `SILENCE_SECONDS` of exact zeros, as any other source.
    stop : threading.Event
        Ends the iteration, also while it waits.
    track : int or None
        Of several audio tracks, from 1; None: the one marked as default, else the first.

    Raises
    ------
    SourceError
        If the file cannot be opened or read, or has no such channel or track.
    NotAudioError
        If it holds no audio.
    """
    opened_at, started = time.time(), time.monotonic()
    silence = DigitalSilence(status)
    parts = _parts(path, channel, track)
    for block in _blocks(name, parts, rate, status, _BLOCK_SECONDS[pace]):
        due = started + block.stop / rate
        if stop.wait(max(0.0, due - time.monotonic())) if pace == "realtime" else stop.is_set():
            return
        if pace == "realtime":
            silence.hear(block.samples, rate)
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
    parts = _parts(path, channel, None)
    blocks = _blocks(path.name, parts, rate, SourceStatus(path.name), _BLOCK_SECONDS["fast"])
    samples = [block.samples for block in blocks]
    if not samples:
        raise NotAudioError(f"{path}: holds less than one sample at {rate} Hz")
    return np.concatenate(samples)


def _blocks(
    name: str, parts: Iterable[Piece], rate: int, status: SourceStatus, seconds: float
) -> Iterator[AudioBlock]:
    maker = BlockMaker(name, rate)
    input_rate = None
    for piece in pieces(parts, seconds):
        if piece.rate != input_rate:
            input_rate = piece.rate
            yield from maker.begin(input_rate, gap=False)
        status.lost += maker.at_rate(piece.lost)
        yield from maker.push(piece.samples, 0.0, gap=piece.gap or piece.lost > 0)
    yield from maker.finish()


def _parts(path: Path, channel: int | None, track: int | None) -> Iterator[Piece]:
    """All of the audio of a file, chain after chain."""
    decoded, gap = False, False
    urls = _urls(path)
    for url in urls:
        try:
            for part in _parts_of(path, url, channel, track):
                yield replace(part, gap=True) if gap else part
                decoded, gap = True, False
        except SourceError as error:
            if url == urls[-1]:
                raise
            log.warning("%s; what follows is read on", error)
            gap = True
    if not decoded:
        raise NotAudioError(f"{path}: holds 0 seconds of audio")


def _parts_of(path: Path, url: str, channel: int | None, track: int | None) -> Iterator[Piece]:
    where = str(path)
    with opened(partial(_connect, path, url), where) as container:
        audio = audio_track(container, track, where, NotAudioError)
        yield from frames(
            packets(container, audio, where, partial(_explained, path)), where, channel, _Continuity().missing
        )


class _Continuity:
    """Most formats number their samples, so what was skipped shows; mp3 does not."""

    def __init__(self) -> None:
        self._expected: float | None = None

    def missing(self, frame: av.AudioFrame) -> tuple[bool, float]:
        jump = 0.0 if frame.time is None or self._expected is None else frame.time - self._expected
        self._expected = None if frame.time is None else frame.time + frame.samples / frame.sample_rate
        if jump <= _JUMP_SECONDS:
            return False, 0.0
        return True, jump if jump <= _LONGEST_JUMP_SECONDS else 0.0


def _urls(path: Path) -> list[str]:
    """Refuse what is no regular file, before it is opened; return what FFmpeg is to open."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise SourceError(f"{path}: {_what(mode)}, and no sound file: {_WAY_OUT}")
        return chains(path)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error


def _what(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "is a pipe, which can be read only once"
    return "is a socket" if stat.S_ISSOCK(mode) else "is a device"


def _connect(path: Path, url: str) -> av.container.InputContainer:
    try:
        return av.open(url, metadata_errors="replace", options=dict(LIMITS))
    except av.error.InvalidDataError as error:
        raise NotAudioError(f"{path}: is no sound file that FFmpeg knows") from error
    except av.error.EOFError as error:
        raise NotAudioError(f"{path}: ends before its first sound") from error
    except (OSError, av.error.FFmpegError) as error:
        if error.errno in _OF_THE_SYSTEM:
            raise SourceError(f"{path}: {error.strerror}") from error
        raise NotAudioError(f"{path}: FFmpeg cannot read its header: {error.strerror}") from error


def _explained(path: Path, error: av.error.FFmpegError) -> SourceError:
    return SourceError(f"{path}: cannot be read to its end: {error.strerror}")
