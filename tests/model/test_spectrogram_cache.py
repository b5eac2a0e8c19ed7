"""Spectrograms that share frames: the same as each window's own, however windows follow each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.audio.level import to_reference
from monitor.model.log_mel import log_mel
from monitor.model.mel_config import mel_config_of
from monitor.model.spectrogram_cache import SpectrogramCache
from monitor.types import Window

SMALL = {
    "sampling_rate": 8000,
    "hop_length": 80,
    "fft_window_size": 256,
    "feature_size": 32,
    "max_length_s": 0.8,
}
SMALL |= {"frequency_min": 50, "frequency_max": 4000, "truncation": "rand_trunc"}
GEOMETRIES = {
    "small": mel_config_of(SMALL),
    "odd frames": mel_config_of(SMALL | {"fft_window_size": 255, "hop_length": 77}),
    "zeros behind": mel_config_of(SMALL | {"padding": "pad"}),
}
LENGTHS = (6400, 3200, 1600, 800, 400, 300, 100)
AUDIO = np.random.default_rng(0).standard_normal(40_000).astype(np.float32) * np.geomspace(
    1e-4, 1, 40_000
).astype(np.float32)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(list(GEOMETRIES)),
    st.sampled_from(LENGTHS),
    st.lists(
        st.one_of(st.integers(0, 20).map(lambda n: 80 * n), st.integers(0, 3000)), min_size=1, max_size=12
    ),
)
def test_windows_of_any_hops_gaps_and_skips_have_the_spectrogram_of_each_alone(name, length, hops):
    mel_config = GEOMETRIES[name]
    spectrograms, start = SpectrogramCache(mel_config), 0
    for hop in hops:
        start = (start + hop) % (len(AUDIO) - length)
        window = Window("mic", start, AUDIO[start : start + length], 0.0)
        expected = log_mel(to_reference(window.samples), mel_config)
        assert np.abs(spectrograms.log_mel(window) - expected).max() < 1e-3


@pytest.mark.parametrize("seconds", [10, 5, 1])
def test_the_geometry_of_the_published_checkpoints_shares_frames_too(seconds):
    mel_config = mel_config_of({"frequency_min": 50, "truncation": "rand_trunc"})
    spectrograms, length = SpectrogramCache(mel_config), 48_000 * seconds
    audio = 0.1 * np.random.default_rng(1).standard_normal(48_000 * 15).astype(np.float32)
    for start in (0, 48_000, 72_000, 73_000, 121_000):
        window = Window("mic", start, audio[start : start + length], 0.0)
        assert (
            np.abs(spectrograms.log_mel(window) - log_mel(to_reference(window.samples), mel_config)).max()
            < 1e-3
        )


def test_sources_share_nothing_with_each_other():
    mel_config, spectrograms = GEOMETRIES["small"], SpectrogramCache(GEOMETRIES["small"])
    for start in (0, 800, 1600):
        for source, offset in (("porch", 0), ("nursery", 20_000)):
            samples = AUDIO[offset + start : offset + start + 3200]
            got = spectrograms.log_mel(Window(source, start, samples, 0.0))
            assert np.abs(got - log_mel(to_reference(samples), mel_config)).max() < 1e-3


def test_a_frame_is_computed_once():
    mel_config, spectrograms = GEOMETRIES["small"], SpectrogramCache(GEOMETRIES["small"])
    first = spectrograms.inner(Window("mic", 0, AUDIO[:3200], 0.0))
    lies = np.zeros(3200, dtype=np.float32)  # what was computed is not looked at again
    second = spectrograms.inner(Window("mic", 800, lies, 0.0))
    assert np.array_equal(second[: len(first) - 10], first[10:])
    assert not second[len(first) - 10 :].any()
    assert mel_config.hop * 10 == 800
