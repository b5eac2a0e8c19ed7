"""Pattern finder: the alarm patterns in the newest seconds of each source, from the frames of its windows.

A window is often shorter than one cycle of an alarm, so frames of earlier windows are kept: only the bins of
the alarms' bands, as levels above their neighbours in frequency.  So neither a loud room nor a clap, which
reaches all bins, looks like a beep.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from monitor.detection.temporal_pattern import PATTERNS, PatternSearch, Prominence
from monitor.model.log_mel import Power, mel_bank
from monitor.model.mel_config import MelConfig
from monitor.types import Window

BANDS_HZ = ((2700.0, 3700.0), (465.0, 575.0))
"""Pitches of the alarms: piezo sounders near 3.1 kHz, and 520 Hz within 10 % (NFPA 72, 18.4.6.3)."""

HISTORY_SECONDS = max(pattern.history for pattern in PATTERNS)

_APART_BINS = 3
"""Neighbours of a bin are this many mel bins from it at least, so that their filters do not overlap, ..."""

_APART_LINES = 4.0
"""... this many lines of the Fourier transform at least, where the Hann window has decayed, ..."""

_APART_SHARE = 0.25
"""... and this share of its frequency at most, but for the nearest two on either side."""

_FLOOR = 1e-12

_MOST_FRESH = 256
"""Frames of a source that wait for their prominence: 0.1 MB, and few enough to be seldom."""


@dataclass(slots=True)
class _History:
    """Newest frames of one source."""

    prominence: Prominence
    """Shape (frames, bins of all bands)."""
    next_frame: int
    """Number of the frame after the newest; frame n is centred on sample n times the STFT hop."""
    stop: int
    """Index after the newest sample."""
    searches: tuple[PatternSearch, ...]
    """One for each of the bands."""
    fresh: list[Power] = field(default_factory=list)
    """Frames that follow, whose prominence nobody has asked for yet."""
    fresh_frames: int = 0


class PatternFinder:
    """Looks back over the newest `HISTORY_SECONDS` of each source; for one thread.

    Parameters
    ----------
    mel_config : MelConfig
    """

    def __init__(self, mel_config: MelConfig) -> None:
        self._mel_config = mel_config
        self._history: dict[str, _History] = {}

    def observe(self, window: Window, power: Power | None) -> frozenset[str]:
        """Add the next window of a source, as `add`; return the names of the patterns that sound."""
        self.add(window, power)
        history = self._history.get(window.source)
        if history is None:
            return frozenset()
        self._settle(history)
        first = history.next_frame - len(history.prominence)
        bands = zip(history.searches, _bins(self._mel_config).columns, strict=True)
        return frozenset().union(
            *(search.search(history.prominence[:, columns], first) for search, columns in bands)
        )

    def add(self, window: Window, power: Power | None) -> None:
        """Add the frames of the next window of a source.

        Parameters
        ----------
        window : Window
            One that begins after the end of the last one begins a new history.
        power : array, shape (frames, mel_bins), or None
            Mel power of the frames inside the window, as `SpectrogramCache.inner`; None: it is silent.
        """
        if power is None:
            self._add_silence(window)
        elif len(power):
            self._add_frames(window, power)

    def _add_frames(self, window: Window, power: Power) -> None:
        """Add the frames that are not there yet."""
        hop, half = self._mel_config.hop, self._mel_config.fft_length // 2
        first = round(window.start / hop) - (-half // hop)
        history = self._history.get(window.source)
        if history is None or window.start > history.stop:
            frame_seconds = self._mel_config.hop / self._mel_config.rate
            searches = tuple(PatternSearch(frame_seconds) for _ in BANDS_HZ)
            history = self._history[window.source] = _History(
                _prominence(power[:0], self._mel_config), first, window.stop, searches
            )
        new = power[max(0, history.next_frame - first) :]
        missing = max(0, first - history.next_frame)  # frames across the seam of two windows
        if missing and len(new):
            new = np.pad(new, ((missing, 0), (0, 0)), mode="edge")
        history.fresh.append(new.copy())  # no view of what the spectrogram cache has of this window
        history.fresh_frames += len(new)
        history.next_frame += len(new)
        history.stop = window.stop
        if history.fresh_frames >= _MOST_FRESH:
            self._settle(history)

    def _add_silence(self, window: Window) -> None:
        """Add silence up to the end of a window, if it continues what is known."""
        history = self._history.get(window.source)
        if history is None or window.start > history.stop:
            self._history.pop(window.source, None)
            return
        self._settle(history)
        frames = max(0, window.stop // self._mel_config.hop - history.next_frame)
        self._extend(history, np.zeros((frames, history.prominence.shape[1]), dtype=np.float32))
        history.next_frame += frames
        history.stop = window.stop

    def _settle(self, history: _History) -> None:
        """Compute the prominence of the fresh frames."""
        if history.fresh:
            self._extend(history, _prominence(np.concatenate(history.fresh), self._mel_config))
            history.fresh.clear()
            history.fresh_frames = 0

    @property
    def _kept(self) -> int:
        """Frames of a history."""
        return round(HISTORY_SECONDS * self._mel_config.rate / self._mel_config.hop)

    def _extend(self, history: _History, new: Prominence) -> None:
        history.prominence = np.concatenate([history.prominence, new])[-self._kept :]


@dataclass(frozen=True, slots=True, eq=False)
class _Bins:
    """Mel bins of the alarms' bands."""

    own: NDArray[np.intp]
    neighbours: NDArray[np.intp]
    """Those with whose mean each bin is compared, one bin's after the other's."""
    starts: NDArray[np.intp]
    """Index of the first neighbour of each bin."""
    counts: NDArray[np.float32]
    """Number of its neighbours."""
    columns: tuple[slice, ...]
    """Place of each band among the bins."""


