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

NAMED = 0.3
"""Share of the windows in which a label stands out; of all there are it is about 0.2."""

LIKENED = 0.45
"""Share of the windows that are drawn by what the teacher takes them for, rare classes more often."""

SURE = 0.2
"""Score from which on the teacher takes a window for something."""

RARITY = 0.5
"""Such a window's weight is (number of windows with its label or class) ** -RARITY."""

AUDIBLE_DB = (-12.0, -6.0)
"""An event as far as the first beneath everything else is not asked for, from the second on in full."""

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
    alone: Tensor
    """The teacher's of the loudest event by itself, (batch, FEATURES)."""
    audible: Tensor
    """From 0 (no event, or one too faint) to 1, (batch,)."""


class Batches:
    """Draw batches of windows for ever."""

    def __init__(self, parts: Sequence[Soundscapes], judge: Judge, rng: np.random.Generator) -> None:
        self._parts, self._judge, self._rng = parts, judge, rng
        self._choices = [choices(part) for part in parts]

    def draw(self, size: int, *, hardened: bool = True) -> Batch:
        """One batch of ``size`` windows, as they are for training, or just at one level."""
        number = int(self._rng.integers(len(self._parts)))
        part = self._parts[number]
        rows = draw_rows(part, size, self._rng, self._choices[number])
        starts = part.starts[rows] + self._rng.integers(0, JITTER, size)
        steps = np.stack([part.mel[start : start + g.FRAMES] for start in starts])
        mel = torch.from_numpy(to_decibels(steps))
        mel = harden(mel, self._rng) if hardened else leveled(mel)
        heard = audible(part.leads[rows])
        alone = part.alone_scores[rows] * heard[:, None]
        truth = self._judge(part.labels[rows], np.maximum(part.scores[rows], alone.astype(np.float16)))
        return Batch(
            mel[:, None],
            torch.from_numpy(truth.present),
            torch.from_numpy(truth.weight),
            torch.from_numpy(truth.named),
            torch.from_numpy(part.features[rows].astype(np.float32)),
            torch.from_numpy(part.alone_features[rows].astype(np.float32)),
            torch.from_numpy(heard),
        )


class Choice:
    """Draw windows that belong to something, what is rare more often than it comes.

    Parameters
    ----------
    groups
        What each window belongs to, -1 if to nothing, shape (windows,).
    """

    def __init__(self, groups: npt.NDArray[np.int16]) -> None:
        self._rows = np.flatnonzero(groups >= 0)
        self._cumulated = np.cumsum(weights(groups[self._rows]))

    def draw(self, size: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        """Rows, -1 for each if there is none at all."""
        if not len(self._rows):
            return np.full(size, -1)
        drawn = np.searchsorted(self._cumulated, rng.random(size))
        return self._rows[np.minimum(drawn, len(self._rows) - 1)]


def audible(decibels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """How far an event is asked for, 0 to 1, by its power over everything else; see `AUDIBLE_DB`."""
    faint, clear = AUDIBLE_DB
    return np.clip((decibels - faint) / (clear - faint), 0, 1).astype(np.float32)


def choices(part: Soundscapes) -> tuple[Choice, Choice]:
    """By label, and by what the teacher takes a window for."""
    return Choice(part.labels), Choice(likened(part.scores))


def draw_rows(
    part: Soundscapes, size: int, rng: np.random.Generator, ways: tuple[Choice, Choice]
) -> npt.NDArray[np.intp]:
    """Rows of a part, drawn in three ways (`NAMED`, `LIKENED`); sorted, for so they are read fastest."""
    named, like = (way.draw(size, rng) for way in ways)
    rows = rng.integers(0, len(part.starts), size)
    share = rng.random(size)
    rows = np.where((share < NAMED) & (named >= 0), named, rows)
    rows = np.where((share > 1 - LIKENED) & (like >= 0), like, rows)
    return np.sort(rows)


def likened(scores: npt.NDArray[np.float16]) -> npt.NDArray[np.int16]:
    """The class that the teacher is surest of, -1 where it is sure of none, shape (windows,)."""
    best = scores.argmax(axis=1)
    sure = scores[np.arange(len(scores)), best] >= SURE
    return np.where(sure, best, -1).astype(np.int16)


def weights(groups: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Probability of each window by its label or class, shape (windows,)."""
    _, own, counts = np.unique(groups, return_inverse=True, return_counts=True)
    raw: npt.NDArray[np.float64] = counts[own].astype(np.float64) ** -RARITY
    return raw / raw.sum()
