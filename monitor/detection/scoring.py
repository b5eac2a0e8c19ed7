"""Audio embedding + watchlist -> one score in [0, 1] for each label.

::

    near     n = cos(audio, prototype) - RIVAL_SHARE * softmax-weighted mean of cos(audio, rival)
    margin   m = (n - usual) / spread
    logit    z = scale * (m - centre)
    score    s = 1 / (1 + exp(-(z - SHARE * q90(z over this source's last minute) )))

A softmax over the configured labels would make every score depend on which other labels there are,
and one label alone score 1; a raw cosine is not comparable between sentences.  Counted in deviations of
what that sentence's cosine does over all kinds of sound it nearly is (`cohort_norm`).  What is left
is a constant for each sentence in each room, and half of what the room itself gives the label takes out
most of it.  Subtracting *half* of a high quantile did better than a median or a robust z-score on a
comparable detector, and those never came below one false alarm an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.detection.prototypes import Prototypes
from monitor.model.config_ranges import Range, check
from monitor.system.boundary import explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import ModelError

Values = NDArray[np.float32]
"""One number for each label, shape (labels,)."""

SHARE = 0.5
"""Share of the ambience's logit that is subtracted.

A quarter to the whole of it, over one to four minutes, find about as much of the tuning scenes with the
starter (0.14 to 0.17 of all events with a threshold for each label); so do hops of a quarter of a second,
means of two to four windows and whitened prototypes, or less."""

QUANTILE = 0.9
"""Of the last minute's logits: what the ambience gives a label when it is being most like it."""

MEMORY_SECONDS = 60.0

LARGEST_LOGIT = 1000.0
"""No window of any checkpoint gives more; what is kept of an ambience may hold anything."""

RIVAL_SHARE = 0.1
"""Share of what the rivals have of a window that is subtracted.

The whole of it makes a small checkpoint deaf (mean AUROC of 42 labels on clips 0.84, with a quarter or
nothing 0.88; benchmarks/decisions.py).  A tenth finds as much of the tuning scenes with the starter as a
quarter (0.17 of all events with one threshold), and leaves more of what lies near the background, as a
helicopter near traffic; large checkpoints are reported to need some, which could not be measured."""

SPEECH_DEVIATIONS = 0.75
"""A window sounds like speech from so many deviations of the cosine above its mean ..."""

VOICE_DEVIATIONS = 1.0
"""... unless another voice is so many more above its own, in it or in the window before.

With the starter all of 8 dev clips of people speaking are found, 76 of 81 in which they speak beneath
another sound as loud, 59 of 81 where they are 6 dB below it, and 4 of 123 other clips are taken for speech
(benchmarks/speech_guard.py)."""

RIVAL_TEMPERATURE = 0.05
"""Of the soft maximum over rivals, in cosine: rivals within this of the nearest one count."""


MOST_BYTES = 4_096
"""Of a file that holds a response."""

