"""Levels: what they are, what is not worth scoring, and that gain is taken out."""

import numpy as np
import pytest

from monitor import level


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
        (sine(-80.0), "silent"),
        (sine(-60.0), None),
        (np.append(sine(-20.0), np.float32("nan")), "non_finite"),
        (np.append(sine(-20.0), np.float32("inf")), "non_finite"),
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
