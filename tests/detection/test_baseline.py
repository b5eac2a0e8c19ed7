"""Baseline: the quantile of a minute of logits, without the labels that are active."""

import numpy as np
import pytest

from monitor.detection.baseline import Baseline


def test_the_baseline_equals_the_quantile_of_the_last_minute_taken_at_once():
    random = np.random.default_rng(0).standard_normal((25, 2)).astype(np.float32)
    baseline = Baseline(np.array([-3.0, -3.0], np.float32), windows=10)
    for count, logit in enumerate(random, start=1):
        baseline.update(logit, np.array([False, False]))
        held = np.concatenate([np.full((max(0, 10 - count), 2), -3.0), random[max(0, count - 10) : count]])
        assert baseline.values == pytest.approx(np.quantile(held, 0.9, axis=0), abs=1e-5)


def test_before_the_first_window_the_baseline_is_the_initial_one():
    assert Baseline(np.array([-3.0, 1.0], np.float32), windows=60).values == pytest.approx([-3.0, 1.0])


def test_an_active_label_does_not_raise_its_own_baseline():
    baseline = Baseline(np.array([-3.0, -3.0], np.float32), windows=10)
    for _ in range(30):
        baseline.update(np.array([5.0, 5.0], np.float32), np.array([True, False]))
    assert baseline.values == pytest.approx([-3.0, 5.0])


def test_labels_that_stay_keep_their_baseline_in_any_order_and_new_ones_start_afresh():
    baseline = Baseline(np.array([0.0, 0.0, 0.0], np.float32), windows=4)
    for value in (1.0, 2.0, 3.0):
        baseline.update(np.array([value, -value, 9.0], np.float32), np.array([False, False, True]))
    other = baseline.carried_over(np.array([7.0, 7.0, 7.0], np.float32), [1, None, 0])
    assert other.values == pytest.approx([baseline.values[1], 7.0, baseline.values[0]])
    for both, logit in ((baseline, [4.0, -4.0, 0.0]), (other, [-4.0, 0.0, 4.0])):
        both.update(np.array(logit, np.float32), np.array([False, False, False]))
    assert other.values[[2, 0]] == pytest.approx(baseline.values[:2])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_does_not_enter_the_baseline(bad):
    baseline = Baseline(np.zeros(2, np.float32), 4)
    for _ in range(5):
        baseline.update(np.array([bad, 2.0], np.float32), np.zeros(2, bool))
    assert baseline.values.tolist() == [0.0, 2.0]
