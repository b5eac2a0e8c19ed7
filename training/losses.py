"""What the audio tower is asked for: every sound present, the right name, the teacher's place and layers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from training import geometry as g
from training.batches import Batch
from training.teacher import BIAS, SCALE, Teacher

NAMING, LIKENESS, HINTS = 1.0, 12.0, 5.0
"""Weights of naming labelled windows, of likeness to the teacher's embedding and of each hint, beside
the presence of every sound (a sum over about 620 of them)."""


@dataclass(frozen=True)
class Losses:
    """Means over a batch."""

    presence: Tensor
    naming: Tensor
    likeness: Tensor
    middle: Tensor
    last: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        whole = self.presence + NAMING * self.naming + LIKENESS * self.likeness
        return whole + HINTS * (self.middle + self.last)


def compare(
    sounds: Tensor, words: Tensor, batch: Batch, teacher: Teacher, hints: tuple[Tensor, Tensor]
) -> Losses:
    """Losses of embeddings ``sounds`` (batch, DIM) against one sentence for every sound, and the hints'."""
    cosines = sounds @ words.T
    logits = SCALE * cosines + BIAS
    presence = binary_cross_entropy_with_logits(logits, batch.present, reduction="none")
    named = batch.named >= 0
    naming = cross_entropy(
        SCALE * cosines[named][:, g.CLASSES :],
        batch.named[named] - g.CLASSES,
        label_smoothing=0.05,
    )
    return Losses(
        (batch.weight * presence).sum(1).mean(),
        naming if named.any() else presence.sum() * 0,
        unlikeness(sounds, teacher.sound(batch.features)),
        *hints,
    )


def unlikeness(sounds: Tensor, taught: Tensor) -> Tensor:
    """One minus the mean cosine between embeddings and the teacher's, both (batch, DIM), of unit length."""
    return 1 - (sounds * taught).sum(1).mean()
