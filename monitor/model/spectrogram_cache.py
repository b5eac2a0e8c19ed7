"""Spectrogram cache: each STFT frame of overlapping windows is computed once, for each source.

With a 5 s window every second, four fifths of the frames are known.  Only the mirrored frames at both ends,
and those at the seams of a repeated window, belong to one window.  Frames are stored as power, because the
gain of a window is a factor of the power.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.audio.level import reference_gain
from monitor.model.log_mel import Power, decibels, inner_power, mel_power
from monitor.model.mel_config import MelConfig
from monitor.types import Window


@dataclass(slots=True, eq=False)
class _Last:
    start: int
    length: int
    inner: Power
    power: Power | None = None
    """Of all frames; None until it is asked for: an unchanged window needs only the inner ones."""


class Spectrograms(Protocol):
    """Spectrograms of windows, each frame computed once: a `SpectrogramCache`."""

    def log_mel(self, window: Window) -> NDArray[np.float32]:
        """Input of the audio encoder, shape (frames, mel_bins)."""

    def inner(self, window: Window) -> Power:
        """Mel power of the frames inside the window."""


class SpectrogramCache:
    """Spectrograms of the newest window of each source.

    Any window may come next; a window that begins a whole number of STFT hops after the last one is cheaper.
    """

    def __init__(self, mel_config: MelConfig) -> None:
        self._mel_config = mel_config
        self._last: dict[str, _Last] = {}

    def log_mel(self, window: Window) -> NDArray[np.float32]:
        """Log-mel spectrogram of a window at the reference level, shape (frames, mel_bins)."""
        last = self._of(window)
        if last.power is None:
            last.power = mel_power(window.samples, self._mel_config, last.inner)
        return decibels(last.power, reference_gain(window.samples))

    def inner(self, window: Window) -> Power:
        """Mel power of the inner frames of a window at its original level, oldest first."""
        return self._of(window).inner

    def _of(self, window: Window) -> _Last:
        last = self._last.get(window.source)
        length = len(window.samples)
        if last is None or (last.start, last.length) != (window.start, length):
            known = None if last is None or last.length != length else self._shared(last, window.start)
            inner = inner_power(window.samples, self._mel_config, known)
            last = self._last[window.source] = _Last(window.start, length, inner)
        return last

    def _shared(self, last: _Last, start: int) -> Power | None:
        frames, rest = divmod(start - last.start, self._mel_config.hop)
        return last.inner[frames:] if rest == 0 and 0 < frames < len(last.inner) else None
