"""Temporal patterns: alarms are found in noise and in rooms, other beepers are not."""

import numpy as np
import pytest

from monitor.detection.pattern_finder import PatternFinder
from monitor.model.mel_config import mel_config_of
from monitor.model.spectrogram_cache import SpectrogramCache
from tests.support.alarms import OTHERS, RATE, beeps, in_room, mixed, pink_noise, t3, t4, windows_of

STARTER = mel_config_of(
    {
        "feature_size": 96,
        "hop_length": 505,
        "frequency_min": 50,
        "max_length_s": 1,
        "truncation": "rand_trunc",
    }
)
UNFUSED = mel_config_of({"truncation": "rand_trunc"})
FUSED = mel_config_of({})
SECOND = RATE


def found(audio, *, mel_config=STARTER, length=SECOND, hop=SECOND // 2):
    """Every pattern that is found at any time."""
    finder, spectrograms = PatternFinder(mel_config), SpectrogramCache(mel_config)
    windows = windows_of(audio, length, hop)
    return set().union(*(finder.observe(window, spectrograms.inner(window)) for window in windows))


def alarm_in_noise(group, hertz, *, seed, snr_db=0, decay_seconds=0.3, seconds=20):
    random = np.random.default_rng(seed)
    dry = beeps(group, seconds, hertz, square=hertz < 1000, start=2.2)
    return mixed(in_room(dry, decay_seconds, random), pink_noise(seconds, random), snr_db)


@pytest.mark.parametrize("hertz", [520, 2800, 3100, 3400, 3600])
@pytest.mark.parametrize(("group", "name"), [(t3, "t3"), (t4, "t4")])
def test_an_alarm_is_found_in_a_room_and_in_noise_as_loud_as_it(group, name, hertz):
    assert found(alarm_in_noise(group(), hertz, seed=hertz)) == {name}


@pytest.mark.parametrize("factors", [{"beep": 0.93, "pause": 1.07}, {"beep": 1.07, "pause": 0.93}])
@pytest.mark.parametrize(("group", "name"), [(t3, "t3"), (t4, "t4")])
def test_timing_may_differ_a_little_from_the_standard(group, name, factors):
    assert found(alarm_in_noise(group(**factors), 3150, seed=3)) == {name}


@pytest.mark.parametrize("beep", [0.7, 1.4])
@pytest.mark.parametrize("group", [t3, t4])
def test_beeps_of_another_length_are_no_alarm(group, beep):
    assert not found(alarm_in_noise(group(beep=beep), 3150, seed=4, snr_db=20))


@pytest.mark.parametrize(
    "group",
    [
        [(0.5, 0.5)],
        [(0.5, 0.5)] * 3 + [(0.5, 1.5)],
        [(0.5, 0.5)] * 1 + [(0.5, 1.5)],
        [*t3()[:2], (0.5, 60.0)],
        [(0.1, 0.1)],
        [(0.1, 0.1)] * 3 + [(0.1, 1.0)],
        [*t4()[:3], (0.1, 60.0)],
    ],
)
def test_other_series_of_the_same_beeps_are_no_alarm(group):
    assert not found(alarm_in_noise(group, 3100, seed=5, snr_db=20, seconds=25))


@pytest.mark.parametrize("other", OTHERS)
def test_other_sounds_are_no_alarm(other):
    for seed in range(3):
        random = np.random.default_rng(seed)
        sound = in_room(other(25, random), 0.5, random)
        assert not found(mixed(sound, pink_noise(25, random), 10))


@pytest.mark.parametrize("mel_config", [STARTER, UNFUSED, FUSED])
@pytest.mark.parametrize(("length", "hop"), [(0.5, 0.5), (1, 0.25), (1, 1), (0.5, 0.3)])
def test_windows_of_any_length_find_the_same(mel_config, length, hop):
    windows = {"length": round(length * RATE), "hop": round(hop * RATE)}
    for group, name in ((t3, "t3"), (t4, "t4")):
        audio = alarm_in_noise(group(), 3100, seed=6, snr_db=6)
        assert found(audio, mel_config=mel_config, **windows) == {name}


def test_a_pattern_is_no_longer_found_when_the_alarm_has_been_silent_for_a_while():
    random = np.random.default_rng(7)
    audio = alarm_in_noise(t3(), 3100, seed=7)
    audio = np.concatenate([audio, 0.1 * pink_noise(20, random)])
    finder, spectrograms = PatternFinder(STARTER), SpectrogramCache(STARTER)
    names = [finder.observe(w, spectrograms.inner(w)) for w in windows_of(audio, SECOND, SECOND // 2)]
    assert names[30] == {"t3"}
    assert not names[-1]


def test_windows_that_are_too_quiet_to_be_scored_are_pauses():
    audio = beeps(t3(), 14, 3100, start=1.0)
    finder, spectrograms = PatternFinder(STARTER), SpectrogramCache(STARTER)
    windows = windows_of(audio, SECOND // 2, SECOND // 2)
    powers = [(w, spectrograms.inner(w) if w.samples.any() else None) for w in windows]
    assert sum(power is None for _, power in powers) > 5
    assert any(finder.observe(window, power) for window, power in powers)


def test_a_pattern_does_not_cross_a_gap():
    audio = beeps(t3(), 9.0, 3100, start=1.6)  # two groups
    finder, spectrograms = PatternFinder(STARTER), SpectrogramCache(STARTER)
    whole = list(windows_of(audio, SECOND, SECOND // 2))
    assert any(finder.observe(w, spectrograms.inner(w)) for w in whole)
    finder = PatternFinder(STARTER)
    broken = [w for w in whole if w.stop <= 4 * RATE or w.start > 4 * RATE]
    assert not any(finder.observe(w, spectrograms.inner(w)) for w in broken)


def test_a_checkpoint_without_the_bands_finds_nothing():
    coarse = mel_config_of(
        {"sampling_rate": 1000, "hop_length": 10, "fft_window_size": 128, "feature_size": 8}
        | {"frequency_max": 400, "max_length_s": 1, "truncation": "rand_trunc"}
    )
    finder, spectrograms = PatternFinder(coarse), SpectrogramCache(coarse)
    random = np.random.default_rng(0)
    audio = random.standard_normal(5000).astype(np.float32)
    assert not any(finder.observe(w, spectrograms.inner(w)) for w in windows_of(audio, 1000, 500))
