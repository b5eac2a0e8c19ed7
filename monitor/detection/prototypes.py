"""Prototypes: the prompts of every label as directions in the model's embedding space."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from monitor.config import VOICES, LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.cohort_norm import CohortNorm
from monitor.detection.examples import Examples, counted
from monitor.detection.learned_direction import label_direction, sound_directions
from monitor.detection.quantised import restored
from monitor.types import Embeddings

log = logging.getLogger(__name__)

TOO_CLOSE = 0.35
"""Share of the way from "as alike as any two prompts of the background" to "identical" from which a
background prompt means the same as a label and would suppress it ("people talking" against "a person
speaking").  Relative, because text encoders differ in how alike any two prompts are."""

NEVER = 1.0
"""Mean cosine of a label that cannot be detected: no cosine is above it."""

_NO_EXAMPLES: Mapping[str, Examples] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """Unit vectors, and the cosine of all kinds of sound with each of them."""

    vectors: Embeddings
    """Shape (n, d)."""
    mean: NDArray[np.float32] = field(default_factory=lambda: np.zeros(1, dtype=np.float32))
    """Mean cosine, shape (n,) or (1,)."""
    deviation: NDArray[np.float32] = field(default_factory=lambda: np.ones(1, dtype=np.float32))
    """Standard deviation of the cosine, shape (n,) or (1,)."""
    normalised: bool = True
    """False for a checkpoint without a `CohortNorm`: a z-score is then the cosine itself."""

    @classmethod
    def of(cls, vectors: Embeddings, cohort_norm: CohortNorm | None) -> Directions:
        """Return the directions of a checkpoint with this cohort norm."""
        if cohort_norm is None:
            return cls(vectors, normalised=False)
        return cls(vectors, *cohort_norm.statistics(vectors))

    def z_scores(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosine with each vector, in deviations above its mean, shape (n,)."""
        scores: NDArray[np.float32] = (self.vectors @ embedding - self.mean) / self.deviation
        return scores


@dataclass(frozen=True, slots=True, eq=False)
class Rivals:
    """Sounds for which labels were mistaken."""

    directions: Directions
    """Along which each stands out from all kinds of sound."""
    labels: NDArray[np.intp]
    """Place of the label of each, shape (n,)."""
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Prototypes:
    """Labels, and the prompts against them; a change makes a new value."""

    labels: tuple[str, ...]
    """Identifiers."""
    directions: Directions
    """Of each label: the direction of its prompts and its examples (`learned_direction`)."""
    against: Directions
    """Of every prompt against some label."""
    is_against: NDArray[np.bool_]
    """Which prompts are against which label, shape (labels, prompts)."""
    fingerprints: tuple[str, ...]
    """Hash of all prompts and examples of each label: a baseline belongs to it."""
    against_prompts: tuple[str, ...] = ()
    """The prompts of ``against``."""
    speech: Directions | None = None
    """People speaking, then other voices, of people and animals; None without the speech guard of clips."""
    rivals: Rivals | None = None
    """None if there are none, or the checkpoint has no `CohortNorm`: cosines of sounds with sounds and with
    sentences cannot be compared."""


def build_prototypes(
    labels: Sequence[LabelConfig],
    background: Sequence[str],
    embed: Callable[[Sequence[str]], Embeddings],
    cohort_norm: CohortNorm | None = None,
    *,
    speech: Sequence[str] = (),
    examples: Mapping[str, Examples] = _NO_EXAMPLES,
) -> Prototypes:
    """Embed the prompts of the enabled labels, and add their examples.

    Parameters
    ----------
    labels : sequence of LabelConfig
        Those not enabled are left out.
    background : sequence of str
        Prompts for sounds that are no event; they are against every label but those they mean the same as.
    embed : callable
        Prompts to unit vectors, shape (n, d).
    cohort_norm : CohortNorm or None
        The checkpoint's.
    speech : sequence of str
        Prompts for people speaking, if the clips need them.
    examples : mapping of str to Examples
        By label; they count for labels with ``examples: true``, their rivals for all.
    """
    enabled = [label for label in labels if label.enabled]
    against = list(dict.fromkeys([*background, *(text for label in enabled for text in label.against)]))
    prompts = [text for label in enabled for text in label.prompts]
    voices = VOICES if speech else ()
    vectors = embed([*prompts, *against, *speech, *voices])
    against_vectors = vectors[len(prompts) : len(prompts) + len(against)]
    limit = _too_close(against_vectors[: len(set(background))])
    known = {label.id: counted(examples.get(label.id), with_examples=label.examples) for label in enabled}
    shown = {id_: each for id_, each in known.items() if each is not None and len(each.rows)}
    directions, rows, first = [], [], 0
    for label in enabled:
        own = vectors[first : first + len(label.prompts)]
        directions.append(_label_direction(label, own, shown.get(label.id), cohort_norm))
        first += len(label.prompts)
        near = against_vectors @ directions[-1] >= limit
        pairs = zip(against, near, strict=True)
        rows.append([t in label.against or (t in background and not close) for t, close in pairs])
    left_out = [
        f"{text!r} for {label.id}"
        for label, row in zip(enabled, rows, strict=True)
        for text, used in zip(against, row, strict=True)
        if text in background and not used
    ]
    if left_out:
        log.debug(
            "background prompts left out because they mean the same as a label: %s", "; ".join(left_out)
        )
    spoken = vectors[len(prompts) + len(against) :]
    return Prototypes(
        labels=tuple(label.id for label in enabled),
        directions=_directions(np.stack(directions).astype(np.float32), cohort_norm, enabled, shown),
        against=Directions.of(against_vectors, cohort_norm),
        is_against=np.array(rows, dtype=bool).reshape(len(enabled), len(against)),
        fingerprints=tuple(_fingerprint(label, background, known[label.id]) for label in enabled),
        against_prompts=tuple(against),
        speech=_speech(spoken, len(speech), cohort_norm) if speech else None,
        rivals=_rivals(list(known.values()), cohort_norm),
    )


def prompts_of(active_labels: ActiveLabels, examples: Mapping[str, Examples]) -> list[object]:
    """Everything that prototypes depend on."""
    labels = []
    for label in active_labels.enabled:
        known = counted(examples.get(label.id), with_examples=label.examples)
        labels.append((label.id, label.prompts, label.against, None if known is None else known.fingerprint))
    return [labels, active_labels.background]


def _rivals(known: Sequence[Examples | None], cohort_norm: CohortNorm | None) -> Rivals | None:
    """Rivals of the labels, in their order; None if there are none."""
    if cohort_norm is None:
        return None
    rivals = [(place, each) for place, each in enumerate(known) if each is not None and len(each.rivals)]
    if not rivals:
        return None
    vectors = sound_directions(restored(np.concatenate([each.rivals for _, each in rivals])), cohort_norm)
    return Rivals(
        Directions(vectors, vectors @ cohort_norm.mean, cohort_norm.deviation(vectors)),
        np.concatenate([np.full(len(each.rivals), place) for place, each in rivals]),
        tuple(origin for _, each in rivals for origin in each.rival_origins),
    )


def _label_direction(
    label: LabelConfig, prompts: Embeddings, examples: Examples | None, cohort_norm: CohortNorm | None
) -> NDArray[np.float32]:
    """Direction of a label; zero for one without prompts whose examples are missing."""
    if examples is None and not label.prompts:
        log.error(
            "label %s is not detected: it has no prompts, and its examples are missing: run "
            "`clap-monitor learn %s`, or describe the sound in prompts",
            label.id,
            label.id,
        )
        return np.zeros(prompts.shape[1], dtype=np.float32)
    text = _direction(prompts) if label.prompts else None
    return label_direction(text, None if examples is None else examples.embeddings, cohort_norm)


def _directions(
    vectors: Embeddings,
    cohort_norm: CohortNorm | None,
    labels: Sequence[LabelConfig],
    shown: Mapping[str, Examples],
) -> Directions:
    """Directions of the labels.

    What lies beyond the principal directions counts for the deviation of those with examples.  A zero vector
    is one to which no sound is similar.
    """
    found = Directions.of(vectors, cohort_norm)
    mean, deviation = (np.broadcast_to(each, len(vectors)).copy() for each in (found.mean, found.deviation))
    if cohort_norm is not None:
        learned = [place for place, label in enumerate(labels) if label.id in shown]
        deviation[learned] = cohort_norm.deviation(vectors[learned])
    mean[~vectors.any(axis=1)] = NEVER
    return replace(found, mean=mean, deviation=deviation)


def _direction(vectors: Embeddings) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = vectors.mean(axis=0)
    return mean / np.linalg.norm(mean)


def _speech(vectors: Embeddings, spoken: int, cohort_norm: CohortNorm | None) -> Directions:
    """Directions of speech, the mean of the first ``spoken`` vectors, and of the other voices."""
    stacked = np.stack([_direction(vectors[:spoken]), *vectors[spoken:]]).astype(np.float32)
    return Directions.of(stacked, cohort_norm)


def _too_close(background: Embeddings) -> float:
    """Cosine from which a prompt means the same as one of the background, see `TOO_CLOSE`."""
    cosines = (background @ background.T)[np.triu_indices(len(background), 1)]
    median = float(np.median(cosines)) if len(cosines) else 0.0
    return median + TOO_CLOSE * (1.0 - median)


def _fingerprint(label: LabelConfig, background: Sequence[str], examples: Examples | None) -> str:
    learned = [] if examples is None else ["\0", examples.fingerprint]
    prompts = "\0".join([*label.prompts, "\0", *label.against, "\0", *background, *learned])
    return hashlib.sha256(prompts.encode()).hexdigest()[:16]
