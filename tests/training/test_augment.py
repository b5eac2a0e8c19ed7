import numpy as np
import pytest
import torch

from training import augment
from training import geometry as g
from training.sound import LEVEL, log_mel


@pytest.fixture
def rng():
    torch.manual_seed(0)
    return np.random.default_rng(0)


def flat(windows=3, decibels=0.0):
    return torch.pow(10.0, torch.full((windows, g.FRAMES, g.MELS), decibels) / 10)


@pytest.mark.parametrize("size", [1e-3, 0.1, 0.9])
@pytest.mark.parametrize("hertz", [200, 1234, 9000])
def test_the_level_of_the_samples_is_read_from_their_spectrogram(size, hertz):
    tone = (size * np.sin(np.arange(g.WINDOW) * 2 * np.pi * hertz / g.RATE)).astype(np.float32)
    power = torch.pow(10.0, torch.from_numpy(log_mel(tone))[None] / 10)
    gain = augment.to_level(power).sum() / power.sum()
    wanted = LEVEL / np.sqrt(np.mean(tone**2))
    assert float(gain) ** 0.5 == pytest.approx(wanted, rel=0.12)  # 1 dB


def test_silence_stays_quiet():
    silence = flat(1, g.FLOOR_DB)
    assert augment.to_decibels(augment.to_level(silence)).max() <= g.FLOOR_DB + 50.1


def test_hardened_windows_are_finite_and_near_the_level(rng):
    hard = augment.harden(torch.randn(8, g.FRAMES, g.MELS) * 5 - 40, rng)
    assert torch.all(torch.isfinite(hard))
    assert hard.min() >= g.FLOOR_DB
    again = augment.to_decibels(augment.to_level(torch.pow(10.0, hard / 10)))
    off = (hard - again).mean((1, 2))
    low, high = augment.OFF_LEVEL_DB
    assert torch.all((off > low - 0.1) & (off < high + 0.1))
    assert off.std() > 1


def test_masking_leaves_its_argument_alone(rng):
    power = flat()
    masked = augment.mask(power * torch.rand(power.shape), rng)
    torch.testing.assert_close(power, flat())
    assert masked.shape == power.shape
