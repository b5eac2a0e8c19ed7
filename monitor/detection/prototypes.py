"""What we listen for: every label's sentences as directions in the model's space."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.config import VOICES, LabelConfig
from monitor.detection.cohort_norm import CohortNorm
from monitor.types import Embeddings

log = logging.getLogger(__name__)

TOO_CLOSE = 0.35
"""A background prompt this far on the way from "as alike as any two of them" to "the same" says the same
as a label, and would keep it from ever being heard ("people talking" against "a person speaking").

Relative, because text towers differ in how alike they find any two sentences."""


_ALIKE = np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32)
"""Mean and deviation where nothing is known of them: a margin is then a difference of cosines."""


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """People speaking, and what must not be taken for it; a value."""

    directions: Embeddings
    """Shape (1 + voices, d): people speaking, then sentences for other voices, of people and of animals."""
    usual: NDArray[np.float32] | None = None
    spread: NDArray[np.float32] | None = None
    """Shape (1 + voices,): mean and deviation of the cosine with each of them; None if not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Prototypes:
    """Labels and their rivals; a value: a change makes a new one."""

    labels: tuple[str, ...]
    prototypes: Embeddings
    """Shape (labels, d): the direction of the mean of a label's normalised phrasings."""
    rival_vectors: Embeddings
    """Shape (rivals, d): every sentence that speaks against some label."""
    rivals: NDArray[np.bool_]
    """Shape (labels, rivals): which of them speak against which label."""
    usual: NDArray[np.float32]
    """Shape (labels,) or (1,): the mean cosine of all kinds of sound with each prototype."""
    spread: NDArray[np.float32]
    """Shape (labels,) or (1,): its deviation."""
    fingerprints: tuple[str, ...]
    """For each label, a hash of all its sentences: what is remembered of a label holds while this does."""
    rival_names: tuple[str, ...] = ()
    """The sentences of ``rival_vectors``."""
    rival_usual: NDArray[np.float32] = field(default_factory=lambda: _ALIKE[0])
    """Shape (rivals,) or (1,): as ``usual``."""
    rival_spread: NDArray[np.float32] = field(default_factory=lambda: _ALIKE[1])
    """Shape (rivals,) or (1,): as ``spread``."""
    speech: Speech | None = None
    """None if nobody asks for it."""


def watch(
    labels: Sequence[LabelConfig],
    background: Sequence[str],
    embed: Callable[[Sequence[str]], Embeddings],
    cohort_norm: CohortNorm | None = None,
    *,
    speech: Sequence[str] = (),
) -> Prototypes:
    """Turn the enabled labels into a watchlist.

    Parameters
    ----------
    labels : sequence of LabelConfig
        Those not enabled are left out.
    background : sequence of str
        Sentences for what is no event; they speak against every label but those they mean the same as.
    embed : callable
        Sentences to unit vectors, shape (n, d).
    cohort_norm : CohortNorm or None
        The checkpoint's; without one every label is taken to move as much as every other.
    speech : sequence of str
        Sentences for people speaking, if that is to be told.
    """
    enabled = [label for label in labels if label.enabled]
    against = list(dict.fromkeys([*background, *(text for label in enabled for text in label.against)]))
    prompts = [text for label in enabled for text in label.prompts]
    voices = VOICES if speech else ()
    vectors = embed([*prompts, *against, *speech, *voices])
    rival_vectors = vectors[len(prompts) : len(prompts) + len(against)]
    limit = _too_close(rival_vectors[: len(set(background))])
    prototypes, rows, first = [], [], 0
    for label in enabled:
        mean = vectors[first : first + len(label.prompts)].mean(axis=0)
        first += len(label.prompts)
        prototypes.append(mean / np.linalg.norm(mean))
        near = rival_vectors @ prototypes[-1] >= limit
        rows.append(_rivals(label, background, against, near))
    stacked = np.stack(prototypes).astype(np.float32)
    usual, spread = cohort_norm.of(stacked) if cohort_norm else _ALIKE
    rival_usual, rival_spread = cohort_norm.of(rival_vectors) if cohort_norm and against else _ALIKE
    return Prototypes(
        labels=tuple(label.id for label in enabled),
        prototypes=stacked,
        rival_vectors=rival_vectors,
        rivals=np.stack(rows),
        usual=usual,
        spread=spread,
        fingerprints=tuple(_fingerprint(label, background) for label in enabled),
        rival_names=tuple(against),
        rival_usual=rival_usual,
        rival_spread=rival_spread,
        speech=_speech(vectors[len(prompts) + len(against) :], len(speech), cohort_norm) if speech else None,
    )


def _speech(vectors: Embeddings, own: int, cohort_norm: CohortNorm | None) -> Speech:
    """What is known of people speaking, of whom the first ``own`` vectors tell, and of the other voices."""
    mean = vectors[:own].mean(axis=0)
    directions = np.stack([mean / np.linalg.norm(mean), *vectors[own:]]).astype(np.float32)
    return Speech(directions, *(cohort_norm.of(directions) if cohort_norm else (None, None)))


def _too_close(background: Embeddings) -> float:
    """Cosine from which a sentence means the same as one of the background, see `TOO_CLOSE`."""
    cosines = (background @ background.T)[np.triu_indices(len(background), 1)]
    usual = float(np.median(cosines)) if len(cosines) else 0.0
    return usual + TOO_CLOSE * (1.0 - usual)


def _rivals(
    label: LabelConfig, background: Sequence[str], against: Sequence[str], near: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which sentences of ``against`` speak against this label, shape (len(against),)."""
    row = np.zeros(len(against), dtype=bool)
    for index, text in enumerate(against):
        if text in label.against:
            row[index] = True
        elif text in background:
            row[index] = not near[index]
            if near[index]:
                log.debug("%s: background prompt %r means the same and is left out", label.id, text)
    return row


def _fingerprint(label: LabelConfig, background: Sequence[str]) -> str:
    sentences = "\0".join([*label.prompts, "\0", *label.against, "\0", *background])
    return hashlib.sha256(sentences.encode()).hexdigest()[:16]
