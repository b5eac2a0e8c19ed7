"""Level meters of all microphones of this machine, open while somebody looks at them."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from monitor.audio.level import rms_dbfs
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources import SourceContext, open_source
from monitor.audio.sources.devices import Device
from monitor.config import SourceConfig
from monitor.system.threads import ThreadGroup
from monitor.types import SourceError

IDLE_SECONDS = 6.0
"""Nobody has looked for this long: the microphones are closed."""

_LOUDEST_SECONDS = 3.0
_CLOSE_SECONDS = 5.0
_RATE = 48_000
_QUIETEST = -100.0
"""dBFS, shown for digital silence."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one microphone delivers now."""

    device: str | int
    """As it stands in the configuration: its name, or its index if several have the name."""
    name: str
    default: bool
    level_dbfs: float | None
    """None: nothing has been heard yet."""
    loudest_dbfs: float | None
    """Within the last seconds."""
    trouble: str | None
    """Why nothing is heard."""


class _Meter:
    """Listens to one microphone, as `run` would."""

    def __init__(self, device: Device, wanted: str | int) -> None:
        self._device = device
        self._wanted = wanted
        self._status = SourceStatus(device.name)
        self._levels: deque[tuple[float, float]] = deque(maxlen=600)

    def run(self, stop: threading.Event) -> None:
        """Listen until stopped; the microphone is opened again whenever it is lost."""
        source = SourceConfig(name="meter", kind="microphone", device=self._wanted)
        blocks = open_source(source, SourceContext(_RATE, self._status, stop))
        with closing(blocks):  # type: ignore[type-var]  # a generator, annotated as an iterator
            for block in blocks:
                self._levels.append((time.monotonic(), max(_QUIETEST, rms_dbfs(block.samples))))

    def reading(self, now: float) -> Reading:
        """Return the newest level, and the loudest of the last seconds."""
        levels = [level for at, level in self._levels.copy() if now - at <= _LOUDEST_SECONDS]
        return Reading(
            self._wanted,
            self._device.name,
            self._device.default,
            level_dbfs=round(levels[-1], 1) if levels else None,
            loudest_dbfs=round(max(levels), 1) if levels else None,
            trouble=self._status.offline_text,
        )


def _all_devices() -> list[Device]:
    from monitor.audio.sources.portaudio import library  # noqa: PLC0415 - cameras need no PortAudio

    return library.devices()


class Meters:
    """Meters of all microphones, which ``devices`` returns; thread-safe."""

    def __init__(self, devices: Callable[[], list[Device]] = _all_devices) -> None:
        self._devices = devices
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads: ThreadGroup | None = None
        self._meters: Sequence[_Meter] = ()
        self._looked_at = 0.0
        self._closed = False

    def read(self) -> list[Reading]:
        """Return what each microphone delivers; the first call opens all of them.

        Raises
        ------
        SourceError
            There is no PortAudio, or no microphone.
        """
        now = time.monotonic()
        with self._lock:
            self._looked_at = now
            if self._threads is None and not self._closed:
                self._open()
            return [meter.reading(now) for meter in self._meters]

    def close(self, *, for_good: bool = True) -> None:
        """Close the microphones, so that somebody else can open them."""
        with self._lock:
            self._closed = self._closed or for_good
            threads, self._threads, self._meters = self._threads, None, ()
            self._stop.set()
        if threads is not None:
            threads.join(_CLOSE_SECONDS)

    def _open(self) -> None:
        devices = self._devices()
        if not devices:
            raise SourceError(
                "there is no microphone: is one connected, and is this user in the group `audio`? "
                "Connect one and try again, or add a camera"
            )
        names = Counter(device.name for device in devices)
        self._meters = [
            _Meter(device, device.name if names[device.name] == 1 else device.index) for device in devices
        ]
        self._stop = threading.Event()
        self._threads = ThreadGroup(self._stop)
        for meter in self._meters:
            self._threads.start("meter", partial(meter.run, self._stop), may_stay=True)
        self._threads.start("meters", partial(self._close_unseen, self._stop))

    def _close_unseen(self, stop: threading.Event) -> None:
        """Stop all meters when nobody looks any more."""
        while not stop.wait(1.0):
            if time.monotonic() - self._looked_at > IDLE_SECONDS:
                stop.set()
                with self._lock:
                    if self._stop is stop:
                        self._threads, self._meters = None, ()
