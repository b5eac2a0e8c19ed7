"""Compose training windows: one or two crops or bare noise, with what is true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training import geometry as g
from training.augment import harden, mix, noise, to_decibels, to_power, uniform
from training.crops import Crop, Drawer, Judge, Truth
from training.sounds import Sound
from training.store import Clip

MIXED = 0.35
"""Share of windows with a second sound."""

SNR_DB = (-3.0, 22.0)
BARE = 0.06
"""Share of windows with nothing but noise, at any level, or near silence."""

QUIET_DB = -85.0
"""Loudness (sum over bands) of bare noise under which it is called silence."""

CERTAIN = 0.3
"""Presence above which one sound of a mixture is enough to say so."""

LEADING_DB = 3.0
"""A sound this much above the other gives the mixture its name."""

NOISE_CLASSES = ("White noise", "Pink noise", "Noise", "Static")


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
    """The teacher's, mixed like the sounds, (batch, FEATURES)."""
    taught: Tensor
    """1 where ``features`` hold, 0 for bare noise."""


class Batches:
    """Draw batches of windows for ever."""

    def __init__(
        self,
        clips: Sequence[Clip],
        classes: Sequence[Sound],
        labels: Sequence[Sound],
        rng: np.random.Generator,
    ) -> None:
        self._rng = rng
        self._drawer = Drawer(clips, rng)
        self._judge = Judge(labels)
        names = [sound.name for sound in (*classes, *labels)]
        self._noise = [names.index(name) for name in (*NOISE_CLASSES, "noise")]
        self._silence = [names.index(name) for name in ("Silence", "silence")]

    def draw(self, size: int) -> Batch:
        """One batch of ``size`` windows."""
        rng = self._rng
        snr = np.where(rng.random(size) < MIXED, rng.uniform(*SNR_DB, size), np.inf)
        mels = np.full((2, size, g.FRAMES, g.MELS), g.FLOOR_DB, dtype=np.float16)
        facts = [self._compose(mels[:, i], float(snr[i])) for i in range(size)]
        truths, features = zip(*facts, strict=True)
        present = torch.from_numpy(np.stack([truth.present for truth in truths]))
        weight = torch.from_numpy(np.stack([truth.weight for truth in truths]))
        named = torch.from_numpy(np.stack([truth.label for truth in truths]))
        power = to_power(torch.from_numpy(mels).float())
        mixed = mix(power[0], power[1], torch.from_numpy(snr.astype(np.float32)))
        mel = harden(mixed, rng)
        bare = np.flatnonzero(rng.random(size) < BARE)
        if len(bare):
            mel[bare], quiet = self._bare(len(bare))
            present[bare] = 0
            weight[bare] = 1
            named[bare] = -1
            rows = torch.from_numpy(bare)
            present[rows[~quiet][:, None], torch.tensor(self._noise)] = 0.7
            present[rows[quiet][:, None], torch.tensor(self._silence)] = 0.9
        taught = torch.ones(size)
        taught[bare] = 0
        vectors = torch.from_numpy(np.stack(features))
        return Batch(mel[:, None], present, weight, named, vectors, taught)

    def _compose(self, mel: np.ndarray, snr_db: float) -> tuple[Truth, np.ndarray]:
        """Fill ``mel``, shape (2, FRAMES, MELS), and judge the mixture."""
        truth, features = self._place(mel[0])
        if np.isinf(snr_db):
            return truth, features
        other, others = self._place(mel[1])
        share = np.float32(1 / (1 + np.exp(-snr_db / 6)))
        return together(truth, other, snr_db), share * features + (1 - share) * others

    def _place(self, mel: np.ndarray) -> tuple[Truth, np.ndarray]:
        crop = self._drawer.draw()
        fill(mel, crop, self._rng)
        rows = crop.clip.rows(crop.start, crop.stop)
        features = crop.clip.features[rows].mean(axis=0, dtype=np.float32)
        return self._judge(crop.clip.label, crop.clip.scores[rows]), features

    def _bare(self, size: int) -> tuple[Tensor, Tensor]:
        """Noise in dB, and which of it is as good as silence, shape (size,)."""
        decibels = uniform(self._rng, -110, 0, size)
        power = noise((size, g.FRAMES, g.MELS), self._rng) * to_power(decibels)[:, None, None]
        return to_decibels(power), decibels < QUIET_DB


def fill(mel: np.ndarray, crop: Crop, rng: np.random.Generator) -> None:
    """Write a crop into a silent window: whole, repeated with gaps, or once somewhere."""
    sound = crop.clip.mel[crop.start : crop.stop]
    length, room = len(sound), len(mel)
    if length >= room:
        mel[:] = sound[:room]
    elif rng.integers(2):
        gap = int(rng.integers(0, 40)) if rng.integers(2) else 0
        for start in range(0, room, length + gap):
            mel[start : start + length] = sound[: room - start]
    else:
        cut = length // 3  # an event may hang over either edge of the window
        start = int(rng.integers(-cut, room - length + cut + 1))
        visible = sound[max(0, -start) : room - start]
        mel[max(0, start) : max(0, start) + len(visible)] = visible


def together(first: Truth, second: Truth, snr_db: float) -> Truth:
    """Judge a mixture: what is buried counts less, what may be is not denied."""
    loud = np.float32(np.clip(1 + snr_db / 10, 0.5, 1))
    soft = np.float32(np.clip(1 - snr_db / 25, 0.2, 1))
    present = np.maximum(loud * first.present, soft * second.present)
    weight = np.where(present > CERTAIN, 1, first.weight * second.weight).astype(np.float32)
    return Truth(present, weight, first.label if snr_db > LEADING_DB else np.array(-1))
