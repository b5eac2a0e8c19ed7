"""Advice about thresholds, beside events that were right."""

import numpy as np
import pytest

from monitor.detection.alarm_advice import advise
from monitor.detection.alarm_clusters import Heard
from monitor.detection.alarm_rate import NoThreshold
from monitor.detection.start_levels import score_of

HOUR = 3600


@pytest.fixture
def heard():
    """Six hours with a sound every three minutes, and three real ones: loud, faint, and not heard at all."""
    levels = np.full(6 * HOUR, score_of(-6.0), np.float32)
    peaks = np.random.default_rng(1).exponential(0.8, 120) - 3.0
    for place, peak in zip(range(0, len(levels), 180), peaks, strict=True):
        levels[place : place + 2] = score_of(float(peak))
    levels[[1000, 5000]] = score_of(9.0), score_of(-5.0)
    return Heard(np.arange(float(len(levels))), levels, 1.0, 10.0)


RIGHT = np.array([[996.0, 999.0], [4998.0, 4999.0], [90_000.0, 90_001.0]])


def test_events_that_were_right_are_no_false_alarms(heard):
    targets = {"dog": "2/hour"}
    (with_them,) = advise("crib", {"dog": heard}, targets, {"dog": RIGHT, "cat": RIGHT}, 5.0)
    (without,) = advise("crib", {"dog": heard}, targets, {}, 5.0)
    assert (with_them.source, with_them.label, with_them.target) == ("crib", "dog", "2/hour")
    assert (with_them.right, with_them.missed) == (2, 1)
    assert (without.right, without.missed) == (0, 0)
    assert with_them.threshold < without.threshold
    assert with_them.found.hours == pytest.approx(6 - 16 / HOUR, abs=1e-3)


def test_without_a_threshold_nothing_is_missed(heard):
    (found,) = advise("crib", {"dog": heard}, {"dog": "0.1/week"}, {"dog": RIGHT}, 5.0)
    assert isinstance(found.found, NoThreshold)
    assert (found.threshold, found.right, found.missed) == (None, 2, 0)
