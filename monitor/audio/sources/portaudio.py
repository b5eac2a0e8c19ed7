"""PortAudio, and its streams that are open, each shared by all sources of its device.

PortAudio freezes its list of devices when it is initialised, and initialising it again kills every
stream of the process.  So its list is refreshed whenever it has no stream open, and only then; what is not
in the list of one that has is looked for by another (`portaudio_copy`), with a list of now.

Many drivers refuse a second stream on one device, so the channels of one that are sources of their
own share a stream: it is closed when the last of them leaves.  What one of them finds to be lost is
lost for all, and none opens it again before all have left.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Iterator
from types import ModuleType

from monitor.audio.digital_silence import SILENCE_SECONDS
from monitor.audio.sources.devices import Device, choose
from monitor.audio.sources.portaudio_copy import another
from monitor.audio.sources.portaudio_stream import ChannelReader, DeviceStream, in_one_line
from monitor.system.boundary import boundary
from monitor.types import SourceError

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 3.0
_SOUND_SERVER_CHANNELS = 32
"""A device of so many channels is a sound server, which mixes to as many as it is asked for."""


class _Library:
    """PortAudio with a lock around everything that must not happen at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[tuple[ModuleType, int], DeviceStream] = {}
        """By the index of the device in the list of one PortAudio; closed streams leave it."""
        self._others: list[ModuleType] = []
        """Further ones, if the first had streams when something was looked for that it did not know."""
        self._most_channels: dict[str, int] = {}
        """That were wanted of a device at any time, by its name."""

    def devices(self) -> list[Device]:
        """List the microphones there are.

        Raises
        ------
        SourceError
            If there is no PortAudio.
        """
        with self._lock:
            return list_devices(self._fresh(self._first()))

    def join(self, wanted: str | int | None, channel: int | None, wish: int) -> ChannelReader:
        """Listen to a device, which is opened if it is not.

        Parameters
        ----------
        wanted : str, int or None
            Part of its name in any case, or its index, or None for the system's default.
        channel : int or None
            From 1; None is the mean of all.
        wish : int
            Hz, to be asked of the device if it is not open.

        Raises
        ------
        SourceError
            If it is not there, cannot be opened, or is to be closed.
        """
        with self._lock:
            stream, opened = self._find(wanted, channel, wish)
            stream.check()
            ear = ChannelReader(stream, channel)
        if opened:
            try:
                stream.start()
            except SourceError as error:
                self.leave(ear, error)
                raise
        return ear

    def leave(self, ear: ChannelReader, trouble: SourceError | None = None) -> None:
        """Listen no more; the last one closes the device.

        Parameters
        ----------
        ear : ChannelReader
        trouble : SourceError or None
            Why the device is lost, for all who listen to it.
        """
        stream = ear.stream
        with self._lock:
            ear.leave()
            if trouble is None and time.monotonic() - stream.sounded_at >= SILENCE_SECONDS:
                trouble = SourceError(
                    f"{stream.name!r} is opened again: there is nothing but digital silence"
                )
            stream.trouble = stream.trouble or trouble
            last = not stream.ears
            if last:
                stream.trouble = SourceError(f"{stream.name!r} is still being closed")
        if last:
            self._close(stream)

    def _find(self, wanted: str | int | None, channel: int | None, wish: int) -> tuple[DeviceStream, bool]:
        """Return the stream of a device, and whether it was opened just now."""
        for portaudio in self._instances():
            try:
                return self._find_in(portaudio, wanted, channel, wish)
            except SourceError as error:
                # An index, or the default, has a meaning in the first list alone.
                if not isinstance(wanted, str) or not self._has_streams(portaudio):
                    raise
                trouble = error
        raise trouble

    def _find_in(
        self, portaudio: ModuleType, wanted: str | int | None, channel: int | None, wish: int
    ) -> tuple[DeviceStream, bool]:
        device = choose(list_devices(portaudio), wanted)
        channels = max(channels_to_open(device, channel), self._most_channels.get(device.name, 0))
        self._most_channels[device.name] = channels
        stream = self._streams.get((portaudio, device.index))
        if stream is None:
            stream = self._streams[portaudio, device.index] = _open(portaudio, device, channels, wish)
            return stream, True
        if stream.channels < channels:
            stream.trouble = stream.trouble or SourceError(
                f"{device.name!r} is opened again, with {channels} channels"
            )
        return stream, False

    def _instances(self) -> Iterator[ModuleType]:
        """Every PortAudio, those without a stream with a list of now; at least one is such, if it can be."""
        first = self._first()
        yield self._fresh(first)
        for other in self._others:
            yield self._fresh(other)
        if all(self._has_streams(each) for each in (first, *self._others)):
            new = another()
            if new is not None:
                self._others.append(new)
                yield self._fresh(new)

    def _has_streams(self, portaudio: ModuleType) -> bool:
        return any(owner is portaudio for owner, _ in self._streams)

    def _first(self) -> ModuleType:
        try:
            import sounddevice  # noqa: PLC0415 - a machine without microphones needs no PortAudio
        except OSError as error:
            raise SourceError(
                f"{error}: microphones need PortAudio (Debian: apt-get install libportaudio2)"
            ) from error
        library_: ModuleType = sounddevice
        return library_

    def _fresh(self, portaudio: ModuleType) -> ModuleType:
        """Return it with a list of now if it has no stream."""
        if not self._has_streams(portaudio):
            try:
                if portaudio._initialized:  # noqa: SLF001 - the documented way: sounddevice issue 493
                    portaudio._terminate()  # noqa: SLF001
                portaudio._initialize()  # noqa: SLF001
            except portaudio.PortAudioError as error:
                raise SourceError(f"PortAudio does not start: {in_one_line(error)}") from error
        return portaudio

    def _close(self, stream: DeviceStream) -> None:
        """Close a stream, or leave it to itself: PortAudio waits for ever for a driver that hangs.

        Not a thread of the daemon's group, which would wait for it at the end.
        """
        closing = threading.Thread(target=self._close_now, args=(stream,), name="close", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)
        if closing.is_alive():
            log.error("the sound driver hangs while a microphone is being closed")
            stream.trouble = SourceError("its driver hangs while it is being closed")
            for portaudio in [owner for (owner, _), open_ in self._streams.items() if open_ is stream]:
                atexit.unregister(portaudio._exit_handler)  # noqa: SLF001 - it would hang as well

    def _close_now(self, stream: DeviceStream) -> None:
        try:
            with boundary(SourceError, f"{stream.name!r}"):
                stream.close()
        except SourceError as error:  # it is not open any more, whatever the driver says of it
            log.warning("%s", error)
        for key in [key for key, open_ in self._streams.items() if open_ is stream]:
            del self._streams[key]


