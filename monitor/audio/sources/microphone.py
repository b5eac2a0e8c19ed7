"""Microphone sources, through PortAudio: one channel of a device, or the mean of all its channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from monitor.audio.sources.portaudio import library
from monitor.audio.sources.reconnect import OpenDevice, reconnecting
from monitor.audio.sources.source_context import SourceContext
from monitor.config import SourceConfig
from monitor.types import AudioBlock, SourceError


def open_microphone(
    config: SourceConfig,
    context: SourceContext,
    connect: Callable[[], AbstractContextManager[OpenDevice]] | None = None,
) -> Iterator[AudioBlock]:
    """Yield the blocks of a microphone, which is opened again whenever it is lost.

    The device is asked for the configured rate, or else for that of the blocks.  If it does not support this
    rate, it is opened at its own.  ``connect`` opens the device, instead of PortAudio.

    Raises
    ------
    SourceError
        Only if ``context.required``.
    """
    if connect is None:
        connect = _Connector(config.device, config.channel, config.rate or context.rate)
    return reconnecting(connect, context)


class _Connector:
    """Opens a microphone, or joins its open stream, again and again."""

    def __init__(self, device: str | int | None, channel: int | None, rate: int) -> None:
        self._device = device
        self._channel = channel
        self._rate = rate

    @contextmanager
    def __call__(self) -> Iterator[OpenDevice]:
        reader, trouble = library.join(self._device, self._channel, self._rate), None
        try:
            yield reader
        except SourceError as error:
            trouble = error
            raise
        finally:
            library.leave(reader, trouble)
