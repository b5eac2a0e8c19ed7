"""Training windows: seconds out of soundscapes, with what the teacher heard in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training import geometry as g
from training.augment import harden, leveled
from training.judge import Judge
from training.store import Soundscapes, to_decibels

NAMED = 0.6
"""Share of the windows in which a label stands out; of all there are it is about 0.3."""

RARITY = 0.5
"""Such a window's weight is (number of windows with its label) ** -RARITY."""

JITTER = 3
"""A window begins up to so many frames (less one) after the teacher's, which is 25 ms shorter."""


@dataclass(frozen=True)
class Batch:
    """Windows and their truth; shapes start with (batch,)."""

    mel: Tensor
    """dB, (batch, 1, FRAMES, MELS)."""
    present: Tensor
    """(batch, sounds)."""
    weight: Tensor
    """(batch, sounds)."""
    named: Tensor
    """Sound that names the window, or -1."""
    features: Tensor
    """The teacher's, (batch, FEATURES)."""


class Batches:
    """Draw batches of windows for ever."""

    def __init__(self, parts: Sequence[Soundscapes], judge: Judge, rng: np.random.Generator) -> None:
        self._parts, self._judge, self._rng = parts, judge, rng
        self._named = [np.flatnonzero(part.labels >= 0) for part in parts]
        self._cumulated = [
            np.cumsum(weights(part.labels[named])) for part, named in zip(parts, self._named, strict=True)
        ]

    def draw(self, size: int, *, hardened: bool = True) -> Batch:
        """One batch of ``size`` windows, as they are for training, or just at one level."""
        number = int(self._rng.integers(len(self._parts)))
        part, rows = self._parts[number], self._rows(number, size)
        starts = part.starts[rows] + self._rng.integers(0, JITTER, size)
        steps = np.stack([part.mel[start : start + g.FRAMES] for start in starts])
        mel = torch.from_numpy(to_decibels(steps))
        mel = harden(mel, self._rng) if hardened else leveled(mel)
        truth = self._judge(part.labels[rows], part.scores[rows])
        return Batch(
            mel[:, None],
            torch.from_numpy(truth.present),
            torch.from_numpy(truth.weight),
            torch.from_numpy(truth.named),
            torch.from_numpy(part.features[rows].astype(np.float32)),
        )

    def _rows(self, number: int, size: int) -> npt.NDArray[np.intp]:
        """Rows of a part, in order, which is how they are read fastest."""
        named, every = self._named[number], len(self._parts[number].starts)
        rows = self._rng.integers(0, every, size)
        if len(named):
            drawn = np.searchsorted(self._cumulated[number], self._rng.random(size))
            chosen = named[np.minimum(drawn, len(named) - 1)]
            rows = np.where(self._rng.random(size) < NAMED, chosen, rows)
        return np.sort(rows)


def weights(labels: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Probability of each window by its label, shape (windows,)."""
    _, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
    raw: npt.NDArray[np.float64] = counts[own] ** -RARITY
    return raw / raw.sum()
