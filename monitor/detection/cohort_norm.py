"""Cohort normalisation: mean and deviation of a prompt's cosine over all kinds of sound.

The cosine of one prompt runs from 0 to 0.6 over all sounds, that of another from 0 to 0.3; with one
threshold for both the first would fire all day and the second never.  Both figures follow from the prompt
alone once the distribution of sound embeddings is known: for embeddings of mean ``m`` and covariance ``C``
the cosines with a direction ``p`` have the mean ``p.m`` and the variance ``p.C.p``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.model.config_ranges import shown
from monitor.system.boundary import boundary, explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import Embeddings, ModelError

FILE = "repertoire.json"
DIRECTIONS = 32
"""Principal directions in the file; 16 to all 256 did equally well (benchmarks/decisions.py)."""

_MOST_BYTES = 16 * 2**20
_LONGEST = 1.01
"""Largest length of the mean of unit vectors, or of a deviation; they are rounded to four places."""

_LEAST_VARIANCE = 1e-12
"""Of a direction: none is divided by 0."""

SMALLEST_DEVIATION = 0.02
"""Of a cosine: a prompt to which all sounds are equally similar is not scaled up without limit."""


@dataclass(frozen=True, slots=True, eq=False)
class CohortNorm:
    """Distribution of the embeddings of all kinds of sound."""

    mean: NDArray[np.float32]
    """Shape (d,)."""
    directions: NDArray[np.float32]
    """Shape (k, d): principal directions, each as long as the deviation along it."""

    def statistics(self, vectors: Embeddings) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and deviation of the cosine with each vector, both of shape (n,)."""
        deviation = np.linalg.norm(vectors @ self.directions.T, axis=1)
        return (vectors @ self.mean).astype(np.float32), np.maximum(deviation, SMALLEST_DEVIATION)

    def deviation(self, vectors: Embeddings) -> NDArray[np.float32]:
        """Deviation of the cosine with each vector over all of the space, shape (n,).

        Learned directions avoid the principal ones, so that what lies beyond these counts for them.
        """
        variance = np.einsum("nd,de,ne->n", vectors, self.covariance(), vectors)
        deviation: NDArray[np.float32] = np.maximum(np.sqrt(variance), SMALLEST_DEVIATION).astype(np.float32)
        return deviation

    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the embeddings, shape (d, d).

        What the principal directions leave of the variance is spread evenly over all others.  The whole
        variance is known: embeddings have length 1, so it is ``1 - |mean|^2``.
        """
        rows = self.directions.astype(np.float64)
        variances = np.maximum(np.sum(rows**2, axis=1, keepdims=True), _LEAST_VARIANCE)
        others = np.eye(len(self.mean)) - rows.T @ (rows / variances)
        left = max(0.0, 1.0 - float(self.mean @ self.mean) - float(variances.sum()))
        share = left / max(1, len(self.mean) - len(rows))
        covariance: NDArray[np.float64] = rows.T @ rows + max(share, _LEAST_VARIANCE) * others
        return covariance


def measure_cohort(sounds: Embeddings, directions: int = DIRECTIONS) -> CohortNorm:
    """Return the norm of the embeddings of as many kinds of sound as possible, shape (n, d)."""
    mean = sounds.mean(axis=0)
    _, sizes, rows = np.linalg.svd(sounds - mean, full_matrices=False)
    scaled = rows * (sizes / np.sqrt(len(sounds)))[:, None]
    return CohortNorm(mean.astype(np.float32), scaled[:directions].astype(np.float32))


def read_cohort_norm(directory: Path, dimension: int) -> CohortNorm | None:
    """Read ``repertoire.json`` from beside a checkpoint; None if there is none.

    Raises
    ------
    ModelError
        The file is broken, or of another width than the checkpoint's embeddings.
    """
    path = directory / FILE
    try:
        content = read_json(path, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, DamagedError) as error:
        raise ModelError(f"{path}: not a cohort norm (mean, directions): {explain(error)}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: not a cohort norm (mean, directions): is not a mapping")
    mean, rows = (_numbers(content.get(key), f"{path}: {key}") for key in ("mean", "directions"))
    fits = mean.shape == (dimension,) and rows.ndim == 2 and rows.shape[1] == dimension  # noqa: PLR2004
    if not fits or not (np.isfinite(mean).all() and np.isfinite(rows).all()):
        raise ModelError(
            f"{path}: mean and directions have the shapes {mean.shape} and {rows.shape}, "
            f"the checkpoint's embeddings {dimension} numbers"
        )
    longest = max(float(np.linalg.norm(mean)), float(np.linalg.norm(rows, axis=1).max()))
    if longest > _LONGEST:
        raise ModelError(
            f"{path}: mean and directions of unit vectors are at most 1 long, not {longest:g}: with these "
            "all sounds would score alike"
        )
    return CohortNorm(mean, rows)


def _numbers(value: object, where: str) -> NDArray[np.float32]:
    with boundary(ModelError, where), np.errstate(over="ignore"):
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "if" or not numbers.size:
            raise ModelError(f"{where}: {shown(value)} is not a list of numbers")
        return numbers.astype(np.float32)


def write_cohort_norm(directory: Path, cohort_norm: CohortNorm) -> Path:
    """Write ``repertoire.json``, to four places."""
    path = directory / FILE
    content = {
        "mean": [round(float(value), 4) for value in cohort_norm.mean],
        "directions": [[round(float(value), 4) for value in row] for row in cohort_norm.directions],
    }
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    return path
