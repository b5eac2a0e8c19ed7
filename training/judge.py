"""Judge what is there in a window, from the teacher's class scores and the label of what leads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training import geometry as g
from training.sounds import Sound

DOUBT = 0.5
"""Weight of a label that only the teacher's scores speak for, and the factor on what they say
of labels unrelated to the one that leads."""


@dataclass(frozen=True)
class Truth:
    """What is known about windows, for the sounds in order (classes, then labels)."""

    present: npt.NDArray[np.float32]
    """Probability that each sound is there, shape (windows, sounds)."""
    weight: npt.NDArray[np.float32]
    """How sure that is, from 0 (nobody knows) to 1, same shape."""
    named: npt.NDArray[np.int64]
    """Index of the sound that names each window, -1 if none does, shape (windows,)."""


class Judge:
    """Combine labels with the teacher's scores."""

    def __init__(self, labels: Sequence[Sound]) -> None:
        longest = max(len(sound.classes) for sound in labels)
        self._classes = np.full((len(labels), max(1, longest)), g.CLASSES)
        for row, sound in zip(self._classes, labels, strict=True):
            row[: len(sound.classes)] = sound.classes
        self._related = np.array([[not set(a.classes).isdisjoint(b.classes) for b in labels] for a in labels])

    def __call__(self, labels: npt.NDArray[np.int16], scores: npt.NDArray[np.float16]) -> Truth:
        """Judge windows.

        Parameters
        ----------
        labels
            Index of the label that stands out, -1 if none does, shape (windows,).
        scores
            Of the teacher's classes, shape (windows, CLASSES).
        """
        heard = scores.astype(np.float32)
        # the column after the last class is what a label without a class has: nothing
        padded = np.concatenate([heard, np.zeros((len(heard), 1), np.float32)], axis=1)
        present = padded[:, self._classes].max(axis=2)
        weight = np.full_like(present, DOUBT)
        rows = np.flatnonzero(labels >= 0)
        own = labels[rows]
        weight[rows] = np.where(self._related[own], 0, 1)
        present[rows] *= DOUBT
        present[rows, own] = weight[rows, own] = 1
        return Truth(
            np.concatenate([heard, present], axis=1),
            np.concatenate([np.ones_like(heard), weight], axis=1),
            np.where(labels >= 0, labels.astype(np.int64) + g.CLASSES, -1),
        )
