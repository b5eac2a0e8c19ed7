import numpy as np
import pytest

from training import geometry as g
from training import synth


@pytest.mark.parametrize("kind", sorted(set(synth.KINDS), key=lambda kind: kind.__name__))
def test_every_kind_is_finite_audible_and_about_as_long_as_told(kind):
    rng = np.random.default_rng(0)
    for seconds in (0.8, 2.5):
        for _ in range(3):
            wave = kind(rng, seconds)
            assert np.isfinite(wave).all()
            assert np.abs(wave).max() > 0
            assert len(wave) <= (seconds + 0.1) * g.RATE


def test_no_two_are_alike_and_each_is_repeatable():
    first, second = (synth.synthesise(np.random.default_rng(seed), 2.0) for seed in (1, 2))
    assert first.dtype == np.float32
    assert np.abs(first).max() == pytest.approx(1)
    assert len(first) != len(second) or not np.allclose(first, second)
    np.testing.assert_array_equal(first, synth.synthesise(np.random.default_rng(1), 2.0))


def test_sounds_are_placed_at_their_moments():
    out = synth.place([np.ones(10), np.full(10, 2.0)], np.array([0.0, 0.5]), 1.0)
    assert len(out) == g.RATE + 1
    assert out[:10].tolist() == [1] * 10
    assert out[g.RATE // 2 : g.RATE // 2 + 10].tolist() == [2] * 10
    assert out.sum() == pytest.approx(30)


def test_a_smoke_alarm_is_among_the_alarms():
    found = 0
    for seed in range(60):
        wave = np.abs(synth.alarm(np.random.default_rng(seed), 4.0))
        loud = np.array([part.max() > 0.05 for part in np.array_split(wave, 40)])  # tenths of a second
        found += np.array_equal(loud[1:40:5], [True, False, True, False, True, False, False, False])
    assert 5 <= found <= 30
