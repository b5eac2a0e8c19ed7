"""A device that comes and goes -> one unbroken row of blocks.

A device is lost when its driver says so, when it delivers nothing for 5 s, or when its samples are not as
many a second as it says.  Then it is closed and opened again until it is back; what is missing is marked
as a gap, and `SourceStatus` says since when the source is offline, and why.  One that delivers nothing but
exact zeros (`monitor.audio.digital_silence`) is opened again, too, less and less often.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from monitor.audio.digital_silence import LINES, SILENCE_SECONDS, DigitalSilence
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.blocks import BlockMaker
from monitor.system.trouble_log import TroubleLog
from monitor.types import AudioBlock, OfflineReason, Samples, SourceError

log = logging.getLogger(__name__)

NOTHING_SECONDS = 5.0
"""Without a block for so long, the device is lost: many drivers never say that it was unplugged."""

_LONGEST_SILENCE_SECONDS = 3600.0
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 2.0
"""The house knows within 5 s that a device is back: to open it, to hear it and to say so takes up to 2 s
more (benchmarks/unplugged.py).  To look for one costs some hundredths of a second."""

_STABLE_SECONDS = 60.0
_LOOK_AT_STOP_SECONDS = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """What a device captured in one go."""

    samples: Samples
    """Shape (n,), mono, in [-1, 1], at the device's rate."""
    ended_at: float
    """Unix seconds when the last sample was captured."""
    gap: bool = False
    """Audio is missing just before these."""
    lost: int = 0
    """Samples found to be missing, at the device's rate."""
    overflows: int = 0
    """Times the driver or the queue behind it was full."""
    rate: int | None = None
    """Hz, if it is not the device's: a stream may change it."""
    at_rate: bool = False
    """The device has been seen to deliver as many samples a second as it says."""


class WrongRateError(SourceError):
    """A device does not deliver as many samples a second as it says."""

    reason = OfflineReason.WRONG_RATE


class OpenDevice(Protocol):
    """A device while it is open."""

    @property
    def rate(self) -> int:
        """Hz."""

    def read(self, seconds: float) -> Take | None:
        """Return what came next; None if nothing does within ``seconds``; `SourceError` if it is lost.

        `WrongRateError` if its samples are not what they seem.
        """


def recovering(
    name: str,
    connect: Callable[[], AbstractContextManager[OpenDevice]],
    *,
    rate: int,
    status: SourceStatus,
    stop: threading.Event,
    required: bool = False,
    reopen_seconds: float = SILENCE_SECONDS,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[AudioBlock]:
    """Blocks of a device, opened again whenever it is lost, until ``stop``.

    Parameters
    ----------
    name : str
        Of the source.
    connect : callable
        Opens the device; raises `SourceError` if it cannot.
    rate : int
        Hz, of the blocks.
    status : SourceStatus
        Writes ``looked``, ``lost``, ``overflows``, ``reopened``, ``offline_at``,
        ``offline_reason`` and ``offline_text``.  While the device is away no audio counts as lost.
    stop : threading.Event
        Ends the iteration within 0.2 s.
    required : bool
        If the device delivers nothing at first, raise instead of waiting for it.
    reopen_seconds : float
        Of exact zeros, until it is opened again for the first time.
    now : callable
        Monotonic seconds.

    Raises
    ------
    SourceError
        Only if ``required``.
    """
    maker = BlockMaker(name, rate)
    active_labels = _Listening(maker, status, stop, reopen_seconds, now)
    wait, troubles, untold = _FIRST_WAIT_SECONDS, TroubleLog(log, burst=LINES), False
    while not stop.is_set():
        opened = None
        try:
            status.looked += 1
            with connect() as device:
                opened = now()
                yield from active_labels.to(device)
        except SourceError as error:
            if required and not active_labels.heard:
                raise SourceError(f"source {name}: {error}", error.reason) from error
            if status.set_offline(error.reason, str(error)) or (untold and troubles.ready):
                untold = not troubles.warning("source %s is offline: %s", name, error)
            if opened is not None and now() - opened >= _STABLE_SECONDS:
                wait = _FIRST_WAIT_SECONDS
            yield from maker.finish()
            stop.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
    yield from maker.finish()


class _Listening:
    """What is known of a source from one opening of its device to the next."""

    def __init__(
        self,
        maker: BlockMaker,
        status: SourceStatus,
        stop: threading.Event,
        reopen_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self.heard = False
        self._maker = maker
        self._status = status
        self._stop = stop
        self._now = now
        self._doubted = False
        self._silence = DigitalSilence(status)
        self._reopen_at = self._reopen_first = reopen_seconds

    def to(self, device: OpenDevice) -> Iterator[AudioBlock]:
        """Blocks until ``stop`` or until the device ought to be opened again; `SourceError` if it is lost."""
        self._status.reopened += self.heard
        rate = device.rate
        yield from self._maker.begin(rate, gap=True)
        last = self._now()
        while not self._stop.is_set():
            take = self._read(device)
            if take is not None:
                last = self._now()
                self.heard = True
                if self._doubted:
                    continue
                if take.rate not in {None, rate}:
                    rate = take.rate
                    yield from self._maker.begin(rate, gap=True)
                self._status.overflows += take.overflows
                self._status.lost += self._maker.at_rate(take.lost)
                yield from self._maker.push(take.samples, take.ended_at, gap=take.gap)
                self._silence.hear(take.samples, rate)
                if self._is_worth_another_try():
                    return
            elif self._now() - last >= NOTHING_SECONDS:
                raise SourceError(
                    f"it has delivered nothing for {NOTHING_SECONDS:g} s", OfflineReason.NO_DATA
                )

    def _read(self, device: OpenDevice) -> Take | None:
        """Return what came next; who has lied is believed again once it is seen to tell the truth."""
        self._status.looked += 1
        try:
            take = device.read(_LOOK_AT_STOP_SECONDS)
        except WrongRateError:
            self._doubted = True
            raise
        self._doubted = self._doubted and not (take is not None and take.at_rate)
        return take

    def _is_worth_another_try(self) -> bool:
        """Tell, each time, that opening a silent device again is worth a try.

        A muted microphone delivers zeros as well, so the tries become rare, and it is listened to
        in between: its first sound is not missed.
        """
        if self._silence.seconds < self._reopen_at:
            if not self._silence.offline:
                self._reopen_at = self._reopen_first
            return False
        self._reopen_at = min(2 * self._reopen_at, self._silence.seconds + _LONGEST_SILENCE_SECONDS)
        return True
