"""Start levels, compared with the event machine itself."""

import numpy as np
import pytest

from monitor.detection.event_machine import EventMachine
from monitor.detection.rules import Rule
from monitor.detection.start_levels import logit_of, score_of, start_levels
from monitor.types import EndReason, Scores

RATE = 4


def rule(**changes):
    plain = {"threshold": 0.5, "release": 0.5, "hits": 2, "of": 3, "min_duration": 0, "max_duration": RATE}
    return Rule("a", RATE, RATE, **(plain | {"merge_gap": 0, "cooldown": 0} | changes))


def first_start(values, wanted, breaks=()):
    """Return the window with which the first event starts."""
    machine = EventMachine(wanted)
    for index, value in enumerate(values):
        if index in breaks:
            machine.end(EndReason.GAP)
        scores = Scores(
            "s", RATE * index, RATE * (index + 1), float(index), ("a",), np.array([value], np.float32), -30.0
        )
        if machine.update(scores, float(value)):
            return index
    return None


def test_two_of_three_windows_start_at_the_lower_of_the_two_best():
    scores = np.array([0.1, 0.9, 0.2, 0.7, 0.7, 0.0], np.float32)
    assert start_levels(scores, rule()) == pytest.approx([0.0, 0.1, 0.2, 0.7, 0.7, 0.0])


def test_nothing_counts_across_a_break():
    scores = np.array([0.9, 0.9, 0.9, 0.9], np.float32)
    assert start_levels(scores, rule(), np.array([1])) == pytest.approx([0.0, 0.0, 0.9, 0.9])


@pytest.mark.parametrize(("hits", "of"), [(1, 1), (2, 3), (4, 6)])
@pytest.mark.parametrize("lasting", [0, 3, 5])
@pytest.mark.parametrize("breaks", [(), (7,), (0, 3, 4, 11)])
def test_the_event_machine_starts_first_where_the_level_reaches_its_threshold(hits, of, lasting, breaks):
    random = np.random.default_rng([hits, lasting, len(breaks)])
    for _ in range(40):
        scores = random.uniform(0, 1, 16).astype(np.float32)
        wanted = rule(hits=hits, of=of, min_duration=lasting * RATE)
        levels = start_levels(scores, wanted, np.array(breaks, np.intp))
        for threshold in (0.2, 0.4, 0.6, 0.8):
            at = rule(hits=hits, of=of, min_duration=lasting * RATE, threshold=threshold, release=threshold)
            reached = np.flatnonzero(levels >= threshold)
            assert first_start(scores, at, breaks) == (reached[0] if len(reached) else None)


def test_many_windows_are_levelled_as_few_are():
    scores = np.random.default_rng(1).uniform(0, 1, 140_000).astype(np.float32)
    levels = start_levels(scores, rule(hits=4, of=6))
    part = start_levels(scores[65_500:65_600], rule(hits=4, of=6))
    assert np.array_equal(levels[65_510:65_600], part[10:])


def test_scores_of_nought_and_one_have_finite_logits():
    logits = logit_of(np.array([0.0, 0.5, 1.0], np.float32))
    assert logits[1] == 0
    assert np.isfinite(logits).all()
    assert score_of(float(logits[2])) <= 1
    assert score_of(-800.0) == pytest.approx(0)
