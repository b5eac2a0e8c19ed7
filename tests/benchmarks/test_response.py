"""The response of a checkpoint, from where its false alarms are; a model asked once about each window."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.remembered import Remembered
from benchmarks.response import corrected, shift_at
from monitor.detection.calibration import SHARE, Calibration
from monitor.detection.scoring import logits, scores
from monitor.evaluation.threshold_sweep import Sweep


def sweep_of(false_alarms, hours=1.0):
    """One label in one recording, shifts 0, 1, 2, ..."""
    false = np.array(false_alarms)[:, None, None]
    return Sweep(
        labels=("dog",),
        shifts=np.arange(float(len(false))),
        found=np.zeros_like(false),
        false_alarms=false,
        occurrences=np.ones((1, 1), int),
        matched=(),
        hours=np.array([hours]),
    )


def test_the_shift_of_a_rate_lies_where_false_alarms_fall_below_it():
    assert shift_at(sweep_of([100, 10, 1, 0]), 10.0) == pytest.approx(1.0)
    assert shift_at(sweep_of([100, 10, 1, 0], hours=10.0), 1.0) == pytest.approx(1.0)
    assert 1.0 < shift_at(sweep_of([100, 10, 1, 0]), 3.0) < 2.0


def test_a_rate_that_is_never_exceeded_or_never_reached_gives_an_end():
    assert shift_at(sweep_of([0, 0]), 1.0) == 0.0
    assert shift_at(sweep_of([9, 9]), 1.0) == 1.0


def test_a_threshold_that_was_one_logit_too_low_scores_half_afterwards():
    before = Calibration(scale=10.0, centre=0.3, baseline=-2.0)
    after = corrected(before, at_rate=1.0, at_ten_times=-1.0)
    usual = 0.1
    margin = SHARE * usual + (1 - SHARE) * before.centre + 1.0 / before.scale
    for response, expected in ((before, 1.0), (after, 0.0)):
        margins = np.array([margin, usual], np.float32)
        loud, quiet = logits(margins, response)
        score = scores(np.array([loud]), np.array([quiet]))[0]
        assert np.log(score / (1 - score)) == pytest.approx(expected, abs=1e-3)


def test_ten_times_as_many_false_alarms_score_a_tenth():
    before = Calibration(scale=10.0, centre=0.3, baseline=-2.0)
    after = corrected(before, at_rate=1.0, at_ten_times=-1.0)
    # Two logits lie between the two rates before, and those of 0.5 and 0.1 afterwards.
    assert after.scale / before.scale == pytest.approx(np.log(9) / 2.0)


def test_a_window_is_embedded_once_and_kept_across_runs(tmp_path):
    asked = []

    def embed(windows):
        asked.append(len(windows))
        return windows[:, :2] * 2

    model = SimpleNamespace(name="m", path=tmp_path, mel_config=None, device="cpu", embed_log_mel=embed)
    windows = np.arange(12, dtype=np.float32).reshape(4, 3)
    first = Remembered(model, tmp_path / "kept.npz")
    assert np.array_equal(first.embed_log_mel(windows[:3]), windows[:3, :2] * 2)
    assert np.array_equal(first.embed_log_mel(windows), windows[:, :2] * 2)
    first.save()
    assert np.array_equal(
        Remembered(model, tmp_path / "kept.npz").embed_log_mel(windows[::-1]), windows[::-1, :2] * 2
    )
    assert asked == [3, 1]
