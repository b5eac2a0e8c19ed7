import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.audio.resample import Resampler, mono

RATES = [(44100, 48000), (48000, 16000), (16000, 48000), (44100, 16000), (11025, 32000), (192000, 48000)]


def noise(n):
    return np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)


def resampled(audio, sizes, input_rate, rate):
    resampler = Resampler(input_rate, rate)
    parts, start = [], 0
    while start < len(audio):
        size = sizes[len(parts) % len(sizes)]
        parts.append(resampler.push(audio[start : start + size]))
        start += size
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize(("input_rate", "rate"), RATES)
@pytest.mark.parametrize("size", [1, 160, 4096])
def test_blocks_of_any_size_give_what_the_whole_array_gives(input_rate, rate, size):
    audio = noise(9001)
    got = resampled(audio, [size], input_rate, rate)
    assert got.tolist() == soxr.resample(audio, input_rate, rate, quality="HQ").tolist()


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 5000),
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=8),
    rates=st.sampled_from(RATES),
)
def test_blocks_of_mixed_sizes_give_what_the_whole_array_gives(n, sizes, rates):
    audio = noise(n)
    got = resampled(audio, sizes, *rates)
    assert abs(len(got) - n * rates[1] / rates[0]) <= 0.5
    assert got.tolist() == resampled(audio, [n + 1], *rates).tolist()


def test_equal_rates_are_passed_through():
    audio = noise(7)
    resampler = Resampler(16000, 16000)
    assert resampler.push(audio) is audio
    assert resampler.delay == 0
    assert len(resampler.finish()) == 0


def test_the_delay_is_what_has_been_taken_in_and_not_given_out():
    resampler = Resampler(16000, 48000)
    got = sum(len(resampler.push(noise(1600))) for _ in range(10))
    assert got + resampler.delay == pytest.approx(48000, abs=1)
    assert got + len(resampler.finish()) == 48000


def test_mono_is_the_mean_of_all_channels():
    frames = np.array([[0, 1, 5], [2, 4, 0]], dtype=np.float32)
    assert mono(frames, None).tolist() == [2, 2]


@pytest.mark.parametrize(("channel", "expected"), [(1, [0, 2]), (2, [1, 4]), (3, [5, 0])])
def test_mono_is_the_channel_asked_for(channel, expected):
    frames = np.array([[0, 1, 5], [2, 4, 0]], dtype=np.float32)
    got = mono(frames, channel)
    assert got.tolist() == expected
    assert got.flags.c_contiguous
