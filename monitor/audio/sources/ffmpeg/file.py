"""Sound files of any format that FFmpeg can decode, without losing a sample."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import av
import av.error
import numpy as np

from monitor.audio.captured_audio import CapturedAudio
from monitor.audio.digital_silence import DigitalSilence
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.blocks import BlockLengths, BlockMaker
from monitor.audio.sources.ffmpeg.container import LIMITS, audio_track, opened, packets
from monitor.audio.sources.ffmpeg.decoder import blocks_of
from monitor.audio.sources.ffmpeg.ogg_chain import chains
from monitor.audio.sources.source_context import SourceContext
from monitor.config import SourceConfig
from monitor.system.boundary import boundary
from monitor.types import AudioBlock, NotAudioError, Samples, SourceError

_LENGTHS = BlockLengths(0.2)
"""At the pace "fast"; longer blocks cost less."""

_JUMP_SECONDS = 0.03
"""A larger step between time stamps is lost audio; containers round them by a millisecond or a frame."""

_LONGEST_JUMP_SECONDS = 86_400.0
"""A larger step is a damaged time stamp, and does not show how much was lost."""

_OF_THE_SYSTEM = (
    errno.EACCES,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOENT,
    errno.ENOMEM,
    errno.ESTALE,
)
"""Errors that the content of a file does not cause; FFmpeg uses other error codes for bad headers."""

_STATES_LENGTH = frozenset({"aiff", "au", "caf", "flac", "matroska", "mov", "w64", "wav"})
"""Formats, by FFmpeg's names."""

