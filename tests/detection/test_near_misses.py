"""Near misses: one for each stretch that came near and was no event, with its reason.

Windows of 8 samples every 4, at 4 Hz: a hop is a second, a window two.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import LabelConfig
from monitor.detection.events import Detector
from monitor.detection.near_misses import SPACING_SECONDS, MissReason
from monitor.detection.rules import rule_of
from monitor.types import Break
from tests.support.ramps import RATE, scores_of

QUIET = (0.1,) * 4
"""Long enough for a stretch to be over."""


def detector(**settings):
    defaults = {"confirm_seconds": 0, "merge_gap_seconds": 0, "cooldown_seconds": 0}
    label = LabelConfig(id="dog", prompts=("a dog barking",), **(defaults | settings))
    return Detector([rule_of(label, rate=RATE, hop=RATE)])


def misses(*windows, **settings):
    active_labels = detector(**settings)
    found = []
    for scores in windows:
        active_labels.update(scores)
        found += active_labels.take_near_misses()
    return found


def reasons(*values, **settings):
    return [(miss.reason, round(miss.peak_score, 3)) for miss in misses(*scores_of(*values), **settings)]


def test_a_peak_below_the_threshold_is_one_miss_not_one_for_each_window():
    (miss,) = misses(*scores_of(0.1, 0.32, 0.48, 0.4, *QUIET))
    assert miss.peak_score == pytest.approx(0.48)
    assert (miss.source, miss.label, miss.threshold) == ("mic", "dog", 0.5)
    assert (miss.reason, miss.windows, miss.windows_needed) == (MissReason.BELOW_THRESHOLD, 0, 1)
    assert (miss.start, miss.stop) == (4, 20)
    assert miss.peak_at == pytest.approx(100 + 16 / RATE)


def test_what_stays_far_below_the_threshold_is_no_miss():
    assert reasons(0.29, 0.29, *QUIET) == []


def test_a_miss_is_told_once_it_is_over():
    active_labels = detector()
    told = []
    for scores in scores_of(0.4, 0.1, 0.1, 0.1, 0.1):
        active_labels.update(scores)
        told.append(len(active_labels.take_near_misses()))
    assert told == [0, 0, 0, 1, 0]


def test_an_event_is_no_miss_and_neither_is_its_rise_or_its_tail():
    assert reasons(0.4, 0.6, 0.9, 0.1, *QUIET) == []
    assert reasons(0.4, 0.6, 0.9, 0.32, 0.31, 0.32, *QUIET) == []
    assert reasons(*[0.9] * 6, *QUIET, max_duration_seconds=3) == []


def test_too_few_windows_are_not_confirmed():
    (miss,) = misses(*scores_of(0.1, 0.9, *QUIET), confirm_seconds=2)
    assert (miss.reason, miss.windows, miss.windows_needed) == (MissReason.NOT_CONFIRMED, 1, 2)


def test_a_confirmed_sound_shorter_than_the_minimum_is_too_short():
    assert reasons(0.9, 0.9, *QUIET, confirm_seconds=2, min_duration_seconds=3) == [("too_short", 0.9)]


def test_a_sound_in_the_cooldown_says_so():
    assert reasons(0.9, 0.1, 0.8, *QUIET, cooldown_seconds=3) == [("cooldown", 0.8)]


def test_a_sound_that_rises_again_out_of_its_own_tail_in_the_cooldown_says_so():
    assert reasons(0.9, 0.32, 0.8, *QUIET, cooldown_seconds=3) == [("cooldown", 0.8)]


def test_in_the_cooldown_what_is_below_the_threshold_would_be_no_event_anyway():
    assert reasons(0.9, 0.1, 0.4, *QUIET, cooldown_seconds=3) == [("below_threshold", 0.4)]


def test_a_sound_that_sinks_into_silence_before_it_is_confirmed_says_so():
    windows = scores_of(0.9, 0.0, 0.0, 0.0)
    windows[1:] = [replace(scores, gated="silence") for scores in windows[1:]]
    (miss,) = misses(*windows, confirm_seconds=2)
    assert miss.reason is MissReason.SILENCE


def test_silence_does_not_explain_what_was_too_low():
    windows = scores_of(0.4, 0.0, 0.0, 0.0)
    windows[1:] = [replace(scores, gated="silence") for scores in windows[1:]]
    (miss,) = misses(*windows)
    assert miss.reason is MissReason.BELOW_THRESHOLD


@pytest.mark.parametrize(
    ("rival", "alone", "reason"),
    [
        ("a wolf howling", 0.6, MissReason.CONFUSABLE),
        ("a wolf howling", 0.45, MissReason.BELOW_THRESHOLD),
        (None, 0.6, MissReason.BELOW_THRESHOLD),
    ],
)
def test_another_sound_won_if_it_was_nearer_and_made_the_difference(rival, alone, reason):
    heard = [
        replace(scores, nearest_against=(rival,), without_against=np.array([alone], np.float32))
        for scores in scores_of(0.4, *QUIET)
    ]
    (miss,) = misses(*heard)
    assert (miss.reason, miss.against) == (reason, rival)


@pytest.mark.parametrize("reason", ["gap", "end"])
def test_what_a_break_cut_off_was_interrupted(reason):
    active_labels = detector(confirm_seconds=2)
    active_labels.update(*scores_of(0.9))
    active_labels.interrupt(Break("mic", 9, 102.25, reason))
    (miss,) = active_labels.take_near_misses()
    assert miss.reason is MissReason.INTERRUPTED
    assert active_labels.take_near_misses() == []


def test_what_is_open_at_the_shutdown_is_told():
    active_labels = detector(confirm_seconds=2)
    active_labels.update(*scores_of(0.9))
    active_labels.finish()
    assert [miss.reason for miss in active_labels.take_near_misses()] == [MissReason.INTERRUPTED]


def test_what_comes_soon_after_a_miss_joins_the_next_one():
    found = misses(*scores_of(0.4, *QUIET, 0.45, *QUIET, 0.35, *QUIET, *QUIET))
    assert [round(miss.peak_score, 2) for miss in found] == [0.4, 0.45]


def test_a_hum_that_goes_on_all_night_is_told_once():
    assert reasons(*[0.4] * 700, *QUIET) == [("below_threshold", 0.4)]


def test_a_sound_that_goes_on_through_a_long_cooldown_is_told_once():
    assert reasons(0.9, 0.1, *[0.9] * 700, *QUIET, cooldown_seconds=5000) == [("cooldown", 0.9)]


@given(
    values=st.lists(st.floats(0, 1, width=32), max_size=80),
    settings=st.fixed_dictionaries(
        {
            "confirm_seconds": st.integers(0, 4),
            "merge_gap_seconds": st.integers(0, 4),
            "cooldown_seconds": st.integers(0, 9),
            "min_duration_seconds": st.integers(0, 4),
        }
    ),
)
def test_misses_are_apart_near_and_never_an_event(values, settings):
    active_labels = detector(**settings)
    events, told_at = [], []
    for scores in scores_of(*values):
        events += active_labels.update(scores)
        for miss in active_labels.take_near_misses():
            told_at.append(scores.stop)
            assert 0.3 - 1e-6 <= miss.peak_score <= max(values)
            assert miss.start < miss.stop <= scores.stop
            assert not any(event.start >= miss.start and event.start < miss.stop for event in events[-1:])
    assert all(b - a >= SPACING_SECONDS * RATE for a, b in itertools.pairwise(told_at))
