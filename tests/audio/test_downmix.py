"""Channels to one: what cancels out is heard all the same, and the choice does not depend on blocks."""

import numpy as np
import pytest
import soundfile

from monitor.audio.downmix import Downmixer
from monitor.audio.sources.ffmpeg import decode

RATE = 8000


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def sound(seconds=3.0, seed=0, amplitude=0.1):
    return noise(round(seconds * RATE), seed) * np.float32(amplitude)


def mixed(frames, sizes=(800,), rate=RATE, mixer=None):
    mixer = mixer or Downmixer("test", None)
    parts, start = [], 0
    while start < len(frames):
        size = sizes[len(parts) % len(sizes)]
        parts.append(mixer.push(frames[start : start + size], rate))
        start += size
    return np.concatenate(parts)


def power(samples):
    return float(np.mean(np.square(samples[RATE // 10 :], dtype=np.float64)))


@pytest.mark.parametrize("right", [-1.0, -0.9, -0.5, -1.1, -2.0])
def test_channels_in_opposite_phase_are_heard_as_the_louder_one(right):
    left = sound()
    got = mixed(np.stack([left, np.float32(right) * left], axis=1))
    assert power(got) >= 0.9 * power(left)


def test_a_much_louder_channel_is_the_one_that_is_heard():
    left = sound()
    got = mixed(np.stack([left, -5 * left], axis=1))
    assert got[RATE:].tolist() == (-5 * left)[RATE:].tolist()


def test_two_of_four_channels_in_opposite_phase_are_heard():
    left, other = sound(), sound(seed=1, amplitude=0.01)
    got = mixed(np.stack([left, -left, other, np.zeros_like(other)], axis=1))
    assert power(got) == pytest.approx(power(left) / 9, rel=0.2)


def test_two_of_four_channels_are_heard_beside_others_as_loud():
    left, third, fourth = sound(), sound(seed=1), sound(seed=2)
    got = mixed(np.stack([left, -left, third, fourth], axis=1))
    assert abs(np.corrcoef(got[RATE:], left[RATE:])[0, 1]) > 0.5


@pytest.mark.parametrize(
    ("weights", "offset"),
    [
        ([[1, 1], [0, 0]], 0.0),
        ([[1, 0], [0, 1]], 0.0),
        ([[1, 0], [0, 0.01]], 0.0),
        ([[1, 0], [0, 0]], 0.0),
        ([[1, 1], [0, 0]], [0.5, -0.5]),
        ([[1, 0.5, 0, 0], [0, 0.5, 1, 0]], 0.0),
    ],
    ids=["equal", "independent", "one is quiet", "one is silent", "offsets", "four"],
)
def test_ordinary_channels_stay_their_mean_to_the_bit(weights, offset):
    frames = (np.stack([sound(), sound(seed=1)], axis=1) @ np.array(weights) + offset).astype(np.float32)
    assert mixed(frames).tolist() == frames.mean(axis=1, dtype=np.float32).tolist()


def test_hum_that_runs_against_itself_for_a_moment_is_no_reason():
    time = np.arange(10 * RATE) / RATE
    rumble = np.stack([np.sin(2 * np.pi * 3 * time), np.sin(2 * np.pi * 3.3 * time)], axis=1)
    frames = (0.01 * rumble + np.stack([sound(10, 1), sound(10, 2)], axis=1)).astype(np.float32)
    assert mixed(frames).tolist() == frames.mean(axis=1, dtype=np.float32).tolist()


@pytest.mark.parametrize("sizes", [(1,), (160,), (399,), (401,), (4096,), (7, 900, 33)])
def test_blocks_of_any_size_give_what_the_whole_gives(sizes):
    left, right = sound(), sound(seed=1)
    frames = np.concatenate(
        [np.stack(pair, axis=1) for pair in ([left, right], [left, -left], [left, left], [left, -0.6 * left])]
    ).astype(np.float32)
    frames = frames[:: 3 if sizes == (1,) else 1]
    assert mixed(frames, sizes).tolist() == mixed(frames, [len(frames)]).tolist()


def test_the_choice_stays_through_quiet_in_which_each_channel_has_noise_of_its_own():
    crow, one, two = sound(1.0), sound(20.0, 1, 1e-4), sound(20.0, 2, 1e-4)
    parts = [np.stack([crow, -crow], axis=1), np.stack([one, two], axis=1), np.stack([crow, -crow], axis=1)]
    got = mixed(np.concatenate(parts))
    assert got[RATE:].tolist() == np.concatenate([one, crow]).tolist()


def test_levels_that_change_places_do_not_move_the_choice():
    left = sound(10.0)
    louder = np.where(np.arange(len(left)) // (RATE // 4) % 2, 1.5, 0.7).astype(np.float32)
    got = mixed(np.stack([left, -louder * left], axis=1))
    assert got[RATE:].tolist() == left[RATE:].tolist()


def test_channels_that_have_long_agreed_are_mixed_again():
    left, right = sound(1.0), sound(300.0, 1)
    frames = np.concatenate([np.stack([left, -left], axis=1), np.stack([right, right], axis=1)])
    mixer = Downmixer("test", None)
    mixed(frames, mixer=mixer)
    both = np.stack([left, 2 * left], axis=1)
    assert mixed(both, mixer=mixer).tolist() == both.mean(axis=1, dtype=np.float32).tolist()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e20, -3e38])
def test_a_sample_that_is_no_sound_teaches_nothing_and_is_marked(bad):
    left = sound()
    frames = np.stack([left, -left], axis=1)
    frames[RATE, 0] = bad
    got = mixed(frames)
    assert np.flatnonzero(~np.isfinite(got)).tolist() == [RATE]
    assert got[RATE + 1 :].tolist() == left[RATE + 1 :].tolist()


def test_the_channel_that_was_asked_for_is_heard_whatever_the_others_are():
    left = sound()
    frames = np.stack([left, -left], axis=1)
    assert mixed(frames, mixer=Downmixer("test", 2)).tolist() == (-left).tolist()


def test_cancellation_is_logged_once_with_the_source_and_the_key_to_set(caplog):
    left = sound()
    for _ in range(3):
        mixed(np.stack([left, -left], axis=1), mixer=Downmixer("source porch, said once", None))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.messages[0].startswith("source porch, said once: its channels cancel each other out")
    assert "`channel:`" in caplog.messages[0]


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_file_in_opposite_phase_is_decoded_as_one_channel(tmp_path, rate):
    left = noise(3 * rate) * np.float32(0.3)
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left], axis=1), rate, subtype="FLOAT")
    got = decode(tmp_path / "a.wav", rate)
    assert got[rate // 10 :].tolist() == left[rate // 10 :].tolist()
