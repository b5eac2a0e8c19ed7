"""PortAudio: devices, and open streams, each shared by all sources of its device.

PortAudio freezes its list of devices when it is initialised, and initialising it again kills every
stream of the process.  So the list is only refreshed while no stream is open.  While one is open, a second
copy of the library (`portaudio_copy`), with a fresh list, looks for devices that are not in the first list.

Many drivers refuse a second stream on one device.  So sources that are channels of one device share a
stream, which is closed when the last of them leaves.  If one of them finds the device lost, it is lost for
all, and is not opened again before all have left.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Iterator
from types import ModuleType

from monitor.audio.digital_silence import SILENCE_SECONDS
from monitor.audio.sources.blocks import BlockLengths
from monitor.audio.sources.devices import Device, choose
from monitor.audio.sources.portaudio_copy import another
from monitor.audio.sources.portaudio_stream import ChannelReader, DeviceStream, in_one_line
from monitor.system.boundary import boundary
from monitor.types import SourceError

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 3.0
_SOUND_SERVER_CHANNELS = 32
"""A device with this many channels is a sound server, which mixes to any number of channels."""


class _Library:
    """PortAudio, with a lock around everything that must not run concurrently."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[tuple[ModuleType, int], DeviceStream] = {}
        """Open streams, by PortAudio and the index of the device in its list."""
        self._others: list[ModuleType] = []
        """Further copies, made when a device was looked for while the others had streams."""
        self._most_channels: dict[str, int] = {}
        """Highest number of channels wanted so far, by the name of the device."""

    def devices(self) -> list[Device]:
        """Return the microphones of this machine.

        Raises
        ------
        SourceError
            If there is no PortAudio.
        """
        with self._lock:
            return list_devices(self._fresh(self._first()))

    def join(
        self, wanted: str | int | None, channel: int | None, rate: int, lengths: BlockLengths
    ) -> ChannelReader:
        """Return a reader of a device, which is opened if necessary.

        ``wanted`` is part of its name in any case, or its index, or None for the system's default;
        ``channel`` counts from 1, and None is the mean of all; ``rate`` (Hz) is requested if the device is
        not open; ``lengths`` are those of the blocks.

        Raises
        ------
        SourceError
            If it is missing, cannot be opened, or must be closed.
        """
        with self._lock:
            stream, opened = self._find(wanted, channel, rate)
            stream.check()
            reader = ChannelReader(stream, channel, lengths)
        if opened:
            try:
                stream.start()
            except SourceError as error:
                self.leave(reader, error)
                raise
        return reader

    def leave(self, reader: ChannelReader, trouble: SourceError | None = None) -> None:
        """Stop reading; the last reader closes the device.  ``trouble`` is why all readers have lost it."""
        stream = reader.stream
        with self._lock:
            reader.leave()
            if trouble is None and time.monotonic() - stream.sounded_at >= SILENCE_SECONDS:
                trouble = SourceError(f"{stream.name!r} is opened again: it delivers only digital silence")
            stream.trouble = stream.trouble or trouble
            last = not stream.readers
            if last:
                stream.trouble = SourceError(f"{stream.name!r} is still being closed")
        if last:
            self._close(stream)

    def _find(self, wanted: str | int | None, channel: int | None, rate: int) -> tuple[DeviceStream, bool]:
        """Return the stream of a device, and whether it was opened just now."""
        for portaudio in self._instances():
            try:
                return self._find_in(portaudio, wanted, channel, rate)
            except SourceError as error:
                # An index and the default only have a meaning in the first list.
                if not isinstance(wanted, str) or not self._has_streams(portaudio):
                    raise
                trouble = error
        raise trouble

    def _find_in(
        self, portaudio: ModuleType, wanted: str | int | None, channel: int | None, rate: int
    ) -> tuple[DeviceStream, bool]:
        device = choose(list_devices(portaudio), wanted)
        channels = max(channels_to_open(device, channel), self._most_channels.get(device.name, 0))
        self._most_channels[device.name] = channels
        stream = self._streams.get((portaudio, device.index))
        if stream is None:
            stream = self._streams[portaudio, device.index] = _open(portaudio, device, channels, rate)
            return stream, True
        if stream.channels < channels:
            stream.trouble = stream.trouble or SourceError(
                f"{device.name!r} is opened again, with {channels} channels"
            )
        return stream, False

    def _instances(self) -> Iterator[ModuleType]:
        """Yield every PortAudio, with a fresh list if it has no stream; at least one has, if possible."""
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
        """Return it, with a fresh list if it has no stream."""
        if not self._has_streams(portaudio):
            try:
                if portaudio._initialized:  # noqa: SLF001 - the documented way: sounddevice issue 493
                    portaudio._terminate()  # noqa: SLF001
                portaudio._initialize()  # noqa: SLF001
            except portaudio.PortAudioError as error:
                raise SourceError(f"PortAudio does not start: {in_one_line(error)}") from error
        return portaudio

    def _close(self, stream: DeviceStream) -> None:
        """Close a stream, or give it up if the driver hangs: PortAudio would wait for ever.

        The thread is not in the daemon's group, which would wait for it at shutdown.
        """
        closing = threading.Thread(target=self._close_now, args=(stream,), name="close", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)
        if closing.is_alive():
            log.error("the sound driver hangs while closing a microphone")
            stream.trouble = SourceError("its driver hangs while it is being closed")
            for portaudio in [owner for (owner, _), open_ in self._streams.items() if open_ is stream]:
                atexit.unregister(portaudio._exit_handler)  # noqa: SLF001 - it would hang as well

    def _close_now(self, stream: DeviceStream) -> None:
        try:
            with boundary(SourceError, f"{stream.name!r}"):
                stream.close()
        except SourceError as error:  # it is no longer open, whatever the driver reports
            log.warning("%s", error)
        for key in [key for key, open_ in self._streams.items() if open_ is stream]:
            del self._streams[key]


library = _Library()
"""The only one in a process."""


def _open(portaudio: ModuleType, device: Device, channels: int, rate: int) -> DeviceStream:
    with boundary(SourceError, f"{device.name!r}"):
        try:
            supported = supported_rate(portaudio, device, channels, rate)
            return DeviceStream(portaudio, device, channels=channels, rate=supported)
        except portaudio.PortAudioError as error:
            raise SourceError(f"{device.name!r} cannot be opened: {in_one_line(error)}") from error


def list_devices(sounddevice: ModuleType) -> list[Device]:
    """Return the microphones in the list of one PortAudio.

    Raises
    ------
    SourceError
        If PortAudio cannot describe them, such as devices whose name is not text.
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
    """Return how many channels to open for the channel that is wanted, or for all."""
    if channel is not None and channel > device.channels:
        raise SourceError(f"{device.name!r} has {device.channels} channels, so no channel {channel}")
    if device.channels < _SOUND_SERVER_CHANNELS:
        return device.channels
    # A server mixes all channels to the requested number, so a single channel is the mean of all.
    return 1 if channel is None else max(channel, 2)


def supported_rate(sounddevice: ModuleType, device: Device, channels: int, rate: int) -> int:
    """Return ``rate`` if the device supports it, else the device's own rate."""
    try:
        sounddevice.check_input_settings(device.index, channels=channels, dtype="float32", samplerate=rate)
    except sounddevice.PortAudioError:
        own = round(device.rate)
        if own <= 0:
            raise SourceError(f"{device.name!r} claims a rate of {device.rate:g} Hz") from None
        return own
    return rate
