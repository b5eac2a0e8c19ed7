"""Novelty gate: skips the model while band energies stay within their recent range.

Most of a day is background.  Its level in each of a few bands varies little; as long as nothing in a window
exceeds what these bands did in the last half minute, the model would return the last scores again.
Measured on scenes in docs/measurements.md; `Scorer` decides when the last scores may be reused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.model.log_mel import Power
from monitor.model.mel_config import MelConfig
from monitor.types import Window

Levels = NDArray[np.float32]
"""Level of each part of a hop in each band in dB, shape (parts, bands)."""

_PART_SECONDS = 0.1
"""Short sounds stand out of a part; long ones, which may be fainter, of the whole hop."""
_BANDS = 16
_MEMORY_SECONDS = 30.0
_LEARNING_SECONDS = 10.0
"""Audio without which no window counts as unchanged."""
_DEVIATIONS = 4.0
"""A part, or a hop, stands out if it is so many deviations above the median of its band."""
_SMALLEST_DEVIATION = 0.75
_SMALLEST_DEVIATION_OF_HOPS = 0.25
"""In dB: the model does not hear less either."""
_FLOOR = 1e-12


@dataclass(slots=True)
class _Recent:
    """Band levels of one source."""

    parts: deque[Levels]
    hops: deque[Levels]
    """Of shape (1, bands)."""
    stop: int = -1
    """Sample index up to which it was observed."""
    stood_out: int = -1
    """Index after the newest hop in which a level stood out."""


class NoveltyGate:
    """Band levels of the last half minute of each source.

    Parameters
    ----------
    mel_config : MelConfig
    hop_of : callable
        Source name to the samples between two windows.
    reuse_seconds : float
        For so long the last scores may stand for unchanged windows.
    """

    def __init__(self, mel_config: MelConfig, hop_of: Callable[[str], int], reuse_seconds: float) -> None:
        self.reuse_samples = round(reuse_seconds * mel_config.rate)
        self._mel_config = mel_config
        self._hop_of = hop_of
        self._recent: dict[str, _Recent] = {}

    def observe(self, window: Window, power: Power) -> bool:
        """Add a window's newest hop; return whether the window is unchanged: nothing in it stands out.

        Parameters
        ----------
        window : Window
        power : array, shape (frames, mel_bins)
            Mel power of the frames inside the window.
        """
        hop, rate = self._hop_of(window.source), self._mel_config.rate
        hops = max(1, round(_MEMORY_SECONDS * rate / hop))
        recent = self._recent.setdefault(window.source, _Recent(deque(maxlen=hops), deque(maxlen=hops)))
        parts, whole = self._levels(power, hop)
        if (
            window.start > recent.stop - hop
            or len(recent.parts) * hop < _LEARNING_SECONDS * rate
            or (parts > _limit(recent.parts, _SMALLEST_DEVIATION)).any()
            or (whole > _limit(recent.hops, _SMALLEST_DEVIATION_OF_HOPS)).any()
        ):
            recent.stood_out = window.stop
        recent.parts.append(parts)
        recent.hops.append(whole)
        recent.stop = window.stop
        return recent.stood_out <= window.start

    def _levels(self, power: Power, hop: int) -> tuple[Levels, Levels]:
        """Levels of the parts of the newest hop, and of all its frames together."""
        newest = power[-max(1, hop // self._mel_config.hop) :]
        part = max(1, round(_PART_SECONDS * self._mel_config.rate / self._mel_config.hop))
        parts = np.add.reduceat(newest, np.arange(0, len(newest), part), axis=0)
        counts = np.diff([*range(0, len(newest), part), len(newest)])[:, None]
        edges = np.linspace(0, power.shape[1], min(_BANDS, power.shape[1]) + 1).astype(int)[:-1]
        bands = np.add.reduceat(parts, edges, axis=1)
        return _decibels(bands / counts), _decibels(bands.sum(axis=0, keepdims=True) / len(newest))


def _decibels(power: NDArray[np.floating]) -> Levels:
    levels: Levels = (10.0 * np.log10(power + _FLOOR)).astype(np.float32)
    return levels


def _limit(recent: deque[Levels], smallest_deviation: float) -> Levels:
    """Level above which a band stands out, shape (bands,)."""
    levels = np.concatenate(recent)
    median = np.median(levels, axis=0)
    deviation = 1.4826 * np.median(np.abs(levels - median), axis=0)
    limit: Levels = median + _DEVIATIONS * np.maximum(deviation, smallest_deviation)
    return limit
