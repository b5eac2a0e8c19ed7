"""Recordings that are the same as an evaluated one, whatever was done to the file.

Games take their sounds from the same collections as test sets do: cut, resampled, compressed, at
another level.  The names do not tell; what the teacher makes of their seconds does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.places import Places
from training.recordings import TUNING_FOLD, Recording

ALIKE = 0.93
"""Cosine of the teacher's features, of the two most similar seconds, from which on two recordings are
taken for one.  Seven pairs that the manifest knows for copies (at other rates, cut, compressed) had 0.951 or
more; what is merely of one kind has that, too, and goes with them."""

Directions = npt.NDArray[np.float32]
"""Unit vectors, shape (rows, FEATURES)."""


def evaluated(places: Places, recordings: list[Recording]) -> Iterator[Path]:
    """Every recording that something is measured on: the two bars, and the tuning set of ``recordings``."""
    yield from sorted((places.data / "esc10").glob(f"*/{TUNING_FOLD + 1}-*.ogg"))
    yield from sorted((places.data / "eval-dev").rglob("*.flac"))
    yield from (recording.path for recording in recordings if recording.split == "tune")


def directions(features: npt.NDArray[np.float16]) -> Directions:
    """Features of the teacher, each second at length 1; silence stays nothing."""
    rows = features.astype(np.float32)
    unit: Directions = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return unit


def likeness(one: Directions, other: Directions) -> float:
    """Cosine of the two most similar seconds of two recordings."""
    return float((one @ other.T).max(initial=0.0))
