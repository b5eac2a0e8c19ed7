"""Events that would have started are paired with those that did."""

import time

from monitor.memory.replay_diff import Firing, by_hour, compare


def firing(start, stop, label="dog", source="hall"):
    return Firing(start, stop, source, label)


def outcomes(would, did):
    return [(each.outcome, each.firing.started_at) for each in compare(would, did)]


def test_events_that_overlap_are_the_same():
    assert outcomes([firing(10, 12)], [firing(11, 15)]) == [("both", 10)]


def test_the_rest_is_new_or_gone_in_order_of_time():
    would = [firing(30, 31), firing(10, 12)]
    did = [firing(11, 12), firing(20, 21), firing(30, 31, label="cat"), firing(30, 31, source="attic")]
    assert outcomes(would, did) == [("both", 10), ("gone", 20), ("gone", 30), ("gone", 30), ("new", 30)]


def test_one_long_event_is_paired_with_one_short_one_only():
    assert outcomes([firing(10, 40)], [firing(11, 12), firing(20, 21)]) == [("both", 10), ("gone", 20)]


def test_hours_are_those_of_the_local_clock():
    at = time.mktime((2026, 11, 30, 6, 30, 0, 0, 0, -1))
    counts = by_hour([firing(at, at + 1), firing(at + 60, at + 61), firing(at + 7200, at + 7201)])
    assert counts == [0] * 6 + [2, 0, 1] + [0] * 15
