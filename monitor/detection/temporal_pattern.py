"""Temporal patterns of alarms: beeps of one pitch in the rhythm of a smoke alarm (T3) or a CO alarm (T4).

T3 is three beeps of half a second and a pause of 1.5 s (ISO 8201, NFPA 72); T4 is four beeps of a tenth of a
second and a pause of 5 s (NFPA 72, UL 2034).  A pattern is found if two groups of beeps follow each other at
the right distance, with quiet between the beeps, before the first group and between the groups.  One group is
not enough: many kitchen appliances end with three beeps.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Prominence = NDArray[np.float32]
"""Level of mel bins above their neighbours in dB, shape (frames, bins)."""

Indices = NDArray[np.intp]

Stretches = NDArray[np.float64]
"""Starts and stops in seconds after an onset, for each tolerance, shape (tolerances, stretches, 2)."""

BEEP_DB = 5.0
"""Every beep stands out of its neighbours in frequency by this much; noise does by 0 dB, within 1 dB."""

PAUSE_DB = 6.0
"""A frame that is this much less prominent than the faintest beep is quiet ..."""

QUIET_SHARE = 0.85
"""... and so is this share of the frames before the first group and in the pause: a word may fall into it."""

TOLERANCES = np.array([0.9, 0.94, 0.98, 1.02, 1.06, 1.1])
"""Factors of the length of beeps and gaps; the standards allow 10 %."""

_CYCLES = (0.88, 1.12)
"""Least and greatest distance between two groups, in cycles."""

_QUIET_BEFORE_SECONDS = 1.2
"""Quiet before the first group; a longer series of beeps has one there."""

_BEFORE_SECONDS = 0.1
"""The end of that quiet is left out: the onset is not known exactly."""

_REVERBERATION = 0.4
"""Share of a gap that is left out at its beginning: the room dies away."""

_DECAY_SECONDS = 0.35
"""The same for a pause, at most."""

_EDGE = 0.2
"""Share of a beep that is left out at both ends, and of a gap or a pause at its end."""

_PART_SECONDS = 0.25
"""Every part of a beep of this length is as loud as the whole: a shorter sound that dies away is none."""

_ROUNDING = 1e-6
"""In dB: means over the newest frames alone round differently."""

_STEP = 0.1
"""Share of a beep from one onset that is examined to the next."""


@dataclass(frozen=True, slots=True)
class TemporalPattern:
    """A group of equal beeps, which repeats; times in seconds."""

    name: str
    beeps: int
    on: float
    """Length of a beep."""
    off: float
    """Between two beeps of a group."""
    pause: float
    """Between two groups."""
    gap_db: float
    """How much more prominent every beep is than every gap.

    In a room that dies away in half a second, a gap of 0.1 s is 8 dB below its beeps on average, and less by
    chance; one of 0.5 s is 35 dB below."""

    @property
    def group(self) -> float:
        """From the first beep of a group to the end of its last."""
        return self.beeps * (self.on + self.off) - self.off

    @property
    def cycle(self) -> float:
        """From one group to the next."""
        return self.group + self.pause

    @property
    def history(self) -> float:
        """How far to look back: an alarm that sounds always shows two groups, and the quiet before them."""
        return _CYCLES[1] * (2 * self.cycle + self.group) + _QUIET_BEFORE_SECONDS


PATTERNS = (
    TemporalPattern("t3", beeps=3, on=0.5, off=0.5, pause=1.5, gap_db=6.0),
    TemporalPattern("t4", beeps=4, on=0.1, off=0.1, pause=5.0, gap_db=3.0),
)


class PatternSearch:
    """Search for the patterns in one band of one source while frames arrive.

    It finds what a new search of the same frames does.  Where nothing was found before, something is found
    only if its second group is new, so mostly only the newest frames are looked at.

    Parameters
    ----------
    frame_seconds : float
        Seconds from one frame to the next.
    """

    def __init__(self, frame_seconds: float) -> None:
        self._frame_seconds = frame_seconds
        self._searched: dict[str, tuple[int, int]] = {}
        """By pattern without success: the first frame of the last search, and that after its last."""

    def search(self, prominence: Prominence, first: int) -> frozenset[str]:
        """Return the names of the patterns that repeat in the newest frames, in one bin.

        Parameters
        ----------
        prominence : array, shape (frames, bins)
            Level of the bins of the alarm's band above their neighbours, in dB.
        first : int
            Number of its first frame.
        """
        stands_out = self._frame_seconds * np.count_nonzero(prominence >= BEEP_DB, axis=0)
        possible = [each for each in PATTERNS if (stands_out >= each.beeps * each.on).any()]
        wanted = [each for each in possible if self._may_be_new(each, prominence, first)]
        if not wanted:  # which spares most of the work
            return frozenset()
        means = _Means(prominence, self._frame_seconds)
        found = frozenset(pattern.name for pattern in wanted if _repeats(pattern, means))
        for pattern in wanted:
            self._searched.pop(pattern.name, None)
            if pattern.name not in found:
                self._searched[pattern.name] = first, first + len(prominence)
        return found

    def _may_be_new(self, pattern: TemporalPattern, prominence: Prominence, first: int) -> bool:
        """Return whether there may be a group that was not there in the last search, or was no search."""
        before = self._searched.get(pattern.name)
        step = _step(pattern, self._frame_seconds)
        if before is None or (first - before[0]) % step:  # other onsets are examined
            return True
        reach = pattern.off + TOLERANCES[-1] * pattern.group
        fresh = first + len(prominence) - before[1] + round(reach / self._frame_seconds) + 2 * step
        start = max(0, len(prominence) - fresh) // step * step
        newest = _Means(prominence[start:], self._frame_seconds)
        at, bins = _onsets(pattern, newest, _ROUNDING)
        return bool(len(at) and (_groups(pattern, newest, at, bins)[1] >= pattern.gap_db - _ROUNDING).any())


def _repeats(pattern: TemporalPattern, means: _Means) -> bool:
    """Return whether a group with quiet around it is followed by another, in the same bin or the next."""
    at, bins = _onsets(pattern, means)
    if not len(at):
        return False
    faintest, contrast = _groups(pattern, means, at, bins)
    best = contrast.argmax(axis=1)
    chosen = np.flatnonzero(contrast[np.arange(len(at)), best] >= pattern.gap_db)
    chosen = chosen[_follows(pattern, means, at[chosen], bins[chosen])]
    if not len(chosen):
        return False
    at, bins, best = at[chosen], bins[chosen], best[chosen]
    quiet = faintest[chosen, best] - PAUSE_DB
    end = at + np.rint(pattern.group * TOLERANCES[best] / means.frame_seconds).astype(np.intp)
    decay, rest = min(_DECAY_SECONDS, _REVERBERATION * pattern.pause), (1 - _EDGE) * pattern.pause
    before = means.share(at, bins, (-_QUIET_BEFORE_SECONDS, -_BEFORE_SECONDS), quiet)
    after = means.share(end, bins, (decay, rest), quiet)
    return bool(((before >= QUIET_SHARE) & (after >= QUIET_SHARE)).any())


def _groups(
    pattern: TemporalPattern, means: _Means, at: Indices, bins: Indices
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Faintest beep of the group at each onset, and its contrast to the gaps, shapes (onsets, tolerances)."""
    beeps, gaps = _stretches(pattern)
    faintest = means.at(at, bins, beeps).min(axis=2)
    contrast = np.nan_to_num(faintest - means.at(at, bins, gaps).max(axis=2), nan=0.0)
    return faintest, contrast


