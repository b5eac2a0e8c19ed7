"""Scores in [0, 1] of each label, from an audio embedding, the prototypes and the baseline.

::

    near     n = cos(audio, label) - AGAINST_SHARE * softmax-weighted mean of cos(audio, prompt against it)
    margin   m = (n - mean) / deviation
             less RIVAL_SHARE of what the best fitting rival of the label fits better than m
    logit    z = scale * (m - centre)
    score    s = 1 / (1 + exp(-(z - SHARE * baseline)))

A softmax over the configured labels would make every score depend on which other labels there are,
and a single label would always score 1.  A raw cosine is not comparable between prompts; in deviations of
that prompt's cosine over all kinds of sound it nearly is (`cohort_norm`).  A constant for each prompt in
each room remains, and half of the room's own logit (`baseline`) removes most of it.  Subtracting *half* of
a high quantile did better than a median or a robust z-score on a comparable detector, and those never came
below one false alarm an hour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detection.calibration import SHARE, Calibration
from monitor.detection.prototypes import Prototypes, Rivals

Values = NDArray[np.float32]
"""One number for each label, shape (labels,)."""

AGAINST_SHARE = 0.1
"""Share of the similarity to the prompts against a label that is subtracted.

The whole of it makes a small checkpoint miss nearly everything (mean AUROC of 42 labels on clips 0.84, with
a quarter or nothing 0.88; benchmarks/decisions.py).  A tenth finds as much of the tuning scenes with the
starter as a quarter (0.17 of all events with one threshold), and leaves more of what lies near the
background, such as a helicopter near traffic; large checkpoints are reported to need some, which could not
be measured."""

AGAINST_TEMPERATURE = 0.05
"""Of the softmax over the prompts against a label, in cosine: those within this of the nearest one count."""

RIVAL_SHARE = 0.25
"""Share of the lead of a rival, a sound marked wrong, that is subtracted.

Chosen on ESC-10 from fold 2 to 3 and back, and on field-dev: with three rivals 0.8, 0.5 and 1.5 points more
mean average precision.  Twice of it did as well in the mean, and a share of the rival's whole similarity less
(benchmarks/learn.py)."""

SPEECH_DEVIATIONS = 0.75
"""A window is speech from this many deviations of the cosine above its mean ..."""

VOICE_DEVIATIONS = 1.0
"""... unless another voice is this many more above its own, in it or in the window before.

With the starter all of 8 dev clips of people speaking are found, 76 of 81 in which they speak beneath
another sound as loud, 61 of 81 where they are 6 dB below it, and 6 of 123 other clips are taken for speech
(benchmarks/speech_filter.py)."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What an embedding has in common with the prototypes, whatever the baseline of its source."""

    embedding: NDArray[np.float32]
    """Shape (d,)."""
    logits: Values
    without_against: Values
    """Logits without the prompts against each label."""
    nearest_against: tuple[str | None, ...]
    """As `nearest_against`."""
    speech: bool


def compared(
    embedding: NDArray[np.float32],
    prototypes: Prototypes,
    calibration: Calibration,
    before: NDArray[np.float32] | None = None,
) -> Compared:
    """Compare an embedding with the prototypes; ``before`` as for `is_speech`."""
    return Compared(
        embedding,
        logits(margins(embedding, prototypes), calibration),
        logits(similarities(embedding, prototypes), calibration),
        nearest_against(embedding, prototypes),
        is_speech(embedding, prototypes, before),
    )


def margins(embedding: NDArray[np.float32], prototypes: Prototypes) -> Values:
    """Similarity to each label, less a share of the similarity to the prompts against it, shape (labels,).

    In deviations of the label's cosine over all kinds of sound; a cosine if the checkpoint brings no
    `CohortNorm`.
    """
    own = similarities(embedding, prototypes)
    if not prototypes.is_against.shape[1]:
        return _less_rivals(own, embedding, prototypes)
    cosines = prototypes.against.vectors @ embedding
    has_against = np.any(prototypes.is_against, axis=1, keepdims=True)
    logits = np.where(prototypes.is_against | ~has_against, cosines / AGAINST_TEMPERATURE, -np.inf)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    mean = (weights / weights.sum(axis=1, keepdims=True)) @ cosines
    taken = AGAINST_SHARE * np.where(has_against[:, 0], mean, 0.0).astype(np.float32)
    return _less_rivals(own - taken / prototypes.directions.deviation, embedding, prototypes)


