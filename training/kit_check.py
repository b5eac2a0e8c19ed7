"""Fidelity of the coded kit: how alike the starter's embeddings of coded and uncoded sounds are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from monitor.evaluation.calibration_kit import decode_clips, read_kit
from monitor.model.clap import Clap
from training import geometry as g
from training.kit_write import Clip
from training.sound import LEVEL, Samples


def fidelity(folder: Path, cohort: Sequence[Clip]) -> npt.NDArray[np.float32]:
    """Cosine of the two embeddings of each sound of the cohort, shape (clips,)."""
    clap = Clap.load("starter", dtype="float32")
    decoded = decode_clips(read_kit(folder).cohort, g.RATE)
    pairs = [
        clap.embed_audio(np.stack([_window(clip.wave), _window(coded)]))
        for clip, (_, coded) in zip(cohort, decoded, strict=True)
    ]
    return np.array([one @ other for one, other in pairs], dtype=np.float32)


def _window(wave: Samples) -> Samples:
    """A second at the level at which windows reach the model; shorter sounds are repeated."""
    second = np.resize(wave, g.WINDOW)
    return (second * (LEVEL / max(float(np.sqrt(np.mean(second**2))), 1e-6))).astype(np.float32)
