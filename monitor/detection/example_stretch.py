"""Example stretch: the windows of a recording in which its sound is loudest, as one embedding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.types import Embeddings

WITHIN_DB = 6.0
"""Windows within this of the loudest one count: they hold most of the sound."""


def loudest_stretch(embeddings: Embeddings, levels_dbfs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean embedding of the loudest windows, a unit vector of shape (d,).

    Parameters
    ----------
    embeddings : array, shape (n, d)
        Of the windows of one recording, at least one.
    levels_dbfs : array, shape (n,)
        Level of each window in dB of full scale.
    """
    mean = embeddings[levels_dbfs >= levels_dbfs.max() - WITHIN_DB].mean(axis=0)
    example: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
    return example


def window_levels(hop_levels_dbfs: NDArray[np.float32], hops: int) -> NDArray[np.float32]:
    """Return the level of each window from those of the hops at whose ends windows end, shape (n,).

    Parameters
    ----------
    hop_levels_dbfs : array, shape (n,)
        Level of the newest hop of each window, in dB of full scale.
    hops : int
        Hops in a window.
    """
    power = np.cumsum(10.0 ** (np.asarray(hop_levels_dbfs, dtype=np.float64) / 10.0))
    first = np.maximum(np.arange(len(power)) - hops, -1)
    before = np.where(first < 0, 0.0, power[first])
    count = np.arange(len(power)) - first
    levels: NDArray[np.float32] = (10.0 * np.log10(np.maximum((power - before) / count, 1e-20))).astype(
        np.float32
    )
    return levels
