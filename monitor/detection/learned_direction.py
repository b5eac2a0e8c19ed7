"""Learned direction: examples of a sound, and prompts if there are any, as one vector for a label.

The direction in which the mean ``p`` of the examples stands out most from all kinds of sound, of mean ``m``
and covariance ``C``, is ``w = C^-1 (p - m)``: Fisher's linear discriminant.  A few examples do not say enough
for all of ``C``, so it is shrunk towards a sphere (Friedman, "Regularized Discriminant Analysis", 1989)::

    S = (1 - SHRINKAGE) C + SHRINKAGE (trace(C) / d) I
    w = S^-1 (p - m)

With prompts, of direction ``t``, and ``k`` examples the label's direction is ``a w + (1 - a) t``, both scaled
to unit deviation over all kinds of sound, with ``a = k / (k + PROMPT_WEIGHT)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detection.cohort_norm import CohortNorm
from monitor.types import Embeddings

SHRINKAGE = 0.3
"""Share of the sphere; 0.1 to 0.8 make no difference of more than a point (benchmarks/learn.py)."""

PROMPT_WEIGHT = 4.0
"""Examples that weigh as much as the prompts."""

Vector = NDArray[np.float32]
"""Shape (d,)."""


def label_direction(
    prompts: Vector | None, examples: Embeddings | None, cohort_norm: CohortNorm | None
) -> Vector:
    """Return the unit vector of a label from its prompts, its examples, or both.

    Parameters
    ----------
    prompts : array, shape (d,), or None
        Unit vector of the prompts.
    examples : array, shape (k, d), or None
        Unit vectors, one for each example.
    cohort_norm : CohortNorm or None
        Without one, all directions count alike.

    Raises
    ------
    ValueError
        There is neither.
    """
    if examples is None:
        if prompts is None:
            raise ValueError("a direction needs prompts or examples")
        return prompts
    learned = example_direction(examples, cohort_norm)
    if prompts is None:
        return learned
    weight = len(examples) / (len(examples) + PROMPT_WEIGHT)
    one, other = (vector / _deviation(vector, cohort_norm) for vector in (learned, prompts))
    return _unit(weight * one + (1.0 - weight) * other)


def example_direction(examples: Embeddings, cohort_norm: CohortNorm | None) -> Vector:
    """Return the unit vector along which examples, shape (k, d), stand out most from all kinds of sound."""
    direction: Vector = sound_directions(examples.mean(axis=0)[None], cohort_norm)[0]
    return direction


def sound_directions(sounds: Embeddings, cohort_norm: CohortNorm | None) -> Embeddings:
    """Return for each sound the unit vector along which it stands out most from all kinds, shape (n, d)."""
    if cohort_norm is None:
        return np.stack([_unit(sound) for sound in sounds])
    covariance = cohort_norm.covariance()
    dimension = len(covariance)
    sphere = np.trace(covariance) / dimension * np.eye(dimension)
    shrunk = (1.0 - SHRINKAGE) * covariance + SHRINKAGE * sphere
    columns: NDArray[np.float64] = np.linalg.solve(shrunk, (sounds - cohort_norm.mean).T)
    return np.stack([_unit(column) for column in columns.T])


def _deviation(vector: Vector, cohort_norm: CohortNorm | None) -> float:
    return 1.0 if cohort_norm is None else float(cohort_norm.deviation(vector[None])[0])


def _unit(vector: NDArray[np.floating]) -> Vector:
    length = float(np.linalg.norm(vector))
    if length == 0.0:  # the examples are all kinds of sound together: no direction is better than another
        length, vector = 1.0, np.eye(1, len(vector))[0]
    return (vector / length).astype(np.float32)
