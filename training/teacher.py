"""The teacher CLAP: YAMNet's features and MiniLM's sentences in one space."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from training import geometry as g

DIM = 256
"""Width of the common space: ``projection_dim`` of the checkpoint."""

SCALE = 14.0
BIAS = -6.0
"""The logit of a sound is ``SCALE * cosine + BIAS``: at a cosine of 0.43 it is as likely as not there.
The same for all sounds, common and rare, so that one threshold means the same for each of them.
Fixed: a learned scale collapsed (REPORT of the prototypes)."""


class Teacher(nn.Module):
    """A two-layer map of sound and a linear map of text, both onto the unit sphere."""

    mean: Tensor

    def __init__(self, mean: Tensor, start: Tensor) -> None:
        """Start the text map at ``start``, (DIM, 384), around ``mean``, (384,)."""
        super().__init__()
        self.register_buffer("mean", mean)
        self.text_map = nn.Parameter(start.clone())
        self.sound_map = nn.Sequential(
            nn.Linear(g.FEATURES, 512), nn.GELU(), nn.Dropout(0.2), nn.Linear(512, DIM)
        )

    def sound(self, features: Tensor) -> Tensor:
        """Embed YAMNet features, shape (..., FEATURES), each row on its own level."""
        root = features.clamp_min(0).sqrt()
        return normalize(self.sound_map(root), dim=-1)

    def text(self, sentences: Tensor) -> Tensor:
        """Embed MiniLM vectors, shape (..., 384)."""
        return normalize((sentences - self.mean) @ self.text_map.T, dim=-1)


def principal_map(sentences: Tensor, power: float = 0.5) -> tuple[Tensor, Tensor]:
    """Mean, (384,), and partly whitened principal directions, (DIM, 384)."""
    mean = sentences.mean(0)
    _, sizes, directions = torch.linalg.svd(sentences - mean, full_matrices=False)
    gains = (sizes[:DIM] / sizes[0]).clamp_min(0.1) ** -power
    return mean, directions[:DIM] * gains[:, None]


def load_teacher(path: Path) -> Teacher:
    """The teacher as `teach` left it, frozen."""
    state = torch.load(path, weights_only=True)
    teacher = Teacher(state["mean"], state["text_map"])
    teacher.load_state_dict(state)
    return teacher.eval().requires_grad_(False)
