"""Channels of a source to one; those that cancel others out are left out.

A microphone whose wires are swapped, or a cable from a balanced output, delivers on one channel the other
one upside down.  Their mean is silence, and nothing would be heard.  So it is watched whether a channel
runs against the others, in stretches counted from the first sample: what is decided does not depend on the
sizes of blocks.  A stretch is mixed as the ones before it ask for; nothing is held back.
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
"""What is lost of a sound before its channels are known to cancel each other out."""

_THIN_HZ = 8000
"""Rate at which channels are compared."""

_SHORT_SECONDS = 1.0
_LONG_SECONDS = 60.0
"""For so long the power of what was heard counts.  A loud sound outweighs the quiet after it for much longer,
and in that quiet, where each channel has noise of its own, nothing is learnt."""

_AGAINST = -0.7
"""Correlation with the others at which a channel is left out: the mean has lost more than half of it."""

_WITH = -0.3
"""Correlation from which it may come back ..."""

_CALM_SECONDS = 2.0
"""... after so long, so that the choice does not flutter."""

_STEADY = 4.0
"""A channel that was left out must be 6 dB louder to take the place of the one that stays."""

_said: set[str] = set()
"""Sources of which it was said: once, however often they are opened."""


class Downmixer:
    """Make one channel of the channels of one source.

    Parameters
    ----------
    name : str
        Of the source, for the log.
    channel : int or None
        From 1; None is the mean of all but those that cancel others out.
    """

    def __init__(self, name: str, channel: int | None) -> None:
        self._name = name
        self._channel = channel
        self._form = (0, 0)
        self._begin(1, 1)

    def push(self, frames: NDArray[np.float32], rate: int) -> Samples:
        """Mix what came next.

        Parameters
        ----------
        frames : float32, shape (n, channels)
            In [-1, 1].
        rate : int
            Hz.

        Returns
        -------
        float32, shape (n,)
            As `monitor.audio.resample.mono` makes it.
        """
        channels = frames.shape[1]
        if self._channel is not None or channels == 1:
            return mono(frames, self._channel)
        if (channels, rate) != self._form:
            self._begin(channels, rate)
        mixed, start = [], 0
        while start < len(frames):
            stop = min(len(frames), start + self._length - self._held_length)
            part = frames[start:stop]
            mixed.append(mono(part[:, self._kept] if self._left_out else part, None))
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
        self._kept = list(range(channels))
        self._left_out: frozenset[int] = frozenset()
        self._calm = 0

    def _hold(self, part: NDArray[np.float32]) -> None:
        """Keep a copy until the stretch is whole: sums of parts would round in another way."""
        self._held.append(part.copy())
        self._held_length += len(part)
        if self._held_length == self._length:
            stretch = np.concatenate(self._held)
            self._held, self._held_length = [], 0
            if is_plausible(stretch):
                self._learn(stretch)

    def _learn(self, stretch: NDArray[np.float32]) -> None:
        # Hiss is averaged away.  The differences hold neither a constant offset nor rumble, of which a
        # stretch has no whole period.  No product of matrices: see `features._Filters`.
        whole = stretch[: len(stretch) // self._thin * self._thin]
        thinned = whole.reshape(-1, self._thin, whole.shape[1]).mean(axis=1, dtype=np.float64)
        steps = np.diff(thinned, axis=0)
        power = np.einsum("ti,tj->ij", steps, steps)
        if not power.any():
            return
        self._short = math.exp(-_STRETCH_SECONDS / _SHORT_SECONDS) * self._short + power
        self._long = math.exp(-_STRETCH_SECONDS / _LONG_SECONDS) * self._long + power
        if self._left_out or self._short.min() < 0.0:
            self._choose()

    def _choose(self) -> None:
        """Leave out at once what cancels out others; take it back when it has long ceased to."""
        channels = range(len(self._short))
        loudness = [self._short[c, c] * (1.0 if c in self._left_out else _STEADY) for c in channels]
        order = sorted(channels, key=lambda c: -loudness[c])
        limits = [_WITH if c in self._left_out else _AGAINST for c in channels]
        now = _against(self._short, order, limits)
        wanted = now | (_against(self._long, order, limits) & self._left_out)
        self._calm = self._calm + 1 if wanted < self._left_out else 0
        if wanted - self._left_out or self._calm * _STRETCH_SECONDS >= _CALM_SECONDS:
            self._leave_out(wanted)

    def _leave_out(self, channels: frozenset[int]) -> None:
        self._left_out, self._calm = channels, 0
        self._kept = [c for c in range(len(self._short)) if c not in channels]
        if channels and self._name not in _said:
            _said.add(self._name)
            log.warning(
                "%s: channels cancel each other out in their mean (opposite phase: swapped wires?); %s heard "
                "without %s; to choose yourself, set the source's `channel:`, from 1 to %d",
                self._name,
                _named(self._kept) + (" is" if len(self._kept) == 1 else " are"),
                _named(sorted(channels)),
                len(self._short),
            )


def _against(power: NDArray[np.float64], order: list[int], limits: list[float]) -> frozenset[int]:
    """Channels that run against the sum of the louder ones that stay.

    Parameters
    ----------
    power : array, shape (channels, channels)
        Of each channel, and of each with each.
    order : list of int
        The loudest first.
    limits : list of float
        For each channel the correlation below which it runs against them.
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
