"""Levels: what they are, what is not worth scoring, and that gain is taken out."""

import numpy as np
import pytest

from monitor.audio import level


def sine(dbfs, n=48_000):
    return np.float32(10 ** (dbfs / 20) * np.sqrt(2)) * np.sin(
        2 * np.pi * 440 * np.arange(n, dtype=np.float32) / 48_000
    )


@pytest.mark.parametrize("dbfs", [-60.0, -20.0, -3.1])
def test_the_level_of_a_sine_is_its_rms(dbfs):
    assert level.rms_dbfs(sine(dbfs)) == pytest.approx(dbfs, abs=0.01)


def test_silence_is_minus_infinity_and_never_full_scale():
    assert level.rms_dbfs(np.zeros(8, np.float32)) == float("-inf")
    assert level.rms_dbfs(np.zeros(0, np.float32)) == float("-inf")
    assert level.loudest_dbfs(np.zeros(8, np.float32), 4) == float("-inf")


def test_a_short_soft_sound_is_not_averaged_with_the_quiet_around_it():
    samples = np.zeros(240_000, np.float32)
    samples[100_000:106_000] = sine(-60.0, 6_000)
    assert level.rms_dbfs(samples) < -70.0
    assert level.gate(samples, 48_000, silence_dbfs=-70.0) is None


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(48_000, np.float32), "digital_silence"),
        (sine(-80.0), "silence"),
        (sine(-60.0), None),
        (np.append(sine(-20.0), np.float32("nan")), "non_finite"),
        (np.append(sine(-20.0), np.float32("inf")), "non_finite"),
        (np.append(sine(-20.0), np.float32(1e20)), "non_finite"),
        (np.append(sine(-20.0), np.float32(-3e38)), "non_finite"),
        (np.append(sine(-20.0), np.float32(1001)), "non_finite"),
        (sine(6.0), None),
        (sine(40.0), None),
        (np.append(np.zeros(48_000, np.float32), np.float32(1e-45)), "silence"),
    ],
)
def test_what_is_not_worth_scoring_has_a_reason(samples, reason):
    assert level.gate(samples, 48_000, silence_dbfs=-70.0) == reason


@pytest.mark.parametrize("gain_db", [-40.0, -20.0, 10.0])
def test_a_quieter_or_louder_microphone_gives_the_model_the_same_window(gain_db):
    samples = sine(-20.0) * np.linspace(0, 1, 48_000, dtype=np.float32)
    other = samples * np.float32(10 ** (gain_db / 20))
    np.testing.assert_allclose(level.to_reference(other), level.to_reference(samples), atol=1e-6)
    assert level.rms_dbfs(level.to_reference(other)) == pytest.approx(level.REFERENCE_DBFS, abs=1e-3)


def test_the_softest_number_there_is_makes_no_gain_that_is_none():
    samples = np.append(np.zeros(48_000, np.float32), np.float32(1e-45))
    assert np.isfinite(np.float32(level.reference_gain(samples) ** 2))
    assert np.isfinite(level.to_reference(samples)).all()
    assert np.isfinite(level.reference_gain(np.zeros(8, np.float32)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e20, -3e38])
def test_what_no_sound_can_be_is_left_out_or_marked(bad):
    samples = np.array([0.5, bad, -2.0], np.float32)
    assert level.plausible(samples).tolist() == [0.5, 0.0, -2.0]
    assert level.marked(samples)[[0, 2]].tolist() == [0.5, -2.0]
    assert not np.isfinite(level.marked(samples)[1])
    assert (
        level.plausible(sine(6.0)[:9]).tolist()
        == level.marked(sine(6.0)[:9]).tolist()
        == sine(6.0)[:9].tolist()
    )
