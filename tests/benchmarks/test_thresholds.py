"""Simulated rooms, and thresholds from them for a desired rate of false alarms."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import thresholds
from benchmarks.simulated_rooms import DAY, ROOMS, RULE, scores_of, starts
from monitor.detection.alarm_clusters import Heard
from monitor.detection.alarm_rate import AlarmThreshold, alarm_threshold


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_the_same_with_the_same_seed(room):
    one, other = (scores_of(room, 1, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one, other)
    assert one.shape == (DAY,)
    assert one.min() >= 0
    assert one.max() < 1


def test_events_start_once_and_again_after_the_cooldown():
    scores = np.zeros(60, np.float32)
    scores[[10, 11, 12, 30, 31, 50]] = 0.9
    assert list(starts(scores, 0.5)) == [11, 31]
    half_seconds = replace(RULE, rate=100, hop=50, max_duration=30_000, merge_gap=200, cooldown=500)
    assert list(starts(scores, 0.5, half_seconds)) == [11, 31]
    scores[[20, 21]] = 0.9  # 4 s after the last: within the cooldown
    assert list(starts(scores, 0.5, half_seconds)) == [11, 31]


def test_a_threshold_set_in_a_quiet_room_fires_as_often_as_wished_in_the_next_days():
    scores = scores_of("quiet", 4, np.random.default_rng(5))
    heard = Heard.of(np.arange(2.0 * DAY), scores[: 2 * DAY], RULE)
    found = alarm_threshold(heard, 24 / heard.hours)
    assert isinstance(found, AlarmThreshold)
    assert 12 <= len(list(starts(scores[2 * DAY :], found.threshold))) <= 48


def test_outcomes_are_counted_beside_those_of_a_perfect_threshold():
    (tally,) = thresholds.rooms("quiet", 1, 2, expectations=(12.0,), truth_days=6).values()
    assert len(tally.ratios) + sum(tally.refused.values()) == 2
    assert "within a factor of 2: " in tally.line()