library = _Library()
"""There is only one in a process."""


def _open(portaudio: ModuleType, device: Device, channels: int, wish: int) -> DeviceStream:
    with boundary(SourceError, f"{device.name!r}"):
        try:
            rate = possible_rate(portaudio, device, channels, wish)
            return DeviceStream(portaudio, device, channels=channels, rate=rate)
        except portaudio.PortAudioError as error:
            raise SourceError(f"{device.name!r} cannot be opened: {in_one_line(error)}") from error


def list_devices(sounddevice: ModuleType) -> list[Device]:
    """List the microphones that PortAudio knows of.

    Raises
    ------
    SourceError
        If PortAudio does not say what they are, as of names that are no text.
    """
    with boundary(SourceError, "PortAudio"):
        return _listed(sounddevice)


def _listed(sounddevice: ModuleType) -> list[Device]:
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


def channels_to_open(device: Device, channel: int | None) -> int:
    """How many channels to open, to hear the one that is wanted, or all."""
    if channel is not None and channel > device.channels:
        raise SourceError(f"{device.name!r} has {device.channels} channels, so no channel {channel}")
    if device.channels < _SOUND_SERVER_CHANNELS:
        return device.channels
    # A server mixes what it has to what it is asked for, so one channel of it is the mean of all.
    return 1 if channel is None else max(channel, 2)


def possible_rate(sounddevice: ModuleType, device: Device, channels: int, wish: int) -> int:
    """Return the wished rate if the device can, else its own."""
    try:
        sounddevice.check_input_settings(device.index, channels=channels, dtype="float32", samplerate=wish)
    except sounddevice.PortAudioError:
        rate = round(device.rate)
        if rate <= 0:
            raise SourceError(f"{device.name!r} says that its rate is {device.rate:g} Hz") from None
        return rate
    return wish
