"""Microphones, through PortAudio.

PortAudio freezes its list of devices when it is initialised, and initialising it again kills every
stream of the process.  So the list is refreshed whenever this process has no stream open, and only
then: while one microphone works, another that comes back under a new address is not found.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType

from monitor.capture.device import Device, choose
from monitor.capture.recovery import OpenDevice, recovering
from monitor.capture.stream import DeviceStream, in_one_line
from monitor.status import SourceStatus
from monitor.types import AudioBlock, SourceError

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 3.0
_SOUND_SERVER_CHANNELS = 32
"""A device of so many channels is a sound server, which mixes to as many as it is asked for."""


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
        As for `monitor.capture.recovery.recovering`.
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


def devices() -> list[Device]:
    """List the microphones there are.

    Raises
    ------
    SourceError
        If there is no PortAudio.
    """
    with _library.lock:
        return _devices(_library.fresh())


class _Library:
    """PortAudio, and how many of its streams this process has open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        """Held while devices are listed, and opened: nobody refreshes the list meanwhile."""
        self.streams: set[int] = set()

    def fresh(self) -> ModuleType:
        """PortAudio with a current list of devices if no stream is open; `lock` must be held."""
        try:
            import sounddevice  # noqa: PLC0415 - a machine without microphones needs no PortAudio
        except OSError as error:
            raise SourceError(
                f"{error}: microphones need PortAudio (Debian: apt-get install libportaudio2)"
            ) from error
        if not self.streams:
            try:
                if sounddevice._initialized:  # noqa: SLF001 - the documented way: sounddevice issue 493
                    sounddevice._terminate()  # noqa: SLF001
                sounddevice._initialize()  # noqa: SLF001
            except sounddevice.PortAudioError as error:
                raise SourceError(f"PortAudio does not start: {in_one_line(error)}") from error
        library: ModuleType = sounddevice
        return library


_library = _Library()


class _Connector:
    """Opens one microphone, again and again."""

    def __init__(self, device: str | int | None, channel: int | None, wish: int) -> None:
        self._device = device
        self._channel = channel
        self._wish = wish
        self._closing: threading.Thread | None = None

    @contextmanager
    def __call__(self) -> Iterator[OpenDevice]:
        if self._closing is not None and self._closing.is_alive():
            raise SourceError("its driver hangs while it is being closed")
        with _library.lock:
            sounddevice = _library.fresh()
            stream = self._open(sounddevice)
            _library.streams.add(id(stream))
        try:
            stream.start()
            yield stream
        finally:
            self._close(sounddevice, stream)

    def _open(self, sounddevice: ModuleType) -> DeviceStream:
        device = choose(_devices(sounddevice), self._device)
        channels = _channels(device, self._channel)
        try:
            rate = _possible_rate(sounddevice, device, channels, self._wish)
            return DeviceStream(sounddevice, device, channels=channels, channel=self._channel, rate=rate)
        except sounddevice.PortAudioError as error:
            raise SourceError(f"{device.name!r} cannot be opened: {in_one_line(error)}") from error

    def _close(self, sounddevice: ModuleType, stream: DeviceStream) -> None:
        """Close a stream, or leave it to itself: PortAudio waits for ever for a driver that hangs.

        Not a thread of the daemon's group, which would wait for it at the end.
        """
        self._closing = threading.Thread(target=self._close_now, args=(stream,), name="close", daemon=True)
        self._closing.start()
        self._closing.join(_CLOSE_SECONDS)
        if self._closing.is_alive():
            log.error("the sound driver hangs while a microphone is being closed")
            atexit.unregister(sounddevice._exit_handler)  # noqa: SLF001 - it would hang as well

    def _close_now(self, stream: DeviceStream) -> None:
        stream.close()
        _library.streams.discard(id(stream))


def _devices(sounddevice: ModuleType) -> list[Device]:
    apis = sounddevice.query_hostapis()
    try:
        default = sounddevice.query_devices(kind="input")["index"]
    except sounddevice.PortAudioError:  # there is none
        default = None
    return [
        Device(
            index=found["index"],
            name=found["name"],
            host_api=apis[found["hostapi"]]["name"],
            channels=found["max_input_channels"],
            rate=found["default_samplerate"],
            default=found["index"] == default,
        )
        for found in sounddevice.query_devices()
        if found["max_input_channels"]
    ]


def _channels(device: Device, channel: int | None) -> int:
    """How many channels to open, to hear the one that is wanted, or all."""
    if channel is not None and channel > device.channels:
        raise SourceError(f"{device.name!r} has {device.channels} channels, so no channel {channel}")
    if device.channels < _SOUND_SERVER_CHANNELS:
        return device.channels
    # A server mixes what it has to what it is asked for, so one channel of it is the mean of all.
    return 1 if channel is None else max(channel, 2)


def _possible_rate(sounddevice: ModuleType, device: Device, channels: int, wish: int) -> int:
    try:
        sounddevice.check_input_settings(device.index, channels=channels, dtype="float32", samplerate=wish)
    except sounddevice.PortAudioError:
        return round(device.rate)
    return wish
