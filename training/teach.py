"""Step `teach`: train the teacher CLAP on cached vectors (two minutes)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from tqdm import trange

from training import geometry as g
from training.bank import Bank, load_bank
from training.crops import Drawer, Judge
from training.places import Places
from training.sounds import Sound, find_sounds
from training.store import Clip, load_clips
from training.teacher import SCALE, Teacher, principal_map
from training.tuning import Light, light_test

LOG = logging.getLogger(__name__)
CROPS = 60_000
"""Crops drawn and judged once; the steps draw from them."""

STEPS = 4_000
BATCH = 192
TOP_RATE = 1e-3
TEXT_RATE = 3e-4
START_SIZE = 2.0
STAY = 0.3
"""Size of the text map's start (principal components) and weight of its squared distance
from there: it must hold for sentences nobody listed, so it moves little."""

WORD_NOISE = 0.01
"""Deviation of each MiniLM coordinate (unit vectors of 384: 0.2 in all)."""

NAMING = 0.7
"""Weight of naming labelled crops among all labels, beside the presence of each sound."""

MIXED = 0.3
"""Share of crops that are averaged with another one, to stand for mixtures."""

BURIED = 0.7
"""How much of the other sound's presence is asked for."""

RAREST, COMMONEST = 2e-4, 0.5
"""Bounds of the prior of a sound."""


@dataclass(frozen=True)
class Crops:
    """Judged crops, one a row; see `crops.Truth`."""

    features: Tensor
    present: Tensor
    weight: Tensor
    named: Tensor


def teach(places: Places) -> None:
    """Train, test and save the teacher."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    bank = load_bank(places.phrases)
    _, labels = find_sounds(places.class_map)
    crops = judged_crops(load_clips(places.audio, "train"), Judge(labels), rng)
    vectors = torch.from_numpy(bank.vectors.astype(np.float32))
    teacher = fit(bank, vectors, crops, rng)
    tune = load_clips(places.audio, "tune")
    LOG.info("teacher: %s", test_teacher(teacher, tune, bank, vectors, labels))
    places.runs.mkdir(parents=True, exist_ok=True)
    torch.save(teacher.state_dict(), places.runs / "teacher.pt")


def judged_crops(clips: Sequence[Clip], judge: Judge, rng: np.random.Generator, count: int = CROPS) -> Crops:
    """Draw ``count`` crops; their features are the mean over the teacher's rows."""
    drawer = Drawer(clips, rng)
    features = np.empty((count, g.FEATURES), dtype=np.float32)
    truths = []
    for i in trange(count, desc="crops", mininterval=10):
        crop = drawer.draw()
        rows = crop.clip.rows(crop.start, crop.stop)
        features[i] = crop.clip.features[rows].mean(axis=0, dtype=np.float32)
        truths.append(judge(crop.clip.label, crop.clip.scores[rows]))
    return Crops(
        torch.from_numpy(features),
        torch.from_numpy(np.stack([truth.present for truth in truths])),
        torch.from_numpy(np.stack([truth.weight for truth in truths])),
        torch.from_numpy(np.stack([truth.label for truth in truths])),
    )


def fit(bank: Bank, vectors: Tensor, crops: Crops, rng: np.random.Generator, steps: int = STEPS) -> Teacher:
    """Fit both maps to the presence of every sound in crops and mixtures."""
    listed = torch.from_numpy(np.unique(np.concatenate(bank.groups)))
    mean, directions = principal_map(vectors[listed])
    start = START_SIZE * directions
    teacher = Teacher(mean, start, prior_of(crops))
    optimiser = torch.optim.AdamW(
        [
            {"params": teacher.sound_map.parameters(), "weight_decay": 0.05, "top": TOP_RATE},
            {"params": [teacher.text_map], "weight_decay": 0.0, "top": TEXT_RATE},
        ]
    )
    for step in trange(steps, desc="teach", mininterval=10):
        for group in optimiser.param_groups:
            group["lr"] = group["top"] * 0.5 * (1 + math.cos(math.pi * step / steps))
        words = vectors[torch.from_numpy(bank.draw(rng))]
        words = teacher.text(words + WORD_NOISE * torch.randn_like(words))
        drift = (teacher.text_map - start).square().sum()
        loss = objective(teacher, words, mixtures(crops, rng)) + STAY * drift
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    LOG.info("loss %.2f, drift of the text map %.3f", loss.detach(), drift.detach())
    return teacher.eval().requires_grad_(False)


def prior_of(crops: Crops) -> Tensor:
    """Logit of how often each sound is present, shape (sounds,)."""
    share = (crops.present * crops.weight).sum(0) / crops.weight.sum(0).clamp_min(1)
    return share.clamp(RAREST, COMMONEST).logit()


def mixtures(crops: Crops, rng: np.random.Generator) -> Crops:
    """A batch of crops, some averaged with another, all at a random level."""
    one, two = torch.from_numpy(rng.integers(0, len(crops.features), (2, BATCH)))
    mixed = torch.rand(BATCH, 1) < MIXED
    both = (crops.features[one] + crops.features[two]) / 2
    level = torch.exp(0.3 * torch.randn(BATCH, 1))
    either = torch.maximum(crops.present[one], BURIED * crops.present[two])
    surely = crops.weight[one] * crops.weight[two]
    return Crops(
        torch.where(mixed, both, crops.features[one]) * level,
        torch.where(mixed, either, crops.present[one]),
        torch.where(mixed & (either < MIXED), surely, crops.weight[one]),
        torch.where(mixed[:, 0], -1, crops.named[one]),
    )


def objective(teacher: Teacher, words: Tensor, crops: Crops) -> Tensor:
    """Presence of every sound (sentences ``words``, one each) and naming of labelled crops."""
    cosines = teacher.sound(crops.features) @ words.T
    logits = SCALE * cosines + teacher.prior
    presence = binary_cross_entropy_with_logits(logits, crops.present, reduction="none")
    named = crops.named >= 0
    naming = cross_entropy(
        SCALE * cosines[named][:, g.CLASSES :], crops.named[named] - g.CLASSES, label_smoothing=0.05
    )
    return (crops.weight * presence).sum(1).mean() + NAMING * naming


def test_teacher(
    teacher: Teacher, clips: Sequence[Clip], bank: Bank, vectors: Tensor, labels: Sequence[Sound]
) -> Light:
    """The light test on the mean features of whole clips."""
    mean = np.stack([clip.features.mean(axis=0, dtype=np.float32) for clip in clips])
    sounds = teacher.sound(torch.from_numpy(mean)).numpy()
    return light_test(clips, sounds, teacher.text(vectors).numpy(), bank, labels)
