import numpy as np
import pytest
from transformers import ClapFeatureExtractor
from transformers.audio_utils import mel_filter_bank

from monitor.model.log_mel import check_window, log_mel, mel_bank
from monitor.model.mel_config import mel_config_of
from monitor.types import ModelError

UNFUSED = {"frequency_min": 50, "truncation": "rand_trunc"}
FUSED = {"frequency_min": 50, "truncation": "fusion"}
STARTER = UNFUSED | {"hop_length": 505, "feature_size": 96, "max_length_s": 1}
LONG_FRAMES = UNFUSED | {"hop_length": 960, "fft_window_size": 2048, "max_length_s": 5}
ODD = UNFUSED | {"sampling_rate": 22_050, "hop_length": 441, "fft_window_size": 1001, "max_length_s": 3}
ODD |= {"feature_size": 32, "frequency_max": 10_000}


def extracted(preprocessor, samples):
    extractor = ClapFeatureExtractor(**preprocessor)
    rate = extractor.sampling_rate
    return extractor(samples, sampling_rate=rate, return_tensors="np")["input_features"][0]


def noise(n, level=0.1):
    return (level * np.random.default_rng(n).standard_normal(n)).astype(np.float32)


def loud_tone(n):
    return (0.99 * np.sin(2 * np.pi * 1000 * np.arange(n) / 48_000)).astype(np.float32)


SOUNDS = {
    "noise": noise,
    "faint noise": lambda n: noise(n, 1e-5),
    "a loud tone": loud_tone,
    "silence": lambda n: np.zeros(n, dtype=np.float32),
    "a click": lambda n: np.eye(1, n, n // 3, dtype=np.float32)[0],
}


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("seconds", [10, 5, 2.5, 1])
@pytest.mark.parametrize(
    "preprocessor", [UNFUSED, FUSED, STARTER, LONG_FRAMES], ids=["unfused", "fused", "starter", "long frames"]
)
def test_log_mel_equals_the_extractor(preprocessor, seconds, sound):
    mel_config = mel_config_of(preprocessor)
    samples = SOUNDS[sound](min(round(seconds * mel_config.rate), mel_config.length))
    expected = extracted(preprocessor, samples)
    got = log_mel(samples, mel_config)
    assert expected.shape == (mel_config.channels, *got.shape)
    assert got.shape == (mel_config.frames, mel_config.mel_bins)
    assert got.dtype == np.float32
    assert np.abs(expected - got).max() < 1e-3


def test_a_filter_between_two_bins_is_empty_and_its_neighbours_stay():
    mel_config = mel_config_of(UNFUSED | {"feature_size": 160, "fft_window_size": 512, "max_length_s": 1})
    bank = mel_bank(mel_config)
    deaf = ~bank.any(axis=0)
    assert 0 < deaf.sum() < 80
    assert not deaf[-1]
    got, samples = log_mel(noise(48_000), mel_config), noise(48_000)
    frame = samples[480 * 10 - 256 : 480 * 10 + 256] * np.hanning(513)[:-1]
    expected = 10 * np.log10(np.maximum(np.abs(np.fft.rfft(frame)) ** 2 @ bank, 1e-10))
    assert got[:, deaf].max() < -99.999
    assert np.abs(got[10] - expected).max() < 1e-3


@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
@pytest.mark.parametrize("n", [1, 441, 22_050, 22_051, 44_100, 66_150])
def test_log_mel_fills_windows_of_any_length_as_the_extractor(n, padding):
    preprocessor = ODD | {"padding": padding}
    samples = noise(n)
    assert (
        np.abs(extracted(preprocessor, samples) - log_mel(samples, mel_config_of(preprocessor))).max() < 1e-3
    )


def test_a_batch_is_its_windows_one_by_one():
    mel_config = mel_config_of(LONG_FRAMES)
    batch = np.stack([noise(48_000), loud_tone(48_000)])
    assert np.array_equal(log_mel(batch, mel_config), [log_mel(window, mel_config) for window in batch])


def test_a_sample_that_is_no_number_spoils_no_other_frame():
    mel_config = mel_config_of(LONG_FRAMES)
    samples = noise(240_000)
    clean = log_mel(samples, mel_config)
    samples[120_000] = np.nan
    spoilt = log_mel(samples, mel_config)
    rows = np.flatnonzero(np.isnan(spoilt).any(axis=1))
    assert 2 <= len(rows) <= 3
    assert np.array_equal(np.delete(clean, rows, axis=0), np.delete(spoilt, rows, axis=0))


def test_mel_bank_is_the_library_s_for_both_scales():
    for preprocessor, scale, norm in ((UNFUSED, "slaney", "slaney"), (FUSED, "htk", None)):
        expected = mel_filter_bank(513, 64, 50, 14_000, 48_000, norm=norm, mel_scale=scale)
        assert np.abs(mel_bank(mel_config_of(preprocessor)) - expected).max() < 1e-12


@pytest.mark.parametrize("n", [0, 240_001])
def test_windows_that_the_model_cannot_hear_whole_are_refused_not_cropped(n):
    with pytest.raises(ValueError, match="expected 1 to 240000"):
        log_mel(noise(n), mel_config_of(LONG_FRAMES))


@pytest.mark.parametrize("seconds", [10, 5, 2.5, 2, 1, 0.5])
def test_windows_that_divide_the_length_are_accepted(seconds):
    check_window(round(seconds * 48_000), mel_config_of(UNFUSED))


@pytest.mark.parametrize("seconds", [0, 3, 4, 10.00002, 20])
def test_windows_that_do_not_divide_the_length_are_refused_with_those_that_do(seconds):
    with pytest.raises(ModelError, match=r"does not divide the 10 s .*; 10, 5, 2\.5, 2, 1 s do"):
        check_window(round(seconds * 48_000), mel_config_of(UNFUSED))
