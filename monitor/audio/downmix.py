"""Downmix: all channels of a source to one, without channels that cancel others out.

A microphone with swapped wires, or a cable from a balanced output, delivers one channel as the inverse of
the other.  Their mean is silence.  So each channel is compared with the others, in stretches counted from
the first sample: the decision does not depend on the sizes of blocks.  Earlier stretches decide how a stretch
is mixed, so no audio is delayed.
"""

from __future__ import annotations

import logging
import math

import numpy as np
from numpy.typing import NDArray

from monitor.audio.level import is_plausible
from monitor.audio.resample import mono
from monitor.types import Samples

log = logging.getLogger(__name__)

_STRETCH_SECONDS = 0.05
"""Length of a stretch: this much of a sound is lost before its cancelling channels are detected."""

_THIN_HZ = 8000
"""Rate at which channels are compared."""

_SHORT_SECONDS = 1.0
_LONG_SECONDS = 60.0
"""Time constants of the correlations.  A loud sound outweighs the quiet after it for much longer; the quiet
shows nothing, because each channel has noise of its own."""

_AGAINST = -0.7
"""Correlation with the others below which a channel is excluded: the mean has lost more than half of it."""

_WITH = -0.3
"""Correlation from which it may be included again ..."""

_CALM_SECONDS = 2.0
"""... after this long, so that the choice does not change all the time."""

_STEADY = 4.0
"""An excluded channel must be 6 dB louder to replace an included one."""

_logged: set[str] = set()
"""Sources with a log line about cancellation: one each, however often they are opened."""


class Downmixer:
    """Mixes the channels of one source to one channel; ``name`` is for the log.

    ``channel`` counts from 1; None is the mean of all channels except those that cancel others out.
    """

    def __init__(self, name: str, channel: int | None) -> None:
        self._name = name
        self._channel = channel
        self._form = (0, 0)
        self._begin(1, 1)

    def push(self, frames: NDArray[np.float32], rate: int) -> Samples:
        """Mix the next frames, shape (n, channels), in [-1, 1], at ``rate`` Hz, as `mono` does."""
        channels = frames.shape[1]
        if self._channel is not None or channels == 1:
            return mono(frames, self._channel)
        if (channels, rate) != self._form:
            self._begin(channels, rate)
        mixed, start = [], 0
        while start < len(frames):
            stop = min(len(frames), start + self._length - self._held_length)
            part = frames[start:stop]
            mixed.append(mono(part[:, self._included] if self._excluded else part, None))
            self._hold(part)
            start = stop
        return np.concatenate(mixed) if mixed else np.zeros(0, dtype=np.float32)

    def _begin(self, channels: int, rate: int) -> None:
        self._form = channels, rate
        self._length = max(2, round(_STRETCH_SECONDS * rate))
        self._thin = max(1, rate // _THIN_HZ)
        self._held: list[NDArray[np.float32]] = []
        self._held_length = 0
        self._short = np.zeros((channels, channels))
        self._long = np.zeros((channels, channels))
        self._included = list(range(channels))
        self._excluded: frozenset[int] = frozenset()
        self._calm = 0

    def _hold(self, part: NDArray[np.float32]) -> None:
        """Collect a stretch: sums of its parts would round differently."""
        self._held.append(part.copy())
        self._held_length += len(part)
        if self._held_length == self._length:
            stretch = np.concatenate(self._held)
            self._held, self._held_length = [], 0
            if is_plausible(stretch):
                self._correlate(stretch)

    def _correlate(self, stretch: NDArray[np.float32]) -> None:
        # The mean removes hiss.  The differences remove a constant offset and rumble, whose period is longer
        # than a stretch.  einsum, not a matrix product: see `monitor.model.log_mel`.
        whole = stretch[: len(stretch) // self._thin * self._thin]
        thinned = whole.reshape(-1, self._thin, whole.shape[1]).mean(axis=1, dtype=np.float64)
        steps = np.diff(thinned, axis=0)
        power = np.einsum("ti,tj->ij", steps, steps)
        if not power.any():
            return
        self._short = math.exp(-_STRETCH_SECONDS / _SHORT_SECONDS) * self._short + power
        self._long = math.exp(-_STRETCH_SECONDS / _LONG_SECONDS) * self._long + power
        if self._excluded or self._short.min() < 0.0:
            self._choose()

    def _choose(self) -> None:
        """Exclude channels that cancel others out at once; include them again after `_CALM_SECONDS`."""
        channels = range(len(self._short))
        loudness = [self._short[c, c] * (1.0 if c in self._excluded else _STEADY) for c in channels]
        order = sorted(channels, key=lambda c: -loudness[c])
        limits = [_WITH if c in self._excluded else _AGAINST for c in channels]
        now = _against(self._short, order, limits)
        wanted = now | (_against(self._long, order, limits) & self._excluded)
        self._calm = self._calm + 1 if wanted < self._excluded else 0
        if wanted - self._excluded or self._calm * _STRETCH_SECONDS >= _CALM_SECONDS:
            self._exclude(wanted)

    def _exclude(self, channels: frozenset[int]) -> None:
        self._excluded, self._calm = channels, 0
        self._included = [c for c in range(len(self._short)) if c not in channels]
        if channels and self._name not in _logged:
            _logged.add(self._name)
            log.warning(
                "%s: its channels cancel each other out (opposite phase: swapped wires?); using %s "
                "without %s; set the source's `channel:` to choose one, from 1 to %d",
                self._name,
                _named(self._included),
                _named(sorted(channels)),
                len(self._short),
            )


def _against(power: NDArray[np.float64], order: list[int], limits: list[float]) -> frozenset[int]:
    """Return the channels that are inverse to the sum of the louder included ones.

    ``power``, shape (channels, channels), is that of each channel and pair; ``order`` has the loudest first,
    and ``limits`` the correlation below which each channel is inverse.
    """
    stay, against = [order[0]], set()
    for channel in order[1:]:
        both = math.sqrt(max(0.0, power[np.ix_(stay, stay)].sum()) * power[channel, channel])
        if both > 0.0 and power[channel, stay].sum() < limits[channel] * both:
            against.add(channel)
        else:
            stay.append(channel)
    return frozenset(against)


def _named(channels: list[int]) -> str:
    return ("channel " if len(channels) == 1 else "channels ") + ", ".join(str(c + 1) for c in channels)
