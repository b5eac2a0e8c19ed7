"""Recall against false alarms."""

import numpy as np
import pytest

from monitor.evaluation.annotations import Occurrence, Recording
from monitor.evaluation.replay import replay
from monitor.evaluation.threshold_sweep import best_shift, shifted, sweep
from tests.support.two_pitches import CONFIG, ENGINE, RULES, write


@pytest.fixture
def swept(tmp_path):
    path = write(tmp_path / "a.wav", 60, ("low", 8, 12), ("low", 30, 34), ("high", 45, 48))
    recording = Recording(path, (Occurrence("low", 8, 12), Occurrence("high", 45, 48)))
    replayed = replay(path, CONFIG, ENGINE, RULES)
    return sweep([recording], [replayed], RULES, collar=1.0)


def test_what_is_annotated_is_found_and_what_is_not_is_false(swept):
    at_default = list(swept.shifts).index(0.0)
    assert swept.found[at_default].tolist() == [[1, 1]]
    assert swept.false_alarms[at_default].tolist() == [[1, 0]]
    assert swept.occurrences.tolist() == [[1, 1]]
    assert swept.hours == pytest.approx([60 / 3600])


def test_a_threshold_out_of_reach_finds_nothing(swept):
    assert swept.found[-1].sum() == swept.false_alarms[-1].sum() == 0


def test_a_shift_keeps_the_distance_between_the_thresholds_in_logits():
    rule = shifted(RULES[0], 1.0)
    assert rule.threshold == pytest.approx(0.7311, abs=1e-4)
    assert rule.release == pytest.approx(0.5941, abs=1e-4)
    assert shifted(rule, -1.0).release == pytest.approx(RULES[0].release)


def test_the_best_shift_finds_most_within_what_is_allowed():
    false, found = np.array([9, 4, 2, 0]), np.array([8, 7, 7, 3])
    assert best_shift(false, found, hours=2.0, rate=2.0) == 1
    assert best_shift(false, found, hours=2.0, rate=1.0) == 2
    assert best_shift(false, found, hours=2.0, rate=0.1) == 3
    assert best_shift(false + 1, found, hours=2.0, rate=0.1) is None
