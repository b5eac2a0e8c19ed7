"""Losses of the audio tower: every sound present, the right name, the teacher's place and order."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    kl_div,
    log_softmax,
    normalize,
)

from training import geometry as g
from training.batches import Batch
from training.teacher import BIAS, SCALE, Teacher

NAMING, LIKENESS, ORDER = 2.0, 12.0, 12.0
"""Weights of naming labelled windows, of likeness to the teacher's embedding and of the windows' order,
beside the presence of every sound (a sum over about 620 of them)."""

REMEMBERED = 480
"""Earlier windows beside which a batch's have their order: a share of 512 windows is less of an accident."""


class Memory:
    """Windows of earlier steps, the tower's embeddings and the teacher's (He et al. 2020, "MoCo")."""

    def __init__(self, batch: int) -> None:
        self._kept: deque[tuple[Tensor, Tensor]] = deque(maxlen=REMEMBERED // batch)

    def beside(self, sounds: Tensor, taught: Tensor) -> tuple[Tensor, Tensor]:
        """The batch and what is remembered, both (windows, DIM); then remember the batch."""
        every = [(sounds, taught), *self._kept]
        self._kept.append((sounds.detach(), taught))
        several, theirs = zip(*every, strict=True)
        return torch.cat(several), torch.cat(theirs)


@dataclass(frozen=True)
class Losses:
    """Means over a batch."""

    presence: Tensor
    naming: Tensor
    likeness: Tensor
    order: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.presence + NAMING * self.naming + self.agreement

    @property
    def agreement(self) -> Tensor:
        """What is minimised where other towers have their say: there the lesson is all the truth."""
        return LIKENESS * self.likeness + ORDER * self.order


def compare(sounds: Tensor, words: Tensor, batch: Batch, taught: Tensor, memory: Memory) -> Losses:
    """Losses of embeddings ``sounds`` against a `lesson`, both (batch, DIM); ``words`` name each sound."""
    cosines = sounds @ words.T
    logits = SCALE * cosines + BIAS
    presence = binary_cross_entropy_with_logits(logits, batch.present, reduction="none")
    named = batch.named >= 0
    naming = cross_entropy(
        SCALE * cosines[named][:, g.CLASSES :],
        batch.named[named] - g.CLASSES,
        label_smoothing=0.05,
    )
    every, theirs = memory.beside(sounds, taught)
    return Losses(
        (batch.weight * presence).sum(1).mean(),
        naming if named.any() else presence.sum() * 0,
        unlikeness(sounds, taught),
        disorder(every @ words.T, theirs @ words.T) * len(every) / len(sounds),
    )


def lesson(batch: Batch, teacher: Teacher, others: Sequence[Tensor] = ()) -> Tensor:
    """Where each window is to lie, unit vectors (batch, DIM).

    Between what the teacher makes of the mixture and what it makes of its loudest event without the rest,
    as far as that one is audible; if it is, that counts twice as much.  The student hears more noise than its
    teacher, so that it learns to hear through it (as in Xie et al. 2020, "Self-training with Noisy Student").
    The embeddings of ``others``, towers that were taught already, count as much as that, each of them: the
    mean of several finds more than any (Hinton et al. 2015, "Distilling the knowledge in a neural network").
    """
    mixture, alone = teacher.sound(batch.features), teacher.sound(batch.alone)
    heard = batch.audible[:, None]
    taught = normalize((1 - heard / 2) * mixture + heard * alone, dim=-1)
    return normalize(torch.stack([taught, *others]).sum(0), dim=-1)


def unlikeness(sounds: Tensor, taught: Tensor) -> Tensor:
    """One minus the mean cosine between embeddings and the teacher's, both (batch, DIM), of unit length."""
    return 1 - (sounds * taught).sum(1).mean()


def disorder(cosines: Tensor, taught: Tensor) -> Tensor:
    """How differently several windows come off for each sentence, both (windows, sentences).

    Each sentence shares itself out among the windows (a softmax over them); this is the mean
    Kullback-Leibler divergence of the tower's shares from the teacher's.  The likeness of embeddings asks
    nothing of the order in which windows come for a sentence, and that order is what detection lives on.
    """
    return divergence(SCALE * cosines, SCALE * taught)


def divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean over the columns of the divergence between the rows' shares, both (rows, columns)."""
    mine, right = (log_softmax(each, dim=0) for each in (logits, wanted))
    return kl_div(mine, right, reduction="sum", log_target=True) / logits.shape[1]