def _less_rivals(margin: Values, embedding: NDArray[np.float32], prototypes: Prototypes) -> Values:
    if prototypes.rivals is None:
        return margin
    lead = nearest_rivals(embedding, prototypes.rivals, len(margin)) - margin
    lower: Values = margin - np.float32(RIVAL_SHARE) * np.maximum(lead, 0.0)
    return lower


def nearest_rivals(embedding: NDArray[np.float32], rivals: Rivals, labels: int) -> Values:
    """Similarity to the most similar rival of each label, ``-inf`` without one, shape (labels,)."""
    nearest = np.full(labels, -np.inf, dtype=np.float32)
    np.maximum.at(nearest, rivals.labels, rivals.directions.z_scores(embedding))
    return nearest


def similarities(embedding: NDArray[np.float32], prototypes: Prototypes) -> Values:
    """Similarity to each label, without the prompts against it, shape (labels,)."""
    return prototypes.directions.z_scores(embedding)


def nearest_against(embedding: NDArray[np.float32], prototypes: Prototypes) -> tuple[str | None, ...]:
    """For each label, the prompt or rival that is most similar, if more similar than the label itself."""
    names, is_against = prototypes.against_prompts, prototypes.is_against
    z_scores = prototypes.against.z_scores(embedding)
    rivals = prototypes.rivals
    if rivals is not None:
        names = (*names, *(f"marked wrong: {name}" for name in rivals.names))
        own = rivals.labels == np.arange(len(prototypes.labels))[:, None]
        is_against = np.concatenate([is_against, own], axis=1)
        z_scores = np.concatenate([z_scores, rivals.directions.z_scores(embedding)])
    if not names:
        return (None,) * len(prototypes.labels)
    against = np.where(is_against, z_scores, -np.inf)
    best = against.argmax(axis=1)  # (labels,)
    wins = against.max(axis=1) > similarities(embedding, prototypes)
    return tuple(names[i] if won else None for i, won in zip(best, wins, strict=True))


def is_speech(
    embedding: NDArray[np.float32], prototypes: Prototypes, before: NDArray[np.float32] | None = None
) -> bool:
    """Return whether the audio is people speaking; False if the prototypes hold no speech.

    Without a `CohortNorm`: whether it is more similar to speech than to any label.

    Parameters
    ----------
    embedding : array, shape (d,)
    prototypes : Prototypes
    before : array, shape (d,), or None
        Embedding of the window before, if this one overlaps it: the end of a crow or a cry, alone in a
        window, no longer differs from a word.
    """
    speech = prototypes.speech
    if speech is None:
        return False
    if not speech.normalised:
        labels = prototypes.directions.vectors @ embedding
        return bool(speech.vectors[0] @ embedding > labels.max(initial=-1.0))
    windows = np.stack([embedding] if before is None else [embedding, before])
    z_scores = (windows @ speech.vectors.T - speech.mean) / speech.deviation  # (windows, 1 + voices)
    own, other = z_scores[0, 0], z_scores[:, 1:].max()
    return bool(own >= SPEECH_DEVIATIONS and own > other - VOICE_DEVIATIONS)


def logits(margin: Values, calibration: Calibration) -> Values:
    """Margins on the scale of the logistic function, shape (labels,)."""
    return (calibration.scale * (margin - calibration.centre)).astype(np.float32)


def scores(logit: Values, baseline: Values) -> Values:
    """Scores in [0, 1] above the baseline of each label, shape (labels,)."""
    # The logistic function; this form overflows nowhere, and keeps very small scores apart.
    score: Values = np.exp(-np.logaddexp(0.0, SHARE * baseline - logit)).astype(np.float32)
    return score
