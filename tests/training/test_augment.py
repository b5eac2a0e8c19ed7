import numpy as np
import pytest
import torch

from training import augment
from training import geometry as g


@pytest.fixture
def rng():
    torch.manual_seed(0)
    return np.random.default_rng(0)


def flat(windows=3, decibels=0.0):
    return augment.to_power(torch.full((windows, g.FRAMES, g.MELS), decibels))


def test_decibels_and_back():
    values = torch.tensor([[-90.0, 0.0, 12.0]])
    torch.testing.assert_close(augment.to_decibels(augment.to_power(values)), values)


@pytest.mark.parametrize("snr", [-5.0, 0.0, 20.0])
def test_mixing_at_a_ratio(snr):
    mixed = augment.mix(flat(), flat(decibels=-40), torch.full((3,), snr))
    added = augment.to_decibels(mixed - flat())
    torch.testing.assert_close(added, torch.full_like(added, -snr), atol=0.01, rtol=0)


def test_mixing_infinitely_far_below_adds_nothing():
    mixed = augment.mix(flat(), flat(), torch.full((3,), torch.inf))
    torch.testing.assert_close(mixed, flat())


def test_mixing_with_silence_does_not_explode():
    mixed = augment.mix(flat(), torch.zeros_like(flat()), torch.zeros(3))
    torch.testing.assert_close(mixed, flat())


def test_noise_is_equally_loud_whatever_its_slope(rng):
    torch.testing.assert_close(
        augment.loudness(augment.noise((4, g.FRAMES, g.MELS), rng)), torch.ones(4, 1, 1)
    )


def test_reverberation_sounds_on_after_a_click(rng):
    click = torch.zeros(1, g.FRAMES, g.MELS)
    click[:, 10] = 1
    wet = augment.reverberate(click, rng)
    assert torch.all(wet[:, :10] == 0)
    assert torch.all(wet[:, 11:].diff(dim=1) < 0)
    assert wet.sum() < 2 * click.sum()


def test_a_band_limit_takes_the_top_away(rng):
    limited = augment.to_decibels(augment.limit(flat(), rng))
    assert torch.all(limited[:, :, -1] <= -30)
    assert torch.all(limited[:, :, 0] == 0)


def test_hardened_windows_are_finite_and_not_below_the_floor(rng):
    silent = torch.zeros(8, g.FRAMES, g.MELS)
    silent[:4] = flat(4)
    hard = augment.harden(silent, rng)
    assert hard.shape == silent.shape
    assert torch.all(torch.isfinite(hard))
    assert hard.min() >= g.FLOOR_DB


def test_masking_leaves_its_argument_alone(rng):
    power = flat()
    augment.mask(power, rng)
    torch.testing.assert_close(power, flat())
