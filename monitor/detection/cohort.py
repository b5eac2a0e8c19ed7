"""Cohort: embeddings of many different sounds, against which the similarity with a prompt is normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detection.cohort_norm import CohortNorm, measure_cohort
from monitor.types import Embeddings

UNIT = 32_767
"""Stored value of 1: components of unit vectors are kept as 16-bit integers."""


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Embeddings of windows of as many kinds of sound as possible, by one checkpoint."""

    embeddings: NDArray[np.int16]
    """Unit vectors times `UNIT`, shape (n, d)."""
    kind_of: NDArray[np.int16]
    """Place in ``kinds`` of the sound in each window, shape (n,); -1 if its kind is unknown."""
    kinds: tuple[str, ...]
    """Prompts for the kinds of sound, such as "door bell"."""
    prompts: NDArray[np.int16]
    """Embeddings of ``kinds``, unit vectors times `UNIT`, shape (kinds, d)."""

    def norm(self) -> CohortNorm:
        """Return the mean and the principal directions of the windows."""
        return measure_cohort(vectors_of(self.embeddings))


def cohort_of(
    embeddings: Embeddings, kind_of: Sequence[int], kinds: Sequence[str], prompts: Embeddings
) -> Cohort:
    """Return the cohort of windows with these embeddings, shape (n, d), and kinds of sound."""
    return Cohort(_stored(embeddings), np.array(kind_of, dtype=np.int16), tuple(kinds), _stored(prompts))


def vectors_of(stored: NDArray[np.int16]) -> Embeddings:
    """Return stored unit vectors as floats, shape (n, d)."""
    return stored.astype(np.float32) / np.float32(UNIT)


def _stored(vectors: Embeddings) -> NDArray[np.int16]:
    return np.round(np.clip(vectors, -1.0, 1.0) * UNIT).astype(np.int16)