_PIPE_IT = (
    "use FFmpeg to send raw samples to standard input (kind pcm, or --source -): "
    "ffmpeg -i INPUT -f s16le -ac 1 -ar 48000 - | clap-monitor run --source - --rate 48000"
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileMetadata:
    """What a sound file says about itself."""

    tags: Mapping[str, str]
    """By name, in small letters."""
    seconds: float | None
    """Length that it claims, or that FFmpeg estimates."""
    states_length: bool
    """Its format states the length; of others, such as mp3, it is an estimate."""


def open_file(config: SourceConfig, context: SourceContext) -> Iterator[AudioBlock]:
    """Replay a sound file as if it were being captured now.

    Sample i counts as captured i / rate seconds after the opening, at either pace.  At the pace "realtime" a
    block is yielded when its last sample would have been captured, and the source is offline after
    `SILENCE_SECONDS` of exact zeros, like any other; at the pace "fast", as soon as it is asked for.  Samples
    that are not finite are passed on.  Samples that could not be decoded are added to ``lost``, as far as
    time stamps show them.

    Raises
    ------
    SourceError
        If the file cannot be opened or read, or has no such channel or track.
    NotAudioError
        If it holds no audio.
    """
    assert config.path is not None  # noqa: S101 - validated with the configuration
    rate, stop, realtime = context.rate, context.stop, config.pace == "realtime"
    opened_at, started = time.time(), time.monotonic()
    silence = DigitalSilence(context.status)
    lengths = context.lengths if realtime else _LENGTHS
    parts = _parts(config.path, config.channel, config.track, lengths)
    for block in _blocks(parts, rate, context.status):
        due = started + block.stop / rate
        if stop.wait(max(0.0, due - time.monotonic())) if realtime else stop.is_set():
            return
        if realtime:
            silence.observe(block.samples, rate)
        yield replace(block, ended_at=opened_at + block.stop / rate)


def read_samples(path: Path, rate: int, channel: int | None = None) -> Iterator[Samples]:
    """Yield the samples of a whole sound file, part by part: exactly those that `open_file` gives.

    ``rate`` is in Hz; ``channel`` counts from 1, and None is the mean of all channels.

    Raises
    ------
    SourceError, NotAudioError
        As for `open_file`.
    """
    parts = _parts(path, channel, None)
    for block in _blocks(parts, rate, SourceStatus(path.name)):
        yield block.samples


def open_recording(
    sound: Path | BinaryIO, name: str, started_at: float, context: SourceContext
) -> Iterator[AudioBlock]:
    """Read a recording of the past as fast as it is asked for: the samples of `open_file`.

    Sample i was captured at ``started_at`` + i / rate, in Unix seconds.  ``name`` stands in messages.  Of an
    open file the parts of an Ogg chain are read only as far as FFmpeg follows them.

    Raises
    ------
    SourceError, NotAudioError
        As for `open_file`.
    """
    parts = _parts(sound, None, None) if isinstance(sound, Path) else _parts_in(sound, name)
    for block in _blocks(parts, context.rate, context.status):
        if context.stop.is_set():
            return
        yield replace(block, ended_at=started_at + block.stop / context.rate)


def read_metadata(sound: Path | BinaryIO, name: str) -> FileMetadata:
    """Return what a sound file says about itself.

    Raises
    ------
    SourceError, NotAudioError
        As for `open_file`.
    """
    connect = (
        partial(_open, sound, _urls(sound)[0]) if isinstance(sound, Path) else partial(_rewound, sound, name)
    )
    with opened(connect, name) as container:
        audio_track(container, None, name, NotAudioError)
        with boundary(NotAudioError, name):
            tags = {key.lower(): str(text) for key, text in container.metadata.items()}
            seconds = None if container.duration is None else container.duration / av.time_base
        stated = not _STATES_LENGTH.isdisjoint(container.format.name.split(","))
    return FileMetadata(tags, seconds, stated)


def decode(path: Path, rate: int, channel: int | None = None) -> Samples:
    """Return all samples of `read_samples`, float32, shape (n,) with n at least 1."""
    samples = list(read_samples(path, rate, channel))
    if not samples:
        raise NotAudioError(f"{path}: contains less than one sample at {rate} Hz")
    return np.concatenate(samples)


def _blocks(parts: Iterable[CapturedAudio], rate: int, status: SourceStatus) -> Iterator[AudioBlock]:
    maker = BlockMaker(status.name, rate)
    input_rate = None
    for part in parts:
        if part.rate != input_rate:
            input_rate = part.rate
            yield from maker.begin(input_rate, gap=False)
        status.lost += maker.at_rate(part.lost)
        yield from maker.push(part.samples, 0.0, gap=part.gap or part.lost > 0)
    yield from maker.finish()


def _parts(
    path: Path, channel: int | None, track: int | None, lengths: BlockLengths = _LENGTHS
) -> Iterator[CapturedAudio]:
    decoded, gap = False, False
    urls = _urls(path)
    for url in urls:
        try:
            for part in _parts_of(path, url, channel, track, lengths):
                yield replace(part, gap=True) if gap else part
                decoded, gap = True, False
        except SourceError as error:
            if url == urls[-1]:
                raise
            log.warning("%s; reading continues with the next part", error)
            gap = True
    if not decoded:
        raise NotAudioError(f"{path}: contains 0 seconds of audio")


def _parts_of(
    path: Path, url: str, channel: int | None, track: int | None, lengths: BlockLengths
) -> Iterator[CapturedAudio]:
    where = str(path)
    with opened(partial(_open, path, url), where) as container:
        audio = audio_track(container, track, where, NotAudioError)
        decoded = packets(container, audio, where, partial(_explained, where))
        yield from blocks_of(decoded, where, channel, _Continuity().missing, lengths)


def _parts_in(file: BinaryIO, name: str) -> Iterator[CapturedAudio]:
    """Yield the audio of an open file."""
    decoded = False
    with opened(partial(_rewound, file, name), name) as container:
        audio = audio_track(container, None, name, NotAudioError)
        parts = packets(container, audio, name, partial(_explained, name))
        for part in blocks_of(parts, name, None, _Continuity().missing, _LENGTHS):
            yield part
            decoded = True
    if not decoded:
        raise NotAudioError(f"{name}: contains 0 seconds of audio")


class _Continuity:
    """Detects skipped samples by time stamps: most formats have them, mp3 does not."""

    def __init__(self) -> None:
        self._expected: float | None = None

    def missing(self, frame: av.AudioFrame) -> tuple[bool, float]:
        jump = 0.0 if frame.time is None or self._expected is None else frame.time - self._expected
        self._expected = None if frame.time is None else frame.time + frame.samples / frame.sample_rate
        if jump <= _JUMP_SECONDS:
            return False, 0.0
        return True, jump if jump <= _LONGEST_JUMP_SECONDS else 0.0


def _urls(path: Path) -> list[str]:
    """Return the URLs for FFmpeg to open; refuse anything but a regular file before it is opened."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise SourceError(f"{path}: {_kind(mode)}, not a sound file: {_PIPE_IT}")
        return chains(path)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "is a pipe, which can only be read once"
    return "is a socket" if stat.S_ISSOCK(mode) else "is a device"


def _open(path: Path, url: str) -> av.container.InputContainer:
    return _connect(url, str(path))


def _rewound(file: BinaryIO, name: str) -> av.container.InputContainer:
    file.seek(0)
    return _connect(file, name)


def _connect(file: str | BinaryIO, where: str) -> av.container.InputContainer:
    try:
        return av.open(file, "r", metadata_errors="replace", options=dict(LIMITS))
    except av.error.InvalidDataError as error:
        raise NotAudioError(f"{where}: is not a sound file that FFmpeg supports") from error
    except av.error.EOFError as error:
        raise NotAudioError(f"{where}: ends before its first sample") from error
    except (OSError, av.error.FFmpegError) as error:
        if error.errno in _OF_THE_SYSTEM:
            raise SourceError(f"{where}: {error.strerror}") from error
        raise NotAudioError(f"{where}: FFmpeg cannot read its header: {error.strerror}") from error


def _explained(where: str, error: av.error.FFmpegError) -> SourceError:
    return SourceError(f"{where}: cannot be read to its end: {error.strerror}")
