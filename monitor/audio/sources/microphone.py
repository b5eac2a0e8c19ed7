"""Microphones, through PortAudio: one source is one channel of a device, or the mean of all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.portaudio import library
from monitor.audio.sources.reconnect import OpenDevice, recovering
from monitor.types import AudioBlock, SourceError


def microphone(  # noqa: PLR0913 - what the configuration says of a microphone, and what every source is given
    name: str,
    *,
    device: str | int | None,
    channel: int | None,
    wish: int,
    rate: int,
    status: SourceStatus,
    stop: threading.Event,
    required: bool = False,
    connect: Callable[[], AbstractContextManager[OpenDevice]] | None = None,
) -> Iterator[AudioBlock]:
    """Blocks of a microphone, which is opened again whenever it is lost, until ``stop``.

    Parameters
    ----------
    name : str
        Of the source.
    device : str, int or None
        Part of the device's name in any case, or its index, or None for the system's default.
    channel : int or None
        From 1; None is the mean of all channels.
    wish : int
        Hz, to be asked of the device; if it cannot, it is opened at its own rate.
    rate : int
        Hz, of the blocks.
    status, stop, required
        As for `monitor.audio.sources.reconnect.recovering`.
    connect : callable, optional
        Opens the device, instead of PortAudio.

    Raises
    ------
    SourceError
        Only if ``required``.
    """
    if connect is None:
        connect = _Connector(device, channel, wish)
    return recovering(name, connect, rate=rate, status=status, stop=stop, required=required)


class _Connector:
    """Opens one microphone, or joins who has it open already, again and again."""

    def __init__(self, device: str | int | None, channel: int | None, wish: int) -> None:
        self._device = device
        self._channel = channel
        self._wish = wish

    @contextmanager
    def __call__(self) -> Iterator[OpenDevice]:
        ear, trouble = library.join(self._device, self._channel, self._wish), None
        try:
            yield ear
        except SourceError as error:
            trouble = error
            raise
        finally:
            library.leave(ear, trouble)