def _follows(pattern: TemporalPattern, means: _Means, at: Indices, bins: Indices) -> NDArray[np.bool_]:
    """Return for each group whether another follows at the right distance, in the same bin or the next."""
    frames, count = means.prominence.shape
    groups = np.zeros((frames + 1, count + 2), dtype=np.intp)
    for beside in (0, 1, 2):
        groups[at + 1, bins + beside] = 1
    until = np.cumsum(groups, axis=0)
    first, last = (np.minimum(at + means.frames(factor * pattern.cycle), frames) for factor in _CYCLES)
    return np.asarray(until[last, bins + 1] > until[first, bins + 1])


def _step(pattern: TemporalPattern, frame_seconds: float) -> int:
    """Frames from one onset to the next that is examined."""
    return max(1, round(_STEP * pattern.on / frame_seconds))


def _onsets(pattern: TemporalPattern, means: _Means, slack: float = 0.0) -> tuple[Indices, Indices]:
    """Frames and bins at which a beep between two gaps may begin; limits are lower by ``slack`` dB."""
    on, gap = pattern.on, pattern.off
    step = _step(pattern, means.frame_seconds)
    beep = means.every(step, _EDGE * on, (1 - _EDGE) * on)
    before = means.every(step, -(1 - _REVERBERATION) * gap, -_EDGE * gap)
    after = means.every(step, on + _REVERBERATION * gap, on + (1 - _EDGE) * gap)
    at, bins = np.nonzero(
        (beep >= BEEP_DB - slack) & (beep - np.maximum(before, after) >= pattern.gap_db - slack)
    )
    return step * at, bins