@lru_cache(maxsize=8)
def _bins(mel_config: MelConfig) -> _Bins:
    bank = mel_bank(mel_config)
    hertz = np.linspace(0, mel_config.rate / 2, len(bank))
    with np.errstate(invalid="ignore"):  # a filter between two frequencies has no weight, and no pitch
        pitch = hertz @ bank / bank.sum(axis=0)
    line = mel_config.rate / mel_config.fft_length
    own: list[int] = []
    neighbours: list[NDArray[np.intp]] = []
    columns: list[slice] = []
    for low, high in BANDS_HZ:
        start = len(own)
        for place in np.flatnonzero((pitch >= low) & (pitch <= high)).tolist():
            around = _neighbours(pitch, place, line)
            if len(around):
                own.append(place)
                neighbours.append(around)
        columns.append(slice(start, len(own)))
    counts = np.array([len(each) for each in neighbours], dtype=np.intp)
    return _Bins(
        np.array(own, dtype=np.intp),
        np.concatenate([np.empty(0, dtype=np.intp), *neighbours]),
        np.cumsum(counts) - counts,
        counts.astype(np.float32),
        tuple(columns),
    )


def _neighbours(pitch: NDArray[np.float64], place: int, line: float) -> NDArray[np.intp]:
    """Bins with which one is compared."""
    apart, bins = np.abs(pitch - pitch[place]), np.abs(np.arange(len(pitch)) - place)
    clear = (bins >= _APART_BINS) & (apart >= _APART_LINES * line)
    nearest = bins <= np.min(bins[clear], initial=len(pitch)) + 1
    return np.flatnonzero(clear & (nearest | (apart <= _APART_SHARE * pitch[place])))


def _prominence(power: Power, mel_config: MelConfig) -> Prominence:
    """Level of each bin of the bands above the mean level of its neighbours in dB, shape (frames, bins)."""
    bins = _bins(mel_config)
    decibels = 10.0 * np.log10(power + _FLOOR)
    sums = np.add.reduceat(decibels[:, bins.neighbours], bins.starts, axis=1)
    levels: Prominence = (decibels[:, bins.own] - sums / bins.counts).astype(np.float32)
    return levels
