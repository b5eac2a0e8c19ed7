"""Augmentation: what is changed in a window each time it is drawn; the teacher does not hear it.

Little: what makes windows hard (mixtures, rooms, band limits) is done before the teacher listens
(`soundscape`).  Functions take and return mel power, shape (batch, frames, bands), unless they say dB.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from training import geometry as g
from training.sound import LEVEL, band_widths

COLOURED, MASKED = 0.3, 0.15
"""How often a window is coloured and masked."""

OFF_LEVEL_DB = (-10.0, 8.0)
"""How far a window is from the level to which clap-monitor brings every window (-20 dBFS RMS)."""

MOST_GAIN = 1e5
"""Of power: what is 50 dB below that level or more is silence, and stays quiet."""


def harden(decibels: Tensor, rng: np.random.Generator) -> Tensor:
    """Colour and mask some windows, bring all to about one level; dB to dB."""
    power = torch.pow(10.0, decibels / 10)
    power = _sometimes(colour, COLOURED, power, rng)
    power = _sometimes(mask, MASKED, power, rng)
    power = to_level(power) * torch.pow(10.0, uniform(rng, *OFF_LEVEL_DB, len(power)) / 10)[:, None, None]
    return to_decibels(power)


def leveled(decibels: Tensor) -> Tensor:
    """Bring all to the level at which clap-monitor hears; dB to dB."""
    return to_decibels(to_level(torch.pow(10.0, decibels / 10)))


def to_decibels(power: Tensor) -> Tensor:
    """The dB of power, not below the extractor's floor."""
    return 10 * torch.log10(power.clamp_min(1e-10))


def to_level(power: Tensor) -> Tensor:
    """Bring the samples behind each window to an RMS of `sound.LEVEL`, with at most `MOST_GAIN`.

    The Hann window of N samples holds 3 N / 8 of a steady sound's squares, and half of its
    spectrum is kept; so ``RMS**2 = 16 / (3 N**2) * sum of power over the bins``.
    """
    widths = torch.from_numpy(band_widths())
    square = (power @ widths).mean(1) * 16 / (3 * g.FFT**2)
    gain = (LEVEL**2 / square.clamp_min(1e-12)).clamp(max=MOST_GAIN)
    return power * gain[:, None, None]


def colour(power: Tensor, rng: np.random.Generator) -> Tensor:
    """A smooth random frequency response of about 3 dB: another microphone."""
    knots = torch.from_numpy(rng.standard_normal((len(power), 1, 6)).astype(np.float32)) * 3
    curve = interpolate(knots, g.MELS, mode="linear", align_corners=True)
    return power * torch.pow(10.0, curve / 10)


def mask(power: Tensor, rng: np.random.Generator) -> Tensor:
    """Lower a few bands or a few frames to the quiet level of the window."""
    result = power.clone()
    for row in result:
        quiet = row.flatten()[::7].quantile(0.1)
        if rng.integers(2):
            band = int(rng.integers(0, g.MELS - 8))
            row[:, band : band + int(rng.integers(2, 10))] = quiet
        else:
            frame = int(rng.integers(0, g.FRAMES - 8))
            row[frame : frame + int(rng.integers(4, 16))] = quiet
    return result


def uniform(rng: np.random.Generator, low: float, high: float, n: int) -> Tensor:
    """Float32 draws, shape (n,)."""
    return torch.from_numpy(rng.uniform(low, high, n).astype(np.float32))


Change = Callable[[Tensor, np.random.Generator], Tensor]


def _sometimes(change: Change, chance: float, power: Tensor, rng: np.random.Generator) -> Tensor:
    rows = torch.from_numpy(np.flatnonzero(rng.random(len(power)) < chance))
    if not len(rows):
        return power
    power = power.clone()
    power[rows] = change(power[rows], rng)
    return power
