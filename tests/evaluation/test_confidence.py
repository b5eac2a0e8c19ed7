"""Intervals."""

import numpy as np
import pytest

from monitor.evaluation.confidence import Estimate, estimate, ratio


def test_the_interval_of_a_share_is_about_two_standard_errors_wide():
    values = np.arange(400) % 2.0
    share = estimate(lambda rows: float(values[rows].mean()), 400, rounds=1000)
    assert share.value == 0.5
    assert share.high - share.low == pytest.approx(4 * 0.5 / 20, rel=0.15)


def test_the_same_data_give_the_same_interval():
    above, below = np.arange(5.0), np.full(5, 10.0)
    assert ratio(above, below) == ratio(above, below)


def test_nothing_to_measure_is_not_zero():
    assert ratio(np.zeros(3), np.zeros(3)) == Estimate(None)
    assert str(Estimate(None)) == "-"


def test_one_recording_gives_no_interval():
    assert ratio(np.array([1.0]), np.array([2.0])) == Estimate(0.5)
