"""Self-test of a checkpoint: synthetic sounds whose embeddings must differ."""

from __future__ import annotations

import math

import numpy as np

from monitor.types import Embeddings, ModelError, Samples

COLLAPSED = 0.95
"""Cosine between two of a tone, noise and clicks at which the weights count as collapsed.

The broken ``laion/larger_clap_music`` has 0.98 between a tone and noise, and good checkpoints of its family
0.42 (reported by others, not measured here).  The starter has at most 0.38 for any pair; random weights have
0.99 and are refused as well.
"""


def sounds(length: int, rate: int) -> Samples:
    """A tone of 1 kHz, white noise and four clicks a second, shape (3, length)."""
    index = np.arange(length)
    tone = 0.1 * math.sqrt(2) * np.sin(2 * math.pi * min(1000, rate / 4) / rate * index)
    noise = 0.1 * np.random.default_rng(0).standard_normal(length)
    clicks = np.where(index % (rate // 4) == 0, 0.9, 0.0)
    return np.stack([tone, noise, clicks]).astype(np.float32)


def refuse_collapse(vectors: Embeddings, name: str) -> None:
    """Raise ModelError for weights that cannot tell two of the three `sounds` apart by their embeddings."""
    tone, noise, clicks = vectors
    cosines = {
        "tone and noise": float(tone @ noise),
        "tone and clicks": float(tone @ clicks),
        "noise and clicks": float(noise @ clicks),
    }
    if max(cosines.values()) >= COLLAPSED:
        pairs = ", ".join(f"{pair} {cosine:.3f}" for pair, cosine in cosines.items())
        raise ModelError(
            f"{name}: cannot tell sounds apart (cosines: {pairs}; all must be below {COLLAPSED}): "
            "the weights are broken or untrained; choose another checkpoint"
        )


def refuse_non_finite(vectors: Embeddings, name: str, dtype: str) -> None:
    """Raise ModelError for embeddings that are not unit vectors; all-zero weights give none."""
    if not np.isfinite(vectors).all():
        raise ModelError(f"{name}: the output in {dtype} is not finite: use float32, or other weights")
    if not np.allclose(np.linalg.norm(vectors, axis=-1), 1.0, atol=1e-2):
        raise ModelError(f"{name}: the output in {dtype} is not a unit vector: use float32, or other weights")
