"""Label scores over the memory: what each window's embedding scores, as live but for many windows at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.detection import scoring
from monitor.detection.calibration import QUANTILE, Calibration
from monitor.detection.prototypes import Prototypes
from monitor.detection.quantised import Rows, restored
from monitor.memory.stored_segment import Segment

_AT_ONCE = 2_048
"""Windows in one matrix product: 4 MB at d = 512."""

Logits = NDArray[np.float32]
"""Shape (n, labels), or (n,) of one label."""


def logits(rows: Rows, prototypes: Prototypes, calibration: Calibration) -> Logits:
    """Return the logit of each label for each embedding, shape (n, labels).

    They differ from those of `monitor.detection.scoring`, which sees one window at a time, by rounding alone.

    Parameters
    ----------
    rows : array, shape (n, d)
        Quantised embeddings.
    prototypes : Prototypes
    calibration : Calibration
    """
    found = np.empty((len(rows), len(prototypes.labels)), dtype=np.float32)
    for first in range(0, len(rows), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        found[part] = scoring.logits(margins(restored(rows[part]), prototypes), calibration)
    return found


def logits_at(
    segment: Segment, rows: NDArray[np.intp], prototypes: Prototypes, calibration: Calibration
) -> Logits:
    """Return `logits` of vectors by their numbers, which may repeat, shape (n, labels).

    Raises
    ------
    MemoryFormatError
        The vectors cannot be read.
    """
    distinct, which = np.unique(rows, return_inverse=True)
    found: Logits = logits(segment.vectors(distinct), prototypes, calibration)[which]
    return found


def margins(embeddings: NDArray[np.float32], prototypes: Prototypes) -> Logits:
    """Return `monitor.detection.scoring.margins` of each embedding, shape (n, labels)."""
    directions = prototypes.directions
    own: Logits = (embeddings @ directions.vectors.T - directions.mean) / directions.deviation
    if not prototypes.is_against.any():
        return _less_rivals(own, embeddings, prototypes)
    cosines = embeddings @ prototypes.against.vectors.T  # (n, prompts)
    # Most labels have the same prompts against them: their mean is taken once.
    patterns, which = np.unique(prototypes.is_against, axis=0, return_inverse=True)
    means = np.stack([_weighted_mean(cosines[:, pattern]) for pattern in patterns], axis=1)
    taken = scoring.AGAINST_SHARE * means[:, which.reshape(-1)]
    return _less_rivals(own - taken / directions.deviation, embeddings, prototypes)


def _less_rivals(margin: Logits, embeddings: NDArray[np.float32], prototypes: Prototypes) -> Logits:
    if prototypes.rivals is None:
        return margin
    rivals = prototypes.rivals
    sounds = rivals.directions
    fits = (embeddings @ sounds.vectors.T - sounds.mean) / sounds.deviation  # (n, rivals)
    lower = margin.copy()
    for label in np.unique(rivals.labels).tolist():
        lead = fits[:, rivals.labels == label].max(axis=1) - margin[:, label]
        lower[:, label] -= np.float32(scoring.RIVAL_SHARE) * np.maximum(lead, 0.0)
    return lower


def _weighted_mean(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax-weighted mean of each row; 0 without columns."""
    if not cosines.shape[1]:
        return np.zeros(len(cosines), dtype=np.float32)
    weights = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / np.float32(scoring.AGAINST_TEMPERATURE))
    mean: NDArray[np.float32] = (weights * cosines).sum(axis=1) / weights.sum(axis=1)
    return mean


def baseline_floor(sequence: Logits, windows: int) -> Logits:
    """Return a cheap lower limit of the baseline before each window, shape (n - windows,).

    The first ``windows`` of the sequence are the history before the first window; no event freezes anything.

    The quantile has at least ``above`` values at or above it.  Any ``windows`` in a row hold ``above`` whole
    blocks, each of which has its maximum: the least of these maxima is at most the quantile.
    """
    above = windows - int((windows - 1) * QUANTILE)
    size = (windows + 1) // (above + 1)
    count = len(sequence) - windows
    if size < 1 or count <= 0:
        return np.full(max(0, count), -np.inf, dtype=np.float32)
    usable = len(sequence) // size * size
    maxima = _running(np.maximum, [sequence[place:usable:size] for place in range(size)])
    starts = len(maxima) - above + 1
    least = _running(np.minimum, [maxima[place : place + starts] for place in range(above)])
    # The last whole block before window k of the sequence ends at or before k.
    floor: Logits = np.repeat(least[windows // size - above :], size)[windows % size :][:count]
    return floor


def _running(extreme: np.ufunc, parts: Sequence[Logits]) -> Logits:
    """Combine arrays of one shape; faster than to reduce a short axis."""
    found = parts[0].copy()
    for part in parts[1:]:
        extreme(found, part, out=found)
    return found
