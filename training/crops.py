"""Draw stretches of recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training import geometry as g
from training.sound import Samples
from training.store import Clip, to_float32

SHARES = {"esc10": 0.1, "donateacry": 0.01, "speech": 0.05, "music": 0.05, "": 0.1, "further": 0.4}
"""Shares of the draws; all other labels together get the rest."""

RARITY = 0.6
"""Weight of a clip is (number of clips with its label, or that the teacher takes for the same)
** -RARITY."""

STEP = g.RATE // 20
"""Samples of a step of the envelope by which a loud place is found: 50 ms."""

LOUD = 0.1
"""A step with this much of the loudest one's amplitude (-20 dB) holds something of its label."""


class Drawer:
    """Draw clips by share, and a place in them where the label can be heard."""

    def __init__(self, clips: Sequence[Clip], rng: np.random.Generator) -> None:
        self._clips = clips
        self._rng = rng
        self._cumulated = np.cumsum(weights(clips))

    def draw(self, longest: int) -> tuple[Clip, Samples]:
        """At most ``longest`` samples of a clip with a loud place somewhere among them."""
        at = int(np.searchsorted(self._cumulated, self._rng.random()))
        clip = self._clips[min(at, len(self._clips) - 1)]
        wave, length = clip.wave, min(longest, len(clip.wave))
        loud = int(self._rng.choice(loud_steps(wave))) * STEP
        low = max(0, loud + STEP - length)
        high = max(low, min(loud, len(wave) - length))
        start = min(int(self._rng.integers(low, high + 1)), len(wave) - length)
        return clip, to_float32(wave[start : start + length])


def loud_steps(wave: npt.NDArray[np.int16]) -> npt.NDArray[np.intp]:
    """Steps with at least `LOUD` of the loudest one's peak."""
    peaks = np.abs(wave[:: 1 + STEP // 600].astype(np.int32))
    per_step = STEP // (1 + STEP // 600)
    count = max(1, len(peaks) // per_step)
    peaks = np.array([part.max(initial=0) for part in np.array_split(peaks, count)])
    return np.flatnonzero(peaks >= LOUD * peaks.max())


def weights(clips: Sequence[Clip]) -> npt.NDArray[np.float64]:
    """Probability of each clip, shape (clips,)."""
    groups = [_group(clip) for clip in clips]
    count = Counter(_kind(clip) for clip in clips)
    raw = np.array(
        [
            min(len(clip.wave), 20 * g.RATE) ** 0.5
            if group in ("", "speech", "music")
            else count[_kind(clip)] ** -RARITY
            for clip, group in zip(clips, groups, strict=True)
        ]
    )
    shares = SHARES | {"named": 1 - sum(SHARES.values())}
    result: npt.NDArray[np.float64] = np.zeros(len(clips))
    for group, share in shares.items():
        chosen = np.array([own == group for own in groups])
        if chosen.any():
            result[chosen] = share * raw[chosen] / raw[chosen].sum()
    result /= result.sum()
    return result


def _kind(clip: Clip) -> tuple[str, int]:
    """What a clip has in common with others: the label, or what the teacher takes it for."""
    return clip.label, clip.heard


def _group(clip: Clip) -> str:
    if clip.source == "mined":
        return "further"
    if clip.source != "corpus":
        return clip.source
    return clip.label if clip.label in SHARES else "named"
