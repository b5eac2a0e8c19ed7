"""Whether anything new is heard, from the spectrogram alone: the cheap question before the dear one.

Most of a day is ambience.  Its level in each of a few bands varies by little; as long as nothing in a
window stands out of what these bands did in the last half minute, the model would say what it said last.
Measured on scenes in the README; `Scorer` says when an answer may be used again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.model.mel_config import MelConfig
from monitor.model.spectrogram_cache import SpectrogramCache
from monitor.types import Window

Levels = NDArray[np.float32]
"""Level of each part of a hop in each band in dB, shape (parts, bands)."""

_PART_SECONDS = 0.1
"""Short sounds stand out of a part; long ones, which may be fainter, of the whole hop."""
_BANDS = 16
_MEMORY_SECONDS = 30.0
_KNOWN_SECONDS = 10.0
"""Audio that must have been heard before anything counts as usual."""
_DEVIATIONS = 4.0
"""A part, or a hop, stands out if it is so many deviations above the median of its band."""
_SMALLEST_DEVIATION = 0.75
_SMALLEST_DEVIATION_OF_HOPS = 0.25
"""In dB: less is no difference to the model either."""
_FLOOR = 1e-12


@dataclass(slots=True)
class _Heard:
    """What one source sounded like."""

    parts: deque[Levels]
    hops: deque[Levels]
    """Of shape (1, bands)."""
    stop: int = -1
    """Sample index up to which it was looked at."""
    stood_out: int = -1
    """Index after the newest hop in which something stood out."""


@dataclass(slots=True)
class NoveltyGate:
    """Remembers what each source sounds like.

    Parameters
    ----------
    spectrograms : SpectrogramCache
        Of the same windows.
    mel_config : MelConfig
    hop : int or mapping of str to int
        Samples between two windows; by source name if they differ.
    """

    spectrograms: SpectrogramCache
    mel_config: MelConfig
    hop: int | Mapping[str, int]
    _heard: dict[str, _Heard] = field(default_factory=dict, init=False)

    def settled(self, window: Window) -> bool:
        """Take a window's newest hop; tell whether nothing in the window stands out."""
        hop = self.hop if isinstance(self.hop, int) else self.hop[window.source]
        hops = max(1, round(_MEMORY_SECONDS * self.mel_config.rate / hop))
        heard = self._heard.setdefault(window.source, _Heard(deque(maxlen=hops), deque(maxlen=hops)))
        parts, whole = self._levels(window, hop)
        known = len(heard.parts) * hop >= _KNOWN_SECONDS * self.mel_config.rate
        if (
            window.start > heard.stop - hop
            or not known
            or (parts > _usual(heard.parts, _SMALLEST_DEVIATION)).any()
            or (whole > _usual(heard.hops, _SMALLEST_DEVIATION_OF_HOPS)).any()
        ):
            heard.stood_out = window.stop
        heard.parts.append(parts)
        heard.hops.append(whole)
        heard.stop = window.stop
        return heard.stood_out <= window.start

    def _levels(self, window: Window, hop: int) -> tuple[Levels, Levels]:
        """Of the parts of the newest hop, and of all its frames together."""
        power = self.spectrograms.inner(window)
        fresh = power[-max(1, hop // self.mel_config.hop) :]
        part = max(1, round(_PART_SECONDS * self.mel_config.rate / self.mel_config.hop))
        parts = np.add.reduceat(fresh, np.arange(0, len(fresh), part), axis=0)
        counts = np.diff([*range(0, len(fresh), part), len(fresh)])[:, None]
        edges = np.linspace(0, power.shape[1], min(_BANDS, power.shape[1]) + 1).astype(int)[:-1]
        bands = np.add.reduceat(parts, edges, axis=1)
        return _decibels(bands / counts), _decibels(bands.sum(axis=0, keepdims=True) / len(fresh))


def _decibels(power: NDArray[np.floating]) -> Levels:
    levels: Levels = (10.0 * np.log10(power + _FLOOR)).astype(np.float32)
    return levels


def _usual(heard: deque[Levels], smallest_deviation: float) -> Levels:
    """Level that nothing usual exceeds, in each band."""
    levels = np.concatenate(heard)
    middle = np.median(levels, axis=0)
    deviation = 1.4826 * np.median(np.abs(levels - middle), axis=0)
    usual: Levels = middle + _DEVIATIONS * np.maximum(deviation, smallest_deviation)
    return usual
