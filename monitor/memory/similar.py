"""Similar sounds: the direction that tells one sound, given by its embeddings, from all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detection.cohort_norm import CohortNorm
from monitor.detection.prototypes import Directions
from monitor.detection.quantised import restored
from monitor.memory.memory_reader import MemoryReader
from monitor.types import Embeddings


def direction_of(examples: Embeddings, cohort_norm: CohortNorm | None) -> Directions:
    """Return the direction of the mean of some embeddings, less what all sounds have in common.

    Parameters
    ----------
    examples : array, shape (n, d)
        At least one.
    cohort_norm : CohortNorm or None
        The checkpoint's.
    """
    mean = examples.mean(axis=0)
    if cohort_norm is not None:
        mean = mean - cohort_norm.mean
    vector: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
    return Directions.of(vector[None], cohort_norm)


def embeddings_between(reader: MemoryReader, source: str, since: float, until: float) -> Embeddings | None:
    """Return the embeddings of the windows that lie mostly within a stretch of time; None if there are none.

    Parameters
    ----------
    reader : MemoryReader
    source : str
    since, until : float
        Unix seconds.

    Returns
    -------
    array, shape (n, d), or None
    """
    found = []
    for chunk in reader.chunks(source, since, until + _most_seconds(reader, source)):
        half = chunk.segment.header.length / chunk.segment.header.rate / 2
        middles = chunk.ended_at - half
        inside = (middles >= since) & (middles <= until)
        if not inside.any() and len(middles):  # shorter than a hop: the window nearest to its middle
            inside = np.arange(len(middles)) == int(np.argmin(np.abs(middles - (since + until) / 2)))
        found.append(restored(chunk.vectors[inside]))
    rows = np.concatenate(found) if found else np.empty((0, 0), dtype=np.float32)
    return rows if len(rows) else None


def _most_seconds(reader: MemoryReader, source: str) -> float:
    """Length of a window, in seconds, as far as the newest segment tells."""
    header = reader.newest_header(source)
    return 0.0 if header is None else header.length / header.rate
