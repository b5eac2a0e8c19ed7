"""Novelty gate: skips the model while the sound is like that of the last minute, in which no label was heard.

Most of a day is background.  The spectrum of half a second of it has a near neighbour among those of the last
minute, at about the same distance each time; a sound that stands out of the background has none.  Spectra in
which a label was heard are no neighbours: the second bark stands out like the first.  As long as nothing
stands out, the model would return much the same embedding again.  A sound that does is in every window that
overlaps it: where windows are much longer than their hop, not all of them are needed to notice it.  Measured
in docs/measurements.md; `Scorer` decides when the last embedding may be reused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.model.log_mel import Power, decibels
from monitor.model.mel_config import MelConfig
from monitor.types import Window

PART_SECONDS = 0.5
"""Audio whose spectra are averaged: shorter parts vary more, longer ones hide short sounds."""

_MEMORY_SECONDS = 60.0
_LEARNING_SECONDS = 10.0
"""Audio without which no window counts as unchanged."""

_DEVIATIONS = 2.0
"""A part stands out if its distance is this many deviations above the median; chosen on the tuning half of
the field scenes, where 3 lost a point of recall."""

_CLEAR_DEVIATIONS = 4.0
"""From here it does so clearly."""

_SPACING = 0.6
"""Windows that changed are taken this share of their length apart, until a label may be heard.

A sound that is shorter than the rest of a window, 2 of 5 s, is whole in one of them."""

_WAIT = 0.4
"""Share of a window's length after which a sound that does not stand out clearly is taken: then it is in the
middle."""

_SMALLEST_DEVIATION = 0.02
"""In dB."""

_NORMAL = 1.4826
"""Deviation of a normal distribution in units of its median absolute deviation."""


@dataclass(slots=True)
class _Recent:
    """Spectra of the last minute of one source, and how far each was from those before it."""

    spectra: NDArray[np.float32]
    """In dB, shape (parts, mel_bins); the oldest is replaced next."""
    distances: NDArray[np.float32]
    """In dB, shape (parts,)."""
    stops: NDArray[np.int64]
    """Sample index after each part, shape (parts,); -1 where there is none yet."""
    calm: NDArray[np.bool_]
    """Whether no label was heard in it, shape (parts,)."""
    count: int = 0
    """Parts so far."""
    stop: int = -1
    """Sample index up to which it was observed."""
    stood_out: int = -1
    """Index after the newest hop with a part that stood out."""
    stood_out_clearly: int = -1
    """The same with a part that stood out clearly."""
    changed: int = -1
    """Index after the newest window that changed."""
    changed_first: int = -1
    """Index after the first one since the model ran."""

    def add(self, spectrum: NDArray[np.float32], stop: int, learning: int) -> float:
        """Add a part; return how many deviations above the median its distance is; infinite at first."""
        place = self.count % len(self.spectra)
        distance = _nearest(spectrum, self.spectra[self.calm])
        known = self.distances[self.calm]
        excess = float("inf") if len(known) < learning else _excess(distance, known)
        self.spectra[place], self.distances[place] = spectrum, distance
        self.stops[place], self.calm[place] = stop, True
        self.count += 1
        return excess


class NoveltyGate:
    """Spectra of the last minute of each source; for one thread.

    Parameters
    ----------
    mel_config : MelConfig
    hop_of : callable
        Source name to the samples between two windows.
    reuse_seconds : float
        For so long the last embedding may stand for unchanged windows.
    """

    def __init__(self, mel_config: MelConfig, hop_of: Callable[[str], int], reuse_seconds: float) -> None:
        self.reuse_samples = round(reuse_seconds * mel_config.rate)
        self._mel_config = mel_config
        self._hop_of = hop_of
        self._recent: dict[str, _Recent] = {}

    def observe(self, window: Window, power: Power, taken: int) -> bool:
        """Add a window's newest hop; return whether the model is due, if no label was heard when it last ran.

        A window changed if something stands out in its newer half; what the older half holds was in the newer
        half of a window before.  So did the first window without what stood out: the embedding that stands
        for the windows to come must not contain it.  The model is due if this window changed, or one since it
        last ran; but not on each of several that overlap by much, and not before a sound that does not stand
        out clearly is in the middle of a window.

        Parameters
        ----------
        window : Window
        power : array, shape (frames, mel_bins)
            Mel power of the frames inside the window.
        taken : int
            Sample index after the newest window of this source that the model ran on; -1 if there is none.
        """
        hop, rate = self._hop_of(window.source), self._mel_config.rate
        parts = max(1, round(hop / (PART_SECONDS * rate)))
        in_a_second = parts * rate / hop
        recent = self._recent.get(window.source)
        if recent is None:
            size = max(2, round(_MEMORY_SECONDS * in_a_second))
            recent = self._recent[window.source] = _Recent(
                np.zeros((size, self._mel_config.mel_bins), np.float32),
                np.zeros(size, np.float32),
                np.full(size, -1, np.int64),
                np.zeros(size, np.bool_),
            )
        newest = power[-max(parts, hop // self._mel_config.hop) :]
        learning = round(_LEARNING_SECONDS * in_a_second)
        pieces = np.array_split(newest, parts) if parts > 1 else [newest]
        excess = max(
            recent.add(_spectrum(piece), window.stop - hop + hop * number // parts, learning)
            for number, piece in enumerate(pieces, start=1)
        )
        if recent.stop != window.stop - hop:  # audio before a gap may be long ago
            excess = float("inf")
        if excess > _DEVIATIONS:
            recent.stood_out = window.stop
        if excess > _CLEAR_DEVIATIONS:
            recent.stood_out_clearly = window.stop
        recent.stop = window.stop
        middle = (window.start + window.stop) / 2
        if recent.stood_out > middle or window.start - hop < recent.stood_out <= window.start:
            recent.changed = window.stop
            if recent.changed_first <= taken:
                recent.changed_first = window.stop
        return _is_due(recent, window, hop, taken)

    def heard(self, window: Window) -> None:
        """Take note that a label may have been heard in a window: nothing counts as like it."""
        recent = self._recent.get(window.source)
        if recent is not None:
            recent.calm &= (recent.stops <= window.start) | (recent.stops > window.stop)

    def forget(self) -> None:
        """Forget everything: in what was heard so far, no other label was looked for."""
        self._recent.clear()


def _is_due(recent: _Recent, window: Window, hop: int, taken: int) -> bool:
    length = window.stop - window.start
    if recent.changed <= taken or window.stop - taken < max(1, int(_SPACING * length / hop)) * hop:
        return False
    is_clear = recent.stood_out_clearly > taken
    return is_clear or window.stop - recent.changed_first >= int(_WAIT * length / hop) * hop


def _spectrum(power: Power) -> NDArray[np.float32]:
    return decibels(power.mean(axis=0))


def _nearest(spectrum: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """Return the RMS distance to the nearest of some spectra in dB; infinite without any."""
    if not len(others):
        return float("inf")
    apart = others - spectrum
    return float(np.sqrt(np.einsum("nb,nb->n", apart, apart).min() / len(spectrum)))


def _excess(distance: float, distances: NDArray[np.float32]) -> float:
    """Return how many deviations a distance is above the median of others."""
    median = _median(distances)
    deviation = _NORMAL * _median(np.abs(distances - median))
    return float((distance - median) / max(deviation, _SMALLEST_DEVIATION))


def _median(values: NDArray[np.float32]) -> float:
    """Return the median, five times as fast as numpy's for so few values."""
    ordered, half = np.sort(values), len(values) // 2
    return float(np.mean(ordered[half - 1 + len(values) % 2 : half + 1]))
