"""The tower on whole clips: windows, and the light test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from training import geometry as g
from training.bank import Bank
from training.sounds import Sound
from training.store import Clip
from training.tower import AudioTower
from training.tuning import Light, light_test


@torch.inference_mode()
def test_tower(
    tower: AudioTower,
    clips: Sequence[Clip],
    sentences: npt.NDArray[np.float32],
    bank: Bank,
    labels: Sequence[Sound],
) -> Light:
    """The light test; a clip is the mean of its windows' embeddings."""
    sounds = []
    for clip in clips:
        windows = torch.from_numpy(clip_windows(clip.mel).astype(np.float32))
        sounds.append(tower(windows[:, None]).mean(0).numpy())
    return light_test(clips, np.stack(sounds), sentences, bank, labels)


def clip_windows(mel: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
    """Windows about a second apart over a clip, shape (n, FRAMES, MELS); short ones repeat."""
    if len(mel) < g.FRAMES:
        mel = np.tile(mel, (-(-g.FRAMES // len(mel)), 1))
    spare = len(mel) - g.FRAMES
    count = 1 + round(spare / g.FRAMES_PER_S)
    starts = np.linspace(0, spare, count).astype(int)
    return np.stack([mel[start : start + g.FRAMES] for start in starts])


def averaged_tower(path: Path) -> AudioTower:
    """The averaged weights of a saved state."""
    tower = AudioTower()
    tower.load_state_dict(torch.load(path, weights_only=True)["average"])
    return tower.eval().requires_grad_(False)