@lru_cache
def _stretches(pattern: TemporalPattern) -> tuple[Stretches, Stretches]:
    """Parts of the beeps of a group, and gaps between them."""
    on, off = pattern.on * TOLERANCES, pattern.off * TOLERANCES
    starts = [k * (on + off) for k in range(pattern.beeps)]
    parts = np.linspace(_EDGE, 1 - _EDGE, 1 + max(1, round(pattern.on / _PART_SECONDS)))
    beeps = [
        (start + first * on, start + last * on)
        for start in starts
        for first, last in itertools.pairwise(parts)
    ]
    gaps = [(start + on + _REVERBERATION * off, start + on + (1 - _EDGE) * off) for start in starts[:-1]]
    return _stacked(beeps), _stacked(gaps)


def _stacked(stretches: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Stretches:
    return np.array(stretches).transpose(2, 0, 1)


class _Means:
    """Means over stretches of frames; one that is not wholly there is NaN, which passes no comparison."""

    def __init__(self, prominence: Prominence, frame_seconds: float) -> None:
        self.prominence = prominence
        self.frame_seconds = frame_seconds
        self._sums = np.zeros((len(prominence) + 1, prominence.shape[1]))
        np.cumsum(prominence, axis=0, dtype=np.float64, out=self._sums[1:])

    def frames(self, seconds: float) -> int:
        """Number of frames in this many seconds, at least 1."""
        return max(1, round(seconds / self.frame_seconds))

    def every(self, step: int, start: float, stop: float) -> NDArray[np.float64]:
        """Mean of every bin from ``start`` to ``stop`` seconds after every ``step``-th frame."""
        first, length = round(start / self.frame_seconds), self.frames(stop - start)
        frames = len(self.prominence)
        low = step * -(-max(0, -first) // step)
        high = max(low, min(frames, frames - first - length + 1))
        sums = self._sums[low + first + length : high + first + length : step].copy()
        sums -= self._sums[low + first : high + first : step]
        mean = np.full((-(-frames // step), self.prominence.shape[1]), np.nan)
        mean[low // step : low // step + len(sums)] = sums / length
        return mean

    def at(self, at: Indices, bins: Indices, stretches: Stretches) -> NDArray[np.float64]:
        """Mean of the stretches after each onset, in its bin, shape (onsets, tolerances, stretches)."""
        places = np.rint(stretches / self.frame_seconds).astype(np.intp)
        first = at[:, None, None] + places[..., 0]
        last = np.maximum(at[:, None, None] + places[..., 1], first + 1)
        there = (first >= 0) & (last <= len(self.prominence))
        first, last = np.where(there, first, 0), np.where(there, last, 1)
        columns = bins[:, None, None]
        mean = (self._sums[last, columns] - self._sums[first, columns]) / (last - first)
        return np.where(there, mean, np.nan)

    def share(
        self, at: Indices, bins: Indices, stretch: tuple[float, float], level: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Share of the frames of a stretch after each of ``at``, in its bin, at or below a level."""
        frames = at[:, None] + np.arange(*(round(each / self.frame_seconds) for each in stretch))
        there = (frames[:, 0] >= 0) & (frames[:, -1] < len(self.prominence))
        values = self.prominence[np.where(there[:, None], frames, 0), bins[:, None]]
        return np.where(there, np.mean(values <= level[:, None], axis=1), np.nan)
