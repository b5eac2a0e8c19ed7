"""Microphone sources, through PortAudio: one channel of a device, or the mean of all its channels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from monitor.audio.sources.blocks import BlockLengths
from monitor.audio.sources.portaudio import library
from monitor.audio.sources.reconnect import OpenDevice, reconnecting
from monitor.audio.sources.source_context import SourceContext
from monitor.config import SourceConfig
from monitor.types import AudioBlock, SourceError


def open_microphone(config: SourceConfig, context: SourceContext) -> Iterator[AudioBlock]:
    """Yield the blocks of a microphone, which is opened again whenever it is lost.

    The device is asked for the configured rate, or else for that of the blocks.  If it does not support this
    rate, it is opened at its own.

    Raises
    ------
    SourceError
        Only if ``context.required``.
    """
    return reconnecting(partial(_joined, config, config.rate or context.rate, context.lengths), context)


@contextmanager
def _joined(config: SourceConfig, rate: int, lengths: BlockLengths) -> Iterator[OpenDevice]:
    """Open a microphone, or join its open stream."""
    reader, trouble = library.join(config.device, config.channel, rate, lengths), None
    try:
        yield reader
    except SourceError as error:
        trouble = error
        raise
    finally:
        library.leave(reader, trouble)
