"""Step `directions`: where sentences have to point so that they separate sounds as YAMNet does.

The row of a class in YAMNet's last layer is what separates its sounds from all others, and no teacher of
sentences knows it.  So that direction is measured among the embeddings of a checkpoint's audio tower: least
squares, from embeddings to scores.  A sentence that names a sound moves towards its direction, a sentence
that is near such sentences towards theirs, and all other sentences stay where they are.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import ClapModel, PreTrainedTokenizerFast

from training.bank import Bank, load_bank
from training.minilm import embed
from training.phrases import clean
from training.places import Places
from training.sounds import Sound, find_everyday, find_sounds
from training.store import load_soundscapes
from training.tower import ears_of, frozen
from training.witness import Heard, hear_mined, hear_soundscapes, joined

LOG = logging.getLogger(__name__)
Vectors = npt.NDArray[np.float32]

FILE = "directions.npz"

RIDGE = 0.1
"""Of the least squares, in mean variances of the embeddings; 0.01 to 0.3 did equally well."""

DECIDING = 2
"""Classes of a label that decide: the first; the others of its list only do not contradict it."""

LABELLED = 0.7
"""Score of a window's own label where the teacher hears less of it."""

SURE, FEW = 0.3, 10
"""A class of which so few windows have that score moves its sentences half as far."""

MOVED = 0.65
"""Share of the way to the measured direction, both in deviations over all sounds."""

ASKED = ("{}", "the sound of {}", "{} can be heard", "i hear {}", "{} nearby")
"""Templates of the everyday sentences."""

GENERAL = 70_000
"""Phrases of general English that are drawn of all there are."""

NEIGHBOURS, SHARPNESS = 8, 25.0
"""How many named sentences a general one is composed of, and the scale of their cosines in the softmax."""

NEAR, SLOPE = 0.6, 0.06
"""Cosine of MiniLM to the nearest named sentence at which a general one moves half as far, and its slope."""

SOUND, OWN_WORDS = 4.0, 8.0
"""How much likelier sentences of sounds, and everyday ones, are drawn than general ones."""


@dataclass(frozen=True)
class Aims:
    """Sentences with the directions they have to learn."""

    phrases: list[str]
    vectors: Vectors
    """Unit length, shape (phrases, DIM)."""
    weights: npt.NDArray[np.float64]
    """How often each is drawn, shape (phrases,)."""
    sounds: Vectors
    """Embeddings of soundscapes, shape (windows, DIM)."""


@dataclass(frozen=True)
class Measured:
    """Directions of sounds."""

    rows: Vectors
    """With a deviation of 1 over all sounds, shape (sounds, DIM)."""
    share: npt.NDArray[np.float64]
    """How far its sentences move there, 0 to 1, shape (sounds,)."""


@dataclass(frozen=True)
class Spread:
    """Distribution of the embeddings of all sounds."""

    mean: Vectors
    covariance: Vectors

    @classmethod
    def of(cls, sounds: Vectors) -> Spread:
        """Measure it, of embeddings of shape (windows, DIM)."""
        return cls(sounds.mean(axis=0), np.cov(sounds.T, bias=True).astype(np.float32))

    def scaled(self, vectors: Vectors) -> Vectors:
        """Vectors, (n, DIM), with a deviation of 1 over all sounds."""
        deviation = np.sqrt(np.maximum(((vectors @ self.covariance) * vectors).sum(axis=1), 1e-8))
        return (vectors / deviation[:, None]).astype(np.float32)

    def without_mean(self, vectors: Vectors) -> Vectors:
        """Vectors, (n, DIM), less what they have of the direction of all sounds."""
        along = self.mean / np.linalg.norm(self.mean)
        return vectors - np.outer(vectors @ along, along)


@dataclass(frozen=True)
class Space:
    """What is known about sounds in the embedding space."""

    measured: Measured
    spread: Spread


def directions(places: Places, start: Path) -> None:
    """Measure with the audio tower of ``start``, and write where sentences have to point."""
    torch.set_num_threads(1)
    rng, tower = np.random.default_rng(0), frozen(ears_of(start))
    parts = [hear_soundscapes(part, tower, rng) for part in load_soundscapes(places.soundscapes)]
    sounds = joined(parts).embeddings
    heard = joined([*parts, hear_mined(places, tower, rng)])
    classes, labels = find_sounds(places.class_map)
    everyday = find_everyday(places.class_map)
    present = presence(heard, [*classes, *labels, *everyday], first_label=len(classes), labels=len(labels))
    named, general = collect(load_bank(places.phrases), everyday, len(classes))
    phrases = [*named, *general]
    LOG.info("%d windows, %d named sentences, %d others", len(present), len(named), len(general))
    spread = Spread.of(sounds)
    measured = measure(heard.embeddings, present, spread)
    today, meanings = read(start, phrases), embed(phrases).astype(np.float32)
    plain = clean(phrase for sound in (*classes, *labels, *everyday) for phrase in sound.phrases)
    anchors = np.array([row for row, phrase in enumerate(named) if phrase in plain])
    aims = compose(today, meanings, list(named.values()), anchors, Space(measured, spread))
    own_words = len(classes) + len(labels)
    weights = [OWN_WORDS if own[0] >= own_words else SOUND for own in named.values()]
    np.savez(
        places.runs / FILE,
        phrases=np.array(phrases),
        vectors=aims,
        weights=np.array(weights + [1.0] * len(general)),
        sounds=sounds,
    )


