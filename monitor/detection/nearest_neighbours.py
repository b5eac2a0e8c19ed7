"""Nearest neighbours: how far a window is from all windows in a coreset of earlier ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.detection.cohort_norm import CohortNorm
from monitor.detection.quantised import UNITS, Rows
from monitor.types import Embeddings

MOST = 4_096
"""Vectors in a coreset."""

CANDIDATES = 16_384
"""Windows from which a coreset is chosen; more are thinned out evenly, as windows in a row overlap."""

Whiten = Callable[[Embeddings], Embeddings]
"""Embeddings to unit vectors, both of shape (n, d)."""

Vectors = TypeVar("Vectors", NDArray[np.int16], NDArray[np.float32])

_AT_ONCE = 1_024
_BLOCK = 512
"""Quantised vectors that become floats at once: 1 MB at d = 512, which stays in the cache."""
_LEAST_VARIANCE = 1e-6


def whitening(norm: CohortNorm | None) -> Whiten:
    """Return how embeddings are compared: whitened by what all kinds of sound have in common.

    In three simulated rooms 0.90 of foreign sounds are then found at one false alarm a day, without it 0.72
    (benchmarks/unusual.py).  Without a cohort they are compared as they are.
    """
    if norm is None:
        return lambda embeddings: embeddings
    mean = norm.mean
    variances, axes = np.linalg.eigh(norm.covariance())
    matrix = ((axes / np.sqrt(np.maximum(variances, _LEAST_VARIANCE))) @ axes.T).astype(np.float32)

    def whiten(embeddings: Embeddings) -> Embeddings:
        rows = (embeddings - mean) @ matrix
        unit: Embeddings = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    return whiten


def coreset(embeddings: Embeddings, most: int = MOST) -> Embeddings:
    """Choose vectors near which all others lie: half evenly in time, half those furthest from these.

    The first half is what the room usually sounds like, the second what it sounds like now and then.

    Parameters
    ----------
    embeddings : array, shape (n, d)
        In the order of time.
    most : int
        Vectors that are chosen.

    Returns
    -------
    array, shape (min(n, most), d)
    """
    if len(embeddings) <= most:
        return embeddings
    usual = np.unique(np.linspace(0, len(embeddings) - 1, most // 2).astype(np.intp))
    unlike = distances(embeddings, embeddings[usual])
    unlike[usual] = -1.0
    rare = np.argpartition(-unlike, most - len(usual))[: most - len(usual)]
    chosen: Embeddings = embeddings[np.sort(np.concatenate([usual, rare]))]
    return chosen


def thinned(rows: Vectors, most: int = CANDIDATES) -> Vectors:
    """Leave windows out evenly, so that at most this many are left, shape (min(n, most), d).

    Exactly so many, as distances become shorter with more of them: those from which a threshold is set and
    those that are compared with it must be of as many.
    """
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.intp)] if len(rows) > most else rows


def distances(embeddings: Embeddings, neighbours: Embeddings) -> NDArray[np.float32]:
    """Return the cosine distance of each embedding to its nearest neighbour, shape (n,), in [0, 1].

    Parameters
    ----------
    embeddings : array, shape (n, d)
    neighbours : array, shape (m, d)
        At least one.
    """
    found = np.empty(len(embeddings), dtype=np.float32)
    for first in range(0, len(embeddings), _AT_ONCE):
        part = embeddings[first : first + _AT_ONCE]
        found[first : first + _AT_ONCE] = (part @ neighbours.T).max(axis=1)
    unlike: NDArray[np.float32] = np.clip(1.0 - found, 0.0, 1.0).astype(np.float32)
    return unlike


def distance(embedding: NDArray[np.float32], rows: Rows) -> float:
    """Return the cosine distance of one embedding to its nearest quantised neighbour, in [0, 1].

    Parameters
    ----------
    embedding : array, shape (d,)
    rows : array of int16, shape (m, d)
        At least one.
    """
    floats = np.empty((min(_BLOCK, len(rows)), rows.shape[1]), dtype=np.float32)
    nearest = -1.0
    for first in range(0, len(rows), _BLOCK):
        part = rows[first : first + _BLOCK]
        np.copyto(floats[: len(part)], part)
        nearest = max(nearest, float((floats[: len(part)] @ embedding).max()) / UNITS)
    return float(np.clip(1.0 - nearest, 0.0, 1.0))
