"""Everything that yields blocks of audio; one contract, one file a kind.

A source is an iterator of `monitor.types.AudioBlock`: each block starts where the last one stopped,
``gap`` marks lost audio, and the end of the iteration is the end of the source.  Leaving the
iteration closes whatever it reads.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.audio.source_status import SourceStatus
from monitor.types import AudioBlock, SourceError

if TYPE_CHECKING:
    from monitor.config import SourceConfig


def open_source(
    config: SourceConfig,
    *,
    rate: int,
    status: SourceStatus,
    stop: threading.Event,
    required: bool = False,
) -> Iterator[AudioBlock]:
    """Listen to one source of the configuration; nothing is opened before the first block is asked for.

    Parameters
    ----------
    config : SourceConfig
        Which source.
    rate : int
        Hz, of the blocks.
    status : SourceStatus
        What is lost and found is counted here: ``lost``, ``overflows``, ``reopened``, ``offline_at``.
    stop : threading.Event
        Ends the iteration soon after it is set.
    required : bool
        A microphone or stream that is not there at the start is an error, instead of being waited for.

    Raises
    ------
    SourceError
        If the source cannot be opened or read.
    NotAudioError
        If it holds no audio.
    ConfigError
        If the password of a stream is not where it should be.
    """
    blocks = _open(config, rate=rate, status=status, stop=stop, required=required)
    yield from blocks if config.gain_db == 0 else amplified(blocks, config.gain_db)


def amplified(blocks: Iterable[AudioBlock], gain_db: float) -> Iterator[AudioBlock]:
    """Blocks, louder by so many dB; what would exceed full scale is cut off there."""
    import numpy as np  # noqa: PLC0415 - not for `clap-monitor check`

    factor = np.float32(10 ** (gain_db / 20))
    for block in blocks:
        with np.errstate(over="ignore"):
            samples = block.samples * factor
        # What is no number stays what it is, and is seen.
        np.clip(samples, -1, 1, out=samples, where=np.isfinite(samples))
        yield replace(block, samples=samples)


def _open(
    config: SourceConfig, *, rate: int, status: SourceStatus, stop: threading.Event, required: bool
) -> Iterator[AudioBlock]:
    # Imported here: a file needs no PortAudio, a microphone no FFmpeg.
    if config.kind == "file":
        from monitor.audio.sources.ffmpeg import media  # noqa: PLC0415

        assert config.path is not None  # noqa: S101 - the configuration has seen to it
        yield from media(
            config.name,
            config.path,
            rate=rate,
            channel=config.channel,
            pace=config.pace,
            status=status,
            stop=stop,
            track=config.track,
        )
    elif config.kind == "stream":
        from monitor.audio.sources.ffmpeg import stream  # noqa: PLC0415
        from monitor.config import read_address  # noqa: PLC0415

        yield from stream(
            config.name,
            read_address(config),
            channel=config.channel,
            rate=rate,
            status=status,
            stop=stop,
            required=required,
        )
    elif config.kind == "pcm":
        from monitor.audio.sources.pcm import pcm  # noqa: PLC0415

        assert config.rate is not None  # noqa: S101 - the configuration has seen to it
        if sys.stdin is None:
            raise SourceError(f"source {config.name}: standard input is closed")
        yield from pcm(
            config.name,
            sys.stdin.buffer,
            input_rate=config.rate,
            format=config.format,
            channels=config.channels,
            channel=config.channel,
            rate=rate,
            status=status,
            stop=stop,
            live=config.pace == "realtime",
        )
    else:
        from monitor.audio.sources.microphone import microphone  # noqa: PLC0415

        yield from microphone(
            config.name,
            device=config.device,
            channel=config.channel,
            wish=config.rate or rate,
            rate=rate,
            status=status,
            stop=stop,
            required=required,
        )