_RANGES = {
    "scale": Range(0, 1e6, whole=False, above=True),
    "centre": Range(-1e6, 1e6, whole=False),
    "ambience": Range(-LARGEST_LOGIT, LARGEST_LOGIT, whole=False),
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a checkpoint's margins become logits; belongs to the checkpoint."""

    scale: float
    """Logits per unit of margin."""
    centre: float
    """Margin whose logit is 0: the score is then 0.5 where the ambience has nothing of the label."""
    baseline: float
    """Logit that ordinary ambience gives a label at its 90th percentile; believed until heard."""


def margins(embedding: NDArray[np.float32], prototypes: Prototypes) -> Values:
    """How much nearer the audio is to each label than to what speaks against it, shape (labels,).

    In deviations of the label's cosine over all kinds of sound; for a checkpoint of which these are not
    known it is the cosine itself, less what its rivals take.
    """
    near = nearness(embedding, prototypes)
    if not prototypes.rivals.shape[1]:
        return near
    cosines = prototypes.rival_vectors @ embedding
    has_rival = np.any(prototypes.rivals, axis=1, keepdims=True)
    logits = np.where(prototypes.rivals | ~has_rival, cosines / RIVAL_TEMPERATURE, -np.inf)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    far = (weights / weights.sum(axis=1, keepdims=True)) @ cosines
    taken = RIVAL_SHARE * np.where(has_rival[:, 0], far, 0.0).astype(np.float32)
    margin: Values = near - taken / prototypes.spread
    return margin


def nearness(embedding: NDArray[np.float32], prototypes: Prototypes) -> Values:
    """How near the audio is to each label, whatever speaks against it, shape (labels,)."""
    near: Values = (prototypes.prototypes @ embedding - prototypes.usual) / prototypes.spread
    return near


def nearer(embedding: NDArray[np.float32], prototypes: Prototypes) -> tuple[str | None, ...]:
    """For each label, the sentence against it that the audio is nearest to, if nearer than to the label."""
    if not prototypes.rival_names:
        return (None,) * len(prototypes.labels)
    far = (prototypes.rival_vectors @ embedding - prototypes.rival_usual) / prototypes.rival_spread
    against = np.where(prototypes.rivals, far, -np.inf)  # (labels, rivals)
    best = against.argmax(axis=1)
    wins = against.max(axis=1) > nearness(embedding, prototypes)
    return tuple(prototypes.rival_names[i] if won else None for i, won in zip(best, wins, strict=True))


def is_speech(
    embedding: NDArray[np.float32], prototypes: Prototypes, before: NDArray[np.float32] | None = None
) -> bool:
    """Tell whether the audio sounds like people speaking; False if the watchlist does not ask.

    For a checkpoint of which no deviations are known: whether it is nearer to that than to any label.

    Parameters
    ----------
    embedding : array, shape (d,)
    prototypes : Prototypes
    before : array, shape (d,), or None
        Embedding of the window before, if this one overlaps it: the end of a crow or a cry, alone in a
        window, has lost what tells it from a word.
    """
    speech = prototypes.speech
    if speech is None:
        return False
    if speech.usual is None or speech.spread is None:
        return bool(speech.directions[0] @ embedding > (prototypes.prototypes @ embedding).max(initial=-1.0))
    heard = np.stack([embedding] if before is None else [embedding, before])
    deviations = (heard @ speech.directions.T - speech.usual) / speech.spread  # (windows, 1 + voices)
    own, other = deviations[0, 0], deviations[:, 1:].max()
    return bool(own >= SPEECH_DEVIATIONS and own > other - VOICE_DEVIATIONS)


def logits(margin: Values, response: Calibration) -> Values:
    """Margins on the scale of the logistic function, shape (labels,)."""
    return (response.scale * (margin - response.centre)).astype(np.float32)


def scores(logit: Values, baseline: Values) -> Values:
    """Probability-like scores in [0, 1], shape (labels,), given what the ambience gives each label."""
    # The logistic function; this form overflows nowhere, and keeps what is next to nothing apart.
    score: Values = np.exp(-np.logaddexp(0.0, SHARE * baseline - logit)).astype(np.float32)
    return score


class Baseline:
    """What one source's surroundings give each label: the 90th percentile of a minute of logits.

    Parameters
    ----------
    initial : array, shape (labels,)
        What is believed before the first minute is over: kept from the last run, or the checkpoint's.
    memory : int
        Windows in a minute.
    """

    def __init__(self, initial: Values, memory: int) -> None:
        self._logits = np.tile(initial.astype(np.float32), (max(1, memory), 1))
        self._next = np.zeros(len(initial), dtype=np.intp)
        self._level = initial.astype(np.float32)

    @property
    def level(self) -> Values:
        """The 90th percentile of each label's logits, shape (labels,)."""
        return self._level

    def carried_over(self, initial: Values, columns: Sequence[int | None]) -> Baseline:
        """Return the ambience of other labels, with what is known of those that stay.

        Parameters
        ----------
        initial : array, shape (labels,)
            What is believed of the others.
        columns : sequence of int or None
            For each label its place among those of today, None if it is another one.
        """
        other = Baseline(initial, len(self._logits))
        for to, at in enumerate(columns):
            if at is not None:
                other._logits[:, to] = self._logits[:, at]
                other._next[to] = self._next[at]
                other._level[to] = self._level[at]
        return other

    def update(self, logit: Values, frozen: NDArray[np.bool_]) -> None:
        """Take the next window; labels that are ``frozen`` (being heard now) keep what they had."""
        # One that is no number would make the level none for a minute, and every score with it.
        columns = np.flatnonzero(~frozen & np.isfinite(logit))
        self._logits[self._next[columns], columns] = logit[columns]
        self._next[columns] = (self._next[columns] + 1) % len(self._logits)
        self._level = np.quantile(self._logits, QUANTILE, axis=0).astype(np.float32)


def read_calibration(directory: Path) -> Calibration | None:
    """Return the response kept beside a checkpoint (``detection.json``), None if there is none."""
    path = directory / "detection.json"
    try:
        content = read_json(path, MOST_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, DamagedError) as error:
        raise ModelError(f"{path}: not a detection response: {explain(error)}") from error
    return calibration_of(content, f"{path}: not a detection response")


def calibration_of(content: object, where: str) -> Calibration:
    """Return the response that a JSON document describes; raises ModelError for what is none."""
    if not isinstance(content, dict):
        raise ModelError(f"{where}: holds no mapping of scale, centre and ambience")
    for name, allowed in _RANGES.items():
        check(content.get(name), allowed, f"{where}: {name}")
    return Calibration(*(float(content[name]) for name in _RANGES))


STANDARD_SENTENCES = (
    "a dog barking",
    "a baby crying",
    "glass breaking",
    "a smoke alarm beeping",
    "a doorbell ringing",
    "a car horn",
    "a person coughing",
    "footsteps on a wooden floor",
    "water running from a tap",
    "a cat meowing",
    "a bird singing",
    "a door being slammed",
)

_SMALLEST_SPREAD = 0.02


def estimate_calibration(background: NDArray[np.float32]) -> Calibration:
    """Guess a response from margins of sounds that are no event.

    For a checkpoint that brings none.  An event is then what stands three standard deviations above
    the ambience (once `SHARE` of the ambience is subtracted): the scale maps one deviation to 1.5,
    about the slope of a logistic regression on a detector of medium strength.

    Parameters
    ----------
    background : array, shape (sounds, sentences)
        Margins of synthetic noise, hum and tones to `STANDARD_SENTENCES`.
    """
    spread = max(float(background.std()), _SMALLEST_SPREAD)
    usual = float(np.quantile(background, QUANTILE))
    scale = 1.5 / spread
    # score 0.5 at usual + 3 spreads: z = SHARE * ambience, with ambience = scale * (usual - centre)
    centre = (usual + 3.0 * spread - SHARE * usual) / (1.0 - SHARE)
    return Calibration(scale=scale, centre=centre, baseline=scale * (usual - centre))
