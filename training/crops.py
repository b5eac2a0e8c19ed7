"""Draw random crops of clips, and what is true of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training import geometry as g
from training.sounds import Sound
from training.store import Clip

SHARES = {"esc10": 0.22, "donateacry": 0.01, "speech": 0.08, "music": 0.09, "": 0.25}
"""Shares of the draws; all other labels together get the rest."""

RARITY = 0.6
"""Weight of a clip is (number of clips with its label) ** -RARITY."""


@dataclass(frozen=True)
class Crop:
    """A stretch of a clip: frames ``[start, stop)``."""

    clip: Clip
    start: int
    stop: int


class Drawer:
    """Draw clips by share, and a place in them where the label can be heard."""

    def __init__(self, clips: Sequence[Clip], rng: np.random.Generator) -> None:
        self._clips = clips
        self._rng = rng
        self._cumulated = np.cumsum(weights(clips))

    def draw(self, frames: int = g.FRAMES) -> Crop:
        """At most ``frames`` frames with a loud frame somewhere among them."""
        at = int(np.searchsorted(self._cumulated, self._rng.random()))
        clip = self._clips[min(at, len(self._clips) - 1)]
        length = min(frames, len(clip.mel))
        loud = int(self._rng.choice(clip.loud))
        margin = min(10, length // 3)
        low = max(0, loud + margin - length)
        high = max(low, min(loud - margin, len(clip.mel) - length))
        start = min(int(self._rng.integers(low, high + 1)), len(clip.mel) - length)
        return Crop(clip, start, start + length)


def weights(clips: Sequence[Clip]) -> npt.NDArray[np.float64]:
    """Probability of each clip, shape (clips,)."""
    groups = [_group(clip) for clip in clips]
    count = Counter(clip.label for clip in clips)
    raw = np.array(
        [
            min(len(clip.mel), 20 * g.FRAMES_PER_S) ** 0.5
            if group in ("", "speech", "music")
            else count[clip.label] ** -RARITY
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


def _group(clip: Clip) -> str:
    if clip.source != "corpus":
        return clip.source
    return clip.label if clip.label in SHARES else "named"


@dataclass(frozen=True)
class Truth:
    """What is known about crops, for the sounds in order (classes, then labels)."""

    present: npt.NDArray[np.float32]
    """Probability that each sound is there, shape (..., sounds)."""
    weight: npt.NDArray[np.float32]
    """How sure that is; 0 where a label neither confirms nor denies, same shape."""
    label: npt.NDArray[np.int64]
    """Index of the sound that names the crop, or -1, shape (...)."""


class Judge:
    """Tell what is in a crop from its label and the teacher's scores."""

    def __init__(self, labels: Sequence[Sound]) -> None:
        self._index = {sound.name: i for i, sound in enumerate(labels)}
        self._classes = [np.array(sound.classes, dtype=int) for sound in labels]
        self._related = np.array([[not set(a.classes).isdisjoint(b.classes) for b in labels] for a in labels])

    def __call__(self, label: str, scores: npt.NDArray[np.float16]) -> Truth:
        """Judge a crop with teacher ``scores`` of shape (rows, CLASSES)."""
        heard = scores.max(axis=0).astype(np.float32)
        present = np.array([heard[c].max(initial=0) for c in self._classes], dtype=np.float32)
        weight = np.full(len(present), 0.5, dtype=np.float32)
        index = self._index.get(label, -1)
        if index >= 0:
            weight = np.where(self._related[index], 0, 1).astype(np.float32)
            present *= 0.5  # the teacher's doubts about what the label does not name
            present[index] = weight[index] = 1
            index += len(heard)
        return Truth(
            np.concatenate([heard, present]),
            np.concatenate([np.ones_like(heard), weight]),
            np.array(index),
        )
