import numpy as np
import pytest

from training import geometry as g
from training import strange as st


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def tone(hertz=1_000, seconds=1.0):
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * g.RATE)) / g.RATE).astype(np.float32)


def loudest_hertz(wave):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(np.fft.rfftfreq(len(wave), 1 / g.RATE)[spectrum.argmax()])


@pytest.mark.parametrize("change", st.ALONE)
def test_every_change_gives_finite_sound_of_single_precision(change, rng):
    for seconds in (0.1, 0.83, 3.0):
        for _ in range(3):
            changed = change(tone(440, seconds), rng)
            assert changed.dtype == np.float32
            assert len(changed) > 0
            assert np.isfinite(changed).all()


def test_a_shift_moves_a_tone_and_keeps_it_one(rng):
    for _ in range(4):
        shifted = st.shift(tone(5_000), rng)
        assert 30 <= abs(loudest_hertz(shifted) - 5_000) <= 1_500
        assert np.sqrt(np.mean(shifted**2)) == pytest.approx(np.sqrt(0.5), rel=0.02)


def test_speed_moves_the_pitch_and_the_length_alike(rng):
    for _ in range(4):
        changed = st.faster_or_slower(tone(1_000), rng)
        assert loudest_hertz(changed) * len(changed) == pytest.approx(1_000 * g.RATE, rel=0.02)


def test_a_texture_has_the_spectrum_but_not_the_moments():
    clicks = np.zeros(4 * g.RATE, np.float32)
    clicks[:: g.RATE] = 1
    for seed in range(4):
        changed = st.texture(clicks + 0.1 * tone(2_000, 4.0), np.random.default_rng(seed))
        assert loudest_hertz(changed) == pytest.approx(2_000, rel=0.05)
        assert np.abs(changed).max() < 0.9


def test_one_sound_takes_the_loudness_of_another():
    other = np.concatenate([np.zeros(g.RATE, np.float32), tone(300)])
    changed = st.loudness_of(other, tone(2_000), np.random.default_rng(0))
    first, last = np.array_split(changed, 2)
    assert np.abs(first[: -g.RATE // 50]).max() < 0.01 * np.abs(last).max()
    assert loudest_hertz(last) == pytest.approx(2_000, rel=0.01)


def test_one_sound_takes_the_colour_of_another(rng):
    noise = rng.standard_normal(g.RATE).astype(np.float32)
    changed = st.spectrum_of(tone(3_000), noise, rng)
    spectrum = np.abs(np.fft.rfft(changed)) ** 2
    near = slice(2_500, 3_600)
    assert spectrum[near].sum() > 0.8 * spectrum.sum()


def test_one_sound_rings_in_the_body_of_another(rng):
    click = np.zeros(g.RATE, np.float32)
    click[100] = 1
    changed = st.body_of(tone(3_000), click, rng)
    assert loudest_hertz(changed) == pytest.approx(3_000, rel=0.05)
    assert np.abs(changed[:100]).max() < 1e-4
    early, late = (np.abs(changed[at : at + g.RATE // 200]).max() for at in (100, 100 + g.RATE // 50))
    assert early > late


def test_two_sounds_come_by_turns(rng):
    changed = st.turns(tone(500), tone(5_000, 2.0), rng)
    spectrum = np.abs(np.fft.rfft(changed)) ** 2
    hertz = np.fft.rfftfreq(len(changed), 1 / g.RATE)
    for own in (500, 5_000):
        assert spectrum[np.abs(hertz - own) < 200].sum() > 0.1 * spectrum.sum()
    assert len(changed) >= 2 * g.RATE


@pytest.mark.parametrize("together", st.TOGETHER)
def test_two_of_any_length_give_finite_sound_of_single_precision(together, rng):
    for one, other in ((0.1, 3.0), (3.0, 0.1), (0.5, 0.5)):
        changed = together(tone(440, one), tone(90, other), rng)
        assert changed.dtype == np.float32
        assert 0 < len(changed) <= st.LONGEST
        assert np.isfinite(changed).all()


def test_strange_sounds_are_never_silent_nor_longer_than_a_soundscape(rng):
    for _ in range(30):
        changed = st.strange(tone(440, 5.0), tone(90, 0.3), rng)
        assert 0 < len(changed) <= st.LONGEST
        assert np.abs(changed).max() > st.TINY
