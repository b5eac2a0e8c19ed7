"""Make windows harder, in the log-mel domain: no Fourier transform during training.

Every function takes and returns mel *power*, shape (batch, frames, bands), unless it says dB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from training import geometry as g

BANDWIDTHS = np.geomspace(1, 6, g.MELS).astype(np.float32)
"""FFT bins averaged by each band, roughly: the top bands are six times as wide."""

CUT_BANDS = (36, 43, 48, 53, 58)
"""First band removed by a band limit of about 4, 6, 8, 10 and 12 kHz."""


@dataclass(frozen=True)
class Strength:
    """How often and how much; `MODERATE` is what the checkpoint was trained with."""

    reverberated: float = 0.15
    coloured: float = 0.4
    limited: float = 0.15
    noisy: float = 0.3
    shifted: float = 0.1
    masked: float = 0.1
    gain_db: tuple[float, float] = (-30.0, 15.0)


MODERATE = Strength()


def to_power(decibels: Tensor) -> Tensor:
    """Power of dB."""
    return torch.pow(10.0, decibels / 10)


def to_decibels(power: Tensor) -> Tensor:
    """The dB of power, not below the extractor's floor."""
    return 10 * torch.log10(power.clamp_min(1e-10))


def loudness(power: Tensor) -> Tensor:
    """Power of a loud frame (90 % quantile), shape (batch, 1, 1)."""
    return torch.quantile(power.sum(-1), 0.9, dim=1)[:, None, None]


def mix(first: Tensor, second: Tensor, snr_db: Tensor) -> Tensor:
    """Add ``second`` ``snr_db`` below ``first``; inf adds nothing.  ``snr_db`` (batch,)."""
    wanted = loudness(first) * to_power(-snr_db)[:, None, None]
    return first + second * (wanted / loudness(second).clamp_min(1e-9)).clamp(max=1e6)


def noise(shape: tuple[int, int, int], rng: np.random.Generator) -> Tensor:
    """Steady noise with a random slope (pink to blue), loudness 1, shape ``shape``."""
    grain = 5.6 / torch.from_numpy(np.sqrt(BANDWIDTHS))  # dB, deviation of one bin's power
    octaves = torch.log2(torch.linspace(1, 40, g.MELS))
    slope = uniform(rng, -6, 2, shape[0])[:, None, None]
    power = to_power(torch.randn(shape) * grain + slope * octaves).float()
    return power / loudness(power)


def reverberate(power: Tensor, rng: np.random.Generator) -> Tensor:
    """Add an exponential tail: 0.2 to 1 s to fall 60 dB, 3 to 15 dB under the sound."""
    fall = torch.exp(-13.8 / (uniform(rng, 0.2, 1.0, len(power)) * g.FRAMES_PER_S))[:, None]
    wet = to_power(-uniform(rng, 3, 15, len(power)))[:, None]
    tail = torch.zeros_like(power[:, 0])
    tails = []
    for frame in power.unbind(1):
        tails.append(tail)
        tail = fall * tail + (1 - fall) * frame * wet
    return power + torch.stack(tails, dim=1)


def colour(power: Tensor, rng: np.random.Generator) -> Tensor:
    """A smooth random frequency response of about 4 dB."""
    knots = torch.from_numpy(rng.standard_normal((len(power), 1, 6)).astype(np.float32)) * 4
    curve = interpolate(knots, g.MELS, mode="linear", align_corners=True)
    return power * to_power(curve)


def limit(power: Tensor, rng: np.random.Generator) -> Tensor:
    """Remove 30 to 60 dB above 4 to 12 kHz."""
    kept = torch.ones_like(power[:, :1])
    for row in kept:
        row[:, rng.choice(CUT_BANDS) :] = 10.0 ** -rng.uniform(3, 6)
    return power * kept


def shift(power: Tensor, rng: np.random.Generator) -> Tensor:
    """Move the spectrum up or down by one or two bands."""
    moves = rng.choice((-2, -1, 1, 2), len(power))
    return torch.stack([row.roll(int(by), dims=1) for row, by in zip(power, moves, strict=True)])


def mask(power: Tensor, rng: np.random.Generator) -> Tensor:
    """Lower a few bands or a few frames to the quiet level of the window."""
    result = power.clone()
    for row in result:
        quiet = row.quantile(0.1)
        band, frame = int(rng.integers(0, 56)), int(rng.integers(0, 200))
        if rng.integers(2):
            row[:, band : band + int(rng.integers(2, 8))] = quiet
        else:
            row[frame : frame + int(rng.integers(8, 40))] = quiet
    return result


def harden(power: Tensor, rng: np.random.Generator, strength: Strength = MODERATE) -> Tensor:
    """All of the above on some windows each, a noise floor on all; returns dB."""
    for change, chance in (
        (shift, strength.shifted),
        (reverberate, strength.reverberated),
        (limit, strength.limited / 2),
    ):
        power = _sometimes(change, chance, power, rng)
    heavy = torch.from_numpy(rng.random(len(power)) < strength.noisy)
    under = torch.where(heavy, uniform(rng, 6, 35, len(power)), uniform(rng, 35, 70, len(power)))
    power = mix(power, noise((len(power), power.shape[1], g.MELS), rng), under)
    for change, chance in (
        (colour, strength.coloured),
        (limit, strength.limited / 2),
        (mask, strength.masked),
    ):
        power = _sometimes(change, chance, power, rng)
    gain = uniform(rng, *strength.gain_db, len(power))
    return to_decibels(power * to_power(gain)[:, None, None])


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