def load_aims(places: Places) -> Aims:
    """What the step wrote."""
    with np.load(places.runs / FILE) as kept:
        return Aims(kept["phrases"].tolist(), kept["vectors"], kept["weights"], kept["sounds"])


def presence(heard: Heard, sounds: Sequence[Sound], first_label: int, labels: int) -> Vectors:
    """How surely each sound is in each window, from 0 to 1, shape (windows, sounds).

    The highest score of its classes; of a label, the highest of those that decide, and its own windows.
    """
    present = np.zeros((len(heard.scores), len(sounds)), dtype=np.float32)
    for column, sound in enumerate(sounds):
        label = column - first_label
        is_label = 0 <= label < labels
        deciding = sound.classes[:DECIDING] if is_label else sound.classes
        if deciding:
            present[:, column] = heard.scores[:, deciding].max(axis=1)
        if is_label:
            present[heard.labels == label, column] = np.maximum(
                present[heard.labels == label, column], LABELLED
            )
    return present


def measure(embeddings: Vectors, present: Vectors, spread: Spread) -> Measured:
    """Least squares from embeddings to presence."""
    centred = embeddings - embeddings.mean(axis=0)
    gram = centred.T @ centred / len(centred)
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram), dtype=np.float32)
    rows = np.linalg.solve(gram, centred.T @ (present - present.mean(axis=0)) / len(centred)).T
    often = (present > SURE).sum(axis=0)
    return Measured(spread.scaled(rows), MOVED * often / (often + FEW))


def collect(
    bank: Bank, everyday: Sequence[Sound], classes: int
) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Sentences that name sounds, with the sounds' numbers, and a draw of the others.

    One of both a label and a class means the class; an everyday one means what it is listed for.
    """
    named: dict[str, set[int]] = {}
    for number, group in reversed(list(enumerate(bank.groups))):
        for phrase in (bank.phrases[row] for row in group):
            before = named.setdefault(phrase, set())
            if number < classes <= min(before, default=0):
                before.clear()
            before.add(number)
    first = len(bank.groups)
    for number, sound in enumerate(everyday):
        for phrase in clean(template.format(own) for own in sound.phrases for template in ASKED):
            named[phrase] = {first + number}
    held_out = {bank.phrases[row] for row in bank.held_out}
    named = {phrase: own for phrase, own in named.items() if phrase not in held_out}
    others = sorted(set(bank.phrases) - set(named) - held_out)
    general = random.Random(3).sample(others, min(GENERAL, len(others)))
    return {phrase: tuple(sorted(own)) for phrase, own in named.items()}, general


def compose(
    today: Vectors,
    meanings: Vectors,
    named: Sequence[tuple[int, ...]],
    anchors: npt.NDArray[np.intp],
    space: Space,
) -> Vectors:
    """Where each sentence has to point, unit vectors, shape (phrases, DIM).

    Parameters
    ----------
    today
        Where it points, shape (phrases, DIM).
    meanings
        MiniLM's, shape (phrases, 384).
    named
        Numbers of the sounds of each of the first phrases; the rest are general English.
    anchors
        Those of the first that the rest may be near.
    """
    measured, spread = space.measured, space.spread
    aims = spread.scaled(today)
    own = spread.scaled(np.stack([measured.rows[list(numbers)].mean(axis=0) for numbers in named]))
    share = np.array([measured.share[list(numbers)].mean() for numbers in named])
    count = len(named)
    aims[:count] += share[:, None] * (own - aims[:count])
    for rows in np.array_split(np.arange(count, len(aims)), 1 + len(aims) // 4096):
        likeness = meanings[rows] @ meanings[anchors].T
        places = np.argsort(-likeness, axis=1)[:, :NEIGHBOURS]
        close, nearest = np.take_along_axis(likeness, places, axis=1), anchors[places]
        weights = np.exp(SHARPNESS * (close - close.max(axis=1, keepdims=True)))
        weights /= weights.sum(axis=1, keepdims=True)
        composed = spread.scaled(np.einsum("nk,nkd->nd", weights, own[nearest]))
        moved = (weights * share[nearest]).sum(axis=1) / (1 + np.exp(-(close.max(axis=1) - NEAR) / SLOPE))
        aims[rows] += moved[:, None] * (composed - aims[rows])
    aims = spread.without_mean(aims)
    return (aims / np.linalg.norm(aims, axis=1, keepdims=True)).astype(np.float32)


@torch.inference_mode()
def read(checkpoint: Path, phrases: Sequence[str]) -> Vectors:
    """Where the sentences point in a checkpoint, shape (phrases, DIM)."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(checkpoint)
    model = ClapModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    order = np.argsort([len(phrase) for phrase in phrases], kind="stable")
    vectors = np.empty((len(phrases), model.config.projection_dim), dtype=np.float32)
    for rows in np.array_split(order, 1 + len(order) // 512):
        tokens = tokenizer([phrases[row] for row in rows], padding=True, return_tensors="pt")
        vectors[rows] = model.get_text_features(**tokens).pooler_output
    return vectors
