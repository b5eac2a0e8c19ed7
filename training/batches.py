"""Training windows: seconds out of soundscapes, with what the teacher heard in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training import geometry as g
from training.augment import harden
from training.judge import Judge
from training.store import Soundscapes, to_decibels

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

    def draw(self, size: int) -> Batch:
        """One batch of ``size`` windows."""
        part = self._parts[self._rng.integers(len(self._parts))]
        rows = np.sort(self._rng.integers(0, len(part.starts), size))
        starts = part.starts[rows] + self._rng.integers(0, JITTER, size)
        steps = np.stack([part.mel[start : start + g.FRAMES] for start in starts])
        mel = harden(torch.from_numpy(to_decibels(steps)), self._rng)
        truth = self._judge(part.labels[rows], part.scores[rows])
        return Batch(
            mel[:, None],
            torch.from_numpy(truth.present),
            torch.from_numpy(truth.weight),
            torch.from_numpy(truth.named),
            torch.from_numpy(part.features[rows].astype(np.float32)),
        )
