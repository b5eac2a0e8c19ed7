"""Hints: what the teacher makes of the parts of a window, told to the parts of the tower.

The embedding alone says little about *where* a window is misunderstood.  So two linear maps, for training
only, guess the teacher's layers from the tower's: a column of its grid (all pitches at one time) guesses what
the teacher has at that time.  (Romero et al. 2015, "FitNets: hints for thin deep nets".)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from training import geometry as g
from training.tower import AudioTower

STAGES = (1, 2)
"""Of the tower, counted from 0, that guess the teacher's middle and its last layer."""

LEAST_DEVIATION = 0.2
"""A channel that varies less is hardly ever heard of, and is not blown up."""


class Hints(nn.Module):
    """Listens to two stages of a tower, and compares what they say with the teacher's layers."""

    def __init__(self, tower: AudioTower) -> None:
        super().__init__()
        self._grids: dict[int, Tensor] = {}
        encoder = tower.audio_model.audio_encoder
        wide = [encoder.input_resolutions[stage][0] * encoder.layers[stage].dim for stage in STAGES]
        self.guess = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, shape[1] * shape[2]))
            for width, shape in zip(wide, (g.MIDDLE, g.LAST), strict=True)
        )
        for name, shape in (("middle", g.MIDDLE), ("last", g.LAST)):
            self.register_buffer(f"{name}_mean", torch.zeros(shape[2]))
            self.register_buffer(f"{name}_deviation", torch.ones(shape[2]))
        for stage in STAGES:
            encoder.layers[stage].register_forward_hook(self._keep(stage))

    def fix_scales(self, middle: Tensor, last: Tensor) -> None:
        """Measure each channel on teacher's layers, shapes (n, *MIDDLE) and (n, *LAST), bytes."""
        for name, layer in (("middle", middle), ("last", last)):
            root = loudness(layer)
            getattr(self, f"{name}_mean").copy_(root.mean((0, 1, 2)))
            getattr(self, f"{name}_deviation").copy_(root.std((0, 1, 2)).clamp_min(LEAST_DEVIATION))

    def forward(self, middle: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Mean squared errors for the windows the tower heard last, about 1 if it says nothing."""
        errors = []
        for i, (name, layer) in enumerate((("middle", middle), ("last", last))):
            truth = (loudness(layer) - getattr(self, f"{name}_mean")) / getattr(self, f"{name}_deviation")
            columns = self._columns(STAGES[i], layer.shape[1])
            errors.append((self.guess[i](columns).float() - truth.flatten(2)).square().mean())
        return errors[0], errors[1]

    def _columns(self, stage: int, times: int) -> Tensor:
        """The grid of a stage, shape (batch, times, pitches * channels)."""
        tokens = self._grids.pop(stage)
        size = round(tokens.shape[1] ** 0.5)
        grid = tokens.unflatten(1, (size, size)).permute(0, 1, 3, 2).flatten(1, 2)
        return interpolate(grid.float(), times, mode="linear").transpose(1, 2)

    def _keep(self, stage: int) -> Callable[[nn.Module, object, tuple[Tensor, ...]], None]:
        def hook(_stage: nn.Module, _input: object, output: tuple[Tensor, ...]) -> None:
            self._grids[stage] = output[1]  # before the grid is made coarser

        return hook


def loudness(layer: Tensor) -> Tensor:
    """The root of a layer, as the teacher CLAP takes it: bytes to numbers from 0 to 2.45."""
    return (layer.float() * (6 / 255)).sqrt()
