"""Sources of audio: microphone, network stream, sound file and raw samples, behind one function.

A source is an iterator of `monitor.types.AudioBlock`.  Each block starts where the last one stopped, ``gap``
marks lost audio, and the end of the iteration is the end of the source.  Closing the iterator closes
whatever it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.audio.sources.source_context import SourceContext
from monitor.types import AudioBlock

if TYPE_CHECKING:
    from monitor.config import SourceConfig

__all__ = ["SourceContext", "open_source"]


def open_source(config: SourceConfig, context: SourceContext) -> Iterator[AudioBlock]:
    """Yield the blocks of a source; it is opened when the first one is asked for.

    Raises
    ------
    SourceError
        If the source cannot be opened or read.
    NotAudioError
        If it holds no audio.
    ConfigError
        If the password of a stream cannot be read.
    """
    blocks = _opened(config, context)
    yield from blocks if config.gain_db == 0 else amplified(blocks, config.gain_db)


def _opened(config: SourceConfig, context: SourceContext) -> Iterator[AudioBlock]:
    # Imports stand here: a file needs no PortAudio, a microphone no FFmpeg.
    match config.kind:
        case "file":
            from monitor.audio.sources.ffmpeg import open_file  # noqa: PLC0415

            return open_file(config, context)
        case "stream":
            from monitor.audio.sources.ffmpeg import open_stream  # noqa: PLC0415
            from monitor.config import read_address  # noqa: PLC0415

            return open_stream(read_address(config), config.channel, context)
        case "pcm":
            from monitor.audio.sources.pcm import open_pcm  # noqa: PLC0415

            return open_pcm(config, context)
        case "microphone":
            from monitor.audio.sources.microphone import open_microphone  # noqa: PLC0415

            return open_microphone(config, context)


def amplified(blocks: Iterable[AudioBlock], gain_db: float) -> Iterator[AudioBlock]:
    """Amplify blocks by ``gain_db``, clipped at full scale."""
    import numpy as np  # noqa: PLC0415 - not for `clap-monitor check`

    factor = np.float32(10 ** (gain_db / 20))
    for block in blocks:
        with np.errstate(over="ignore"):
            samples = block.samples * factor
        # Samples that are not finite stay as they are, so that they are detected later.
        np.clip(samples, -1, 1, out=samples, where=np.isfinite(samples))
        yield replace(block, samples=samples)
