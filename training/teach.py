"""Step `teach`: train the teacher CLAP on cached vectors (two minutes).

It is asked for the presence of every sound, for the label of what stands out, and for the order in which
YAMNet has the windows for each of its classes: presence asks nothing of the faint, for .001 and .02 are
both next to nothing, and yet a window of the second kind is the one that coughs.
"""

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
from training.batches import choices, draw_rows
from training.judge import Judge
from training.losses import divergence
from training.places import Places
from training.sounds import Sound, find_sounds
from training.store import HeldBack, Soundscapes, load_held_back, load_soundscapes
from training.teacher import BIAS, SCALE, Teacher, principal_map
from training.tuning import Light, light_test

LOG = logging.getLogger(__name__)
WINDOWS = 100_000
"""Windows drawn and judged once; the steps draw from them."""

STEPS = 4_000
BATCH = 192
TOP_RATE = 1e-3
TEXT_RATE = 3e-4
START_SIZE = 2.0
STAY = 0.3
"""Size of the text map's start (principal components) and weight of its squared distance
from there: it must hold for sentences nobody listed, so it moves little."""

ORDER = 10.0
"""Weight of the order of the windows; 5 was a little worse (training/history.md, "A thirteenth sitting")."""

LOUDEST, LEAST_SPREAD = 8.0, 1e-3
"""Deviations that count, and the least that one is: a class that hardly comes must not be all there is."""

WORD_NOISE = 0.01
"""Deviation of each MiniLM coordinate (unit vectors of 384: 0.2 in all)."""

NAMING = 2.0
"""Weight of naming labelled windows among all labels, beside the presence of each sound."""


@dataclass(frozen=True)
class Windows:
    """Judged windows, one a row; see `judge.Truth`."""

    features: Tensor
    present: Tensor
    weight: Tensor
    named: Tensor
    order: Tensor
    """How much of each of YAMNet's classes they have, see `deviations`, shape (windows, CLASSES)."""


def teach(places: Places) -> None:
    """Train, test and save the teacher."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    bank = load_bank(places.phrases)
    _, labels = find_sounds(places.class_map)
    windows = judged_windows(load_soundscapes(places.soundscapes), Judge(labels), rng)
    vectors = torch.from_numpy(bank.vectors.astype(np.float32))
    teacher = fit(bank, vectors, windows, rng)
    tune = load_held_back(places.audio)
    LOG.info("teacher: %s", test_teacher(teacher, tune, bank, vectors, labels))
    places.runs.mkdir(parents=True, exist_ok=True)
    torch.save(teacher.state_dict(), places.runs / "teacher.pt")


def judged_windows(
    parts: Sequence[Soundscapes], judge: Judge, rng: np.random.Generator, count: int = WINDOWS
) -> Windows:
    """Draw as `batches` does, and judge, ``count`` windows, as many from each part."""
    features, scores, truths = [], [], []
    for part in parts:
        rows = draw_rows(part, count // len(parts), rng, choices(part))
        features.append(torch.from_numpy(part.features[rows].astype(np.float32)))
        scores.append(torch.from_numpy(part.scores[rows].astype(np.float32)))
        truths.append(judge(part.labels[rows], part.scores[rows]))
    return Windows(
        torch.cat(features),
        torch.from_numpy(np.concatenate([truth.present for truth in truths])),
        torch.from_numpy(np.concatenate([truth.weight for truth in truths])),
        torch.from_numpy(np.concatenate([truth.named for truth in truths])),
        deviations(torch.cat(scores)),
    )


def deviations(scores: Tensor) -> Tensor:
    """Square roots of class scores in deviations of their class, at most `LOUDEST`, (windows, CLASSES)."""
    roots = scores.sqrt()
    spread = roots.std(0).clamp_min(LEAST_SPREAD)
    return ((roots - roots.mean(0)) / spread).clamp_max(LOUDEST)


def fit(
    bank: Bank, vectors: Tensor, windows: Windows, rng: np.random.Generator, steps: int = STEPS
) -> Teacher:
    """Fit both maps to the presence of every sound."""
    listed = torch.from_numpy(np.unique(np.concatenate(bank.groups)))
    mean, directions = principal_map(vectors[listed])
    start = START_SIZE * directions
    teacher = Teacher(mean, start)
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
        loss = objective(teacher, words, draw(windows, rng)) + STAY * drift
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    LOG.info("loss %.2f, drift of the text map %.3f", loss.detach(), drift.detach())
    return teacher.eval().requires_grad_(False)


def draw(windows: Windows, rng: np.random.Generator) -> Windows:
    """A batch, what the teacher heard at a random level."""
    rows = torch.from_numpy(rng.integers(0, len(windows.features), BATCH))
    level = torch.exp(0.2 * torch.randn(BATCH, 1))
    return Windows(
        windows.features[rows] * level,
        windows.present[rows],
        windows.weight[rows],
        windows.named[rows],
        windows.order[rows],
    )


def objective(teacher: Teacher, words: Tensor, windows: Windows) -> Tensor:
    """Presence of every sound (sentences ``words``, one each), naming of labelled windows, order of all."""
    cosines = teacher.sound(windows.features) @ words.T
    logits = SCALE * cosines + BIAS
    presence = binary_cross_entropy_with_logits(logits, windows.present, reduction="none")
    named = windows.named >= 0
    naming = cross_entropy(
        SCALE * cosines[named][:, g.CLASSES :], windows.named[named] - g.CLASSES, label_smoothing=0.05
    )
    order = divergence(SCALE * cosines[:, : g.CLASSES], windows.order)
    return (windows.weight * presence).sum(1).mean() + NAMING * naming + ORDER * order


def test_teacher(
    teacher: Teacher, clips: Sequence[HeldBack], bank: Bank, vectors: Tensor, labels: Sequence[Sound]
) -> Light:
    """The light test on the mean features of whole clips."""
    mean = np.stack([clip.features.mean(axis=0, dtype=np.float32) for clip in clips])
    sounds = teacher.sound(torch.from_numpy(mean)).numpy()
    return light_test(clips, sounds, teacher.text(vectors).numpy(), bank, labels)
