"""The tower on whole clips: windows, and the light test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from training import geometry as g
from training.augment import leveled
from training.bank import Bank
from training.sounds import Sound
from training.store import HeldBack
from training.tower import AudioTower, frozen
from training.tuning import Light, light_test

SILENT_DB = 50.0
"""A window this much below the loudest of its clip is not asked."""


@torch.inference_mode()
def test_tower(
    tower: AudioTower,
    clips: Sequence[HeldBack],
    sentences: npt.NDArray[np.float32],
    bank: Bank,
    labels: Sequence[Sound],
) -> Light:
    """The light test; a clip is the mean of its windows' embeddings, each at one level."""
    sounds = []
    for clip in clips:
        windows = torch.from_numpy(clip_windows(clip.mel))
        windows = windows[windows.amax((1, 2)) > windows.max() - SILENT_DB]
        sounds.append(tower(leveled(windows)[:, None]).mean(0).numpy())
    return light_test(clips, np.stack(sounds), sentences, bank, labels)


def clip_windows(mel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Windows about half a second apart over a clip, shape (n, FRAMES, MELS); short ones repeat."""
    if len(mel) < g.FRAMES:
        mel = np.tile(mel, (-(-g.FRAMES // len(mel)), 1))[: g.FRAMES]
    spare = len(mel) - g.FRAMES
    count = 1 + round(2 * spare / g.FRAMES_PER_S)
    starts = np.linspace(0, spare, count).astype(int)
    return np.stack([mel[start : start + g.FRAMES] for start in starts])


def averaged_tower(path: Path) -> AudioTower:
    """The averaged weights of a saved state."""
    return frozen(torch.load(path, weights_only=True)["average"])
