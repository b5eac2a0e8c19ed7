"""The fit of scale and centre, on tails that are known."""

import numpy as np
import pytest
from scipy.special import expit

from monitor.detection.calibration import SHARE, Calibration
from monitor.evaluation.calibration_fit import SHIFTS, Tail, corrected, first_guess


def tail(*, rate_at_zero, excess, label_hours):
    """An exponential tail, counted."""
    expected = rate_at_zero * label_hours * np.exp(-SHIFTS / excess)
    return Tail(SHIFTS, np.round(expected).astype(int), label_hours)


@pytest.mark.parametrize("label_hours", [5.0, 20.0, 200.0])
@pytest.mark.parametrize("excess", [0.5, 1.0, 2.0])
def test_the_shift_of_a_rate_is_found_in_an_exponential_tail(label_hours, excess):
    found = tail(rate_at_zero=60.0, excess=excess, label_hours=label_hours)
    for rate in (1.0, 10.0):
        assert found.shift_at(rate) == pytest.approx(excess * np.log(60.0 / rate), abs=0.35)


def test_a_lower_rate_needs_a_higher_shift_whatever_was_counted():
    random = np.random.default_rng(0)
    for _ in range(200):
        counts = np.sort(random.poisson(random.uniform(0, 50, len(SHIFTS))))[::-1]
        found = Tail(SHIFTS, counts, random.uniform(0.1, 40.0))
        assert found.shift_at(10.0) <= found.shift_at(1.0)


def test_where_nothing_was_counted_the_assumption_holds():
    found = Tail(SHIFTS, np.zeros(len(SHIFTS), dtype=int), 5.0)
    assert found.shift_at(1.0) == SHIFTS[0]


def test_few_false_alarms_move_the_mean_excess_only_a_little():
    counts = np.where(SHIFTS < 0.0, 6, 0)
    few = Tail(SHIFTS, counts, 5.0)
    many = Tail(SHIFTS, counts * 100, 500.0)
    assert few.shift_at(0.1) > many.shift_at(0.1) + 0.5


def test_the_corrected_calibration_scores_a_half_at_one_false_alarm_and_a_tenth_at_ten():
    counted = tail(rate_at_zero=60.0, excess=1.5, label_hours=400.0)
    tried = Calibration(scale=2.0, centre=3.0, baseline=-1.0)
    calibration = corrected(tried, counted, usual=1.0)
    q90 = 0.7
    for rate, score in ((1.0, 0.5), (10.0, 0.1)):
        shift = 1.5 * np.log(60.0 / rate)
        # the margin whose logit, less half of the baseline, is the shift with the calibration that was tried
        margin = shift / tried.scale + SHARE * q90 + (1 - SHARE) * tried.centre
        baseline = calibration.scale * (q90 - calibration.centre)
        logit = calibration.scale * (margin - calibration.centre) - SHARE * baseline
        assert expit(logit) == pytest.approx(score, abs=0.01)
    assert calibration.baseline == pytest.approx(calibration.scale * (1.0 - calibration.centre))


def test_the_first_guess_puts_ordinary_windows_below_a_half():
    margins = np.random.default_rng(0).standard_normal((500, 10)).astype(np.float32) * 3 + 7
    guess = first_guess(margins)
    logits = guess.scale * (margins - guess.centre) - SHARE * guess.baseline
    assert np.quantile(expit(logits), 0.95) < 0.5
    assert np.isfinite(first_guess(np.full((4, 2), 0.3, np.float32)).centre)
