"""Reconnection: an unbroken sequence of blocks from a device or stream that comes and goes.

A device is lost if its driver says so, if it delivers nothing for 5 s, or if its sample rate is wrong.  Then
it is closed, and opened again and again until it is back.  The missing audio is marked as a gap, and
`SourceStatus` holds the reason.  A device that delivers only exact zeros (`monitor.audio.digital_silence`) is
opened again, too, less and less often.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from monitor.audio.captured_audio import CapturedAudio
from monitor.audio.digital_silence import LINES, SILENCE_SECONDS, DigitalSilence
from monitor.audio.sources.blocks import BlockMaker
from monitor.audio.sources.source_context import SourceContext
from monitor.system.backoff import Backoff
from monitor.system.trouble_log import TroubleLog
from monitor.types import AudioBlock, OfflineReason, SourceError

log = logging.getLogger(__name__)

NOTHING_SECONDS = 5.0
"""Without a block for this long, the device is lost: many drivers do not report that it was unplugged."""

_LONGEST_SILENCE_SECONDS = 3600.0
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 2.0
"""Home Assistant shows within 5 s that a device is back: opening, first audio and publishing take up to 2 s
more (benchmarks/unplugged.py).  Looking for a device takes some hundredths of a second."""

_STABLE_SECONDS = 60.0
_READ_SECONDS = 0.5
"""How long a read may wait before ``stop`` is checked."""


class WrongRateError(SourceError):
    """A device does not deliver as many samples per second as it claims."""

    reason = OfflineReason.WRONG_RATE


class OpenDevice(Protocol):
    """A device while it is open."""

    def read(self, seconds: float) -> CapturedAudio | None:
        """Return the next audio, None if there is none within ``seconds``.

        Raises
        ------
        SourceError
            The device is lost.
        WrongRateError
            Its sample rate is wrong.
        """


def reconnecting(
    connect: Callable[[], AbstractContextManager[OpenDevice]],
    context: SourceContext,
    *,
    reopen_seconds: float = SILENCE_SECONDS,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[AudioBlock]:
    """Yield the blocks of a device, opened again whenever it is lost, until ``context.stop``.

    While the device is away no audio counts as lost: ``status.outage`` shows since when.  ``connect`` opens
    it, or raises `SourceError`.  After ``reopen_seconds`` of exact zeros it is opened again for the first
    time.

    Raises
    ------
    SourceError
        Only if ``context.required`` and the device delivers nothing at first.
    """
    status, stop = context.status, context.stop
    reader = _Reader(context, reopen_seconds, now)
    backoff = Backoff(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
    troubles, unreported = TroubleLog(log, burst=LINES), False
    while not stop.is_set():
        opened_at = None
        try:
            status.looked += 1
            with connect() as device:
                opened_at = now()
                yield from reader.read(device)
        except SourceError as error:
            if context.required and not reader.received:
                raise SourceError(f"source {context.name}: {error}", error.reason) from error
            if status.set_offline(error.reason, str(error)) or (unreported and troubles.ready):
                unreported = not troubles.warning("source %s is offline: %s", context.name, error)
            if opened_at is not None and now() - opened_at >= _STABLE_SECONDS:
                backoff.reset()
            yield from reader.maker.finish()
            stop.wait(backoff.next())
    yield from reader.maker.finish()


class _Reader:
    """Reads a device; its state outlives each opening of the device."""

    def __init__(self, context: SourceContext, reopen_seconds: float, now: Callable[[], float]) -> None:
        self.received = False
        """Some audio has been received."""
        self.maker = BlockMaker(context.name, context.rate)
        self._status = context.status
        self._stop = context.stop
        self._now = now
        self._doubted = False
        """The rate was wrong, and has not been confirmed since."""
        self._silence = DigitalSilence(context.status)
        self._reopen_at = self._reopen_first = reopen_seconds

    def read(self, device: OpenDevice) -> Iterator[AudioBlock]:
        """Yield blocks until ``stop``, or until the device should be opened again.

        Raises
        ------
        SourceError
            The device is lost.
        """
        self._status.reopened += self.received
        rate = None
        last = self._now()
        while not self._stop.is_set():
            audio = self._next(device)
            if audio is not None:
                last = self._now()
                self.received = True
                if self._doubted:
                    continue
                if audio.rate != rate:
                    rate = audio.rate
                    yield from self.maker.begin(rate, gap=True)
                self._status.overflows += audio.overflows
                self._status.lost += self.maker.at_rate(audio.lost)
                yield from self.maker.push(audio.samples, audio.ended_at, gap=audio.gap)
                self._silence.observe(audio.samples, rate)
                if self._should_reopen():
                    return
            elif self._now() - last >= NOTHING_SECONDS:
                raise SourceError(
                    f"it has delivered nothing for {NOTHING_SECONDS:g} s", OfflineReason.NO_DATA
                )

    def _next(self, device: OpenDevice) -> CapturedAudio | None:
        """Return the next audio; after a wrong rate it is used once the rate is confirmed."""
        self._status.looked += 1
        try:
            audio = device.read(_READ_SECONDS)
        except WrongRateError:
            self._doubted = True
            raise
        self._doubted = self._doubted and not (audio is not None and audio.rate_confirmed)
        return audio

    def _should_reopen(self) -> bool:
        """Return, once each time, whether a silent device should be opened again.

        A muted microphone delivers zeros, too, so the attempts become rare.  Its audio is read in between,
        so its first sound is not missed.
        """
        if self._silence.seconds < self._reopen_at:
            if not self._silence.offline:
                self._reopen_at = self._reopen_first
            return False
        self._reopen_at = min(2 * self._reopen_at, self._silence.seconds + _LONGEST_SILENCE_SECONDS)
        return True
