import numpy as np
import pytest

from training import geometry as g
from training.export import extractor
from training.listen import cut, silent
from training.sound import LEVEL, band_widths, level, log_mel


def tone(seconds, size=0.1):
    return (size * np.sin(np.arange(int(seconds * g.RATE)) * 0.1)).astype(np.float32)


def test_log_mel_is_what_the_library_computes():
    sound = np.random.default_rng(0).standard_normal(g.WINDOW).astype(np.float32) * 0.1
    theirs = extractor()([sound], sampling_rate=g.RATE, return_tensors="np")["input_features"]
    assert theirs.shape == (1, 1, g.FRAMES, g.MELS)
    np.testing.assert_allclose(log_mel(sound), theirs[0, 0], atol=1e-3)


def test_silence_is_the_floor():
    np.testing.assert_allclose(log_mel(np.zeros(g.WINDOW, np.float32)), g.FLOOR_DB, rtol=1e-6)


@pytest.mark.parametrize("size", [1e-3, 0.1, 0.5])
def test_level_brings_the_loudest_second_to_the_same_rms(size):
    sound = np.concatenate([np.zeros(g.RATE, np.float32), tone(1, size)])
    loudest = np.sqrt(np.mean(level(sound, g.RATE)[-g.RATE :] ** 2))
    assert loudest == pytest.approx(LEVEL, rel=0.01)


def test_level_does_not_clip_a_click():
    sound = np.zeros(g.RATE, np.float32)
    sound[100] = 0.5
    assert np.abs(level(sound, g.RATE)).max() < 1


@pytest.mark.parametrize(("seconds", "windows"), [(0.3, 1), (1, 1), (1.5, 2), (5, 9)])
def test_windows_about_half_a_second_apart(seconds, windows):
    assert cut(tone(seconds)).shape == (windows, g.WINDOW)


def test_a_short_clip_repeats():
    half = g.RATE // 2
    window = cut(np.arange(half, dtype=np.float32))[0]
    assert window[half + 5] == window[5] == 5


def test_a_checkpoint_is_not_asked_about_silence():
    sound = np.concatenate([tone(1), np.zeros(2 * g.RATE, np.float32)])
    assert [silent(window) for window in cut(sound)] == [False, False, True, True, True]


def test_band_widths_cover_the_spectrum_once():
    assert band_widths().sum() == pytest.approx(g.HIGHEST_HZ - g.LOWEST_HZ, rel=0.03)
    assert np.all(np.diff(band_widths()) >= -0.01)
