"""Events: one for each occurrence, and every one that starts ends.

Windows of 8 samples every 4, at 4 Hz: a hop is a second, a window two.
"""

import re
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import LabelConfig
from monitor.config.hours import parse_hours
from monitor.detection.event_machine import EventMachine, ulid
from monitor.detection.events import Detector
from monitor.detection.near_misses import MissReason
from monitor.detection.rules import rule_of
from monitor.types import Break
from tests.support.ramps import RATE, scores_of

SECOND = RATE


def detector(*, quiet=(), **settings):
    defaults = {"confirm_seconds": 0, "merge_gap_seconds": 0, "cooldown_seconds": 0}
    label = LabelConfig(id="dog", prompts=("a dog barking",), **(defaults | settings))
    return Detector([rule_of(label, rate=RATE, hop=SECOND, quiet=quiet)])


def phases(*values, **settings):
    """What happens at each window: + starts, - ends."""
    active_labels = detector(**settings)
    marks = ""
    for scores in scores_of(*values):
        events = active_labels.update(scores)
        marks += "".join("-" if event.stop else "+" for event in events) or "."
    return marks


def test_an_event_starts_at_the_threshold_and_ends_below_the_release():
    assert phases(0.1, 0.5, 0.4, 0.36, 0.34, threshold=0.5) == ".+..-"


def test_between_release_and_threshold_nothing_starts():
    assert phases(0.1, 0.45, 0.45, 0.1, threshold=0.5) == "...."


@pytest.mark.parametrize(
    ("values", "marks"),
    [
        ((0.9, 0.9, 0.1), ".+-"),
        ((0.9, 0.1, 0.9, 0.1), "..+-"),
        ((0.9, 0.1, 0.1, 0.9), "...."),
        ((0.9, 0.1, 0.1, 0.9, 0.1), "....."),
    ],
)
def test_two_seconds_of_confirmation_are_two_of_the_last_three_windows(values, marks):
    assert phases(*values, confirm_seconds=2) == marks


def test_a_sound_that_returns_within_the_merge_gap_is_the_same_event():
    assert phases(0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, merge_gap_seconds=2) == "+.....-"


def test_after_an_event_nothing_starts_before_the_cooldown_is_over():
    assert phases(0.9, 0.1, 0.9, 0.9, 0.9, 0.1, cooldown_seconds=3) == "+-..+-"


def test_a_sound_shorter_than_the_minimum_is_no_event():
    assert phases(0.9, 0.9, 0.1, 0.9, 0.9, 0.9, 0.1, min_duration_seconds=3) == ".....+-"


def test_a_sound_that_goes_on_ends_at_the_maximum_and_restarts_only_after_quiet():
    assert phases(*[0.9] * 8, 0.1, 0.9, 0.1, max_duration_seconds=4) == "+..-.....+-"


def test_start_and_end_are_one_event_and_keep_the_best_score():
    start, end = (event for scores in scores_of(0.1, 0.6, 0.9, 0.4, 0.1) for event in DETECTOR.update(scores))
    assert start.id == end.id
    assert (start.score, start.peak_score, end.score, end.peak_score) == pytest.approx((0.6, 0.6, 0.6, 0.9))
    assert (start.stop, start.ended_at, start.reason) == (None, None, None)
    assert (end.windows, end.reason) == (2, "quiet")
    assert end.uncertainty_seconds == 2.0


DETECTOR = detector()


def test_the_score_at_the_start_is_the_best_of_the_confirming_windows_not_the_last():
    active_labels = detector(confirm_seconds=2)
    (start,) = (event for scores in scores_of(0.9, 0.6) for event in active_labels.update(scores))
    assert start.score == pytest.approx(0.9)


def test_onset_and_offset_lie_in_the_first_and_the_last_window_that_heard_it():
    active_labels = detector(confirm_seconds=2)
    heard = scores_of(0.1, 0.9, 0.9, 0.9, 0.1)
    start, end = (event for scores in heard for event in active_labels.update(scores))
    assert heard[1].start <= start.start < heard[1].stop
    assert heard[3].start < end.stop <= heard[3].stop
    assert start.start < end.stop
    assert start.started_at == pytest.approx(100 + start.start / RATE)
    assert end.ended_at == pytest.approx(100 + end.stop / RATE)


@pytest.mark.parametrize("reason", ["gap", "end"])
def test_an_event_that_is_open_ends_where_the_audio_breaks(reason):
    active_labels = detector()
    (first, *_) = scores_of(0.9)
    (start,) = active_labels.update(first)
    (end,) = active_labels.interrupt(Break("mic", 9, 102.25, reason))
    assert (end.id, end.reason) == (start.id, reason)
    assert active_labels.finish() == []


def test_nothing_is_confirmed_across_a_break():
    active_labels = detector(confirm_seconds=2)
    first, second = scores_of(0.9, 0.9)
    active_labels.update(first)
    active_labels.interrupt(Break("mic", 9, 102.25, "gap"))
    assert active_labels.update(second) == []


def test_sources_do_not_confirm_each_other():
    active_labels = detector(confirm_seconds=2)
    (first, *_) = scores_of(0.9)
    other = type(first)(**{name: getattr(first, name) for name in first.__slots__} | {"source": "porch"})
    assert active_labels.update(first) == []
    assert active_labels.update(other) == []


def test_what_is_heard_or_about_to_be_is_active():
    active_labels = detector(confirm_seconds=2)
    first, second, quiet = scores_of(0.9, 0.9, 0.1)
    assert active_labels.active("mic") == frozenset()
    active_labels.update(first)
    assert active_labels.active("mic") == {"dog"}
    active_labels.update(second)
    assert active_labels.active("mic") == {"dog"}
    active_labels.update(quiet)
    assert active_labels.active("mic") == frozenset()


@given(
    values=st.lists(st.floats(0, 1, width=32), max_size=40),
    settings=st.fixed_dictionaries(
        {
            "confirm_seconds": st.integers(0, 4),
            "merge_gap_seconds": st.integers(0, 4),
            "cooldown_seconds": st.integers(0, 4),
            "min_duration_seconds": st.integers(0, 4),
            "max_duration_seconds": st.integers(4, 9),
        }
    ),
    broken_at=st.integers(0, 40),
)
def test_starts_and_ends_alternate_and_every_start_has_its_end(values, settings, broken_at):
    active_labels = detector(**settings)
    events = []
    for index, scores in enumerate(scores_of(*values)):
        if index == broken_at:
            events += active_labels.interrupt(Break("mic", scores.start, 0.0, "gap"))
        events += active_labels.update(scores)
    events += active_labels.finish()
    assert [event.stop is None for event in events] == [True, False] * (len(events) // 2)
    for start, end in zip(events[::2], events[1::2], strict=True):
        assert start.id == end.id
        assert start.start < end.stop
        assert end.peak_score >= start.score >= np.float32(0.5)


def test_a_ulid_sorts_by_time_and_has_the_form_of_one():
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", ulid(1_795_435_203.412))
    assert ulid(1.0) < ulid(2.0)
    assert ulid(1.0) != ulid(1.0)


NOON = 43_200.0
"""Unix seconds, of the first day."""


@pytest.fixture
def _in_greenwich(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def rest(active_labels, *values, at):
    """What starts and ends with windows that end a second apart from a moment on."""
    heard = [replace(each, ended_at=at + i) for i, each in enumerate(scores_of(*values))]
    return [event for scores in heard for event in active_labels.update(scores)]


def resting(**settings):
    return detector(quiet=(parse_hours("12:00-13:00"),), **settings)


@pytest.mark.usefixtures("_in_greenwich")
def test_no_event_starts_in_quiet_hours_and_it_is_told_why():
    active_labels = resting()
    assert rest(active_labels, 0.9, 0.9, 0.9, 0, 0, 0, 0, at=NOON) == []
    (miss,) = active_labels.take_near_misses()
    assert (miss.label, miss.reason) == ("dog", MissReason.QUIET_HOURS)


@pytest.mark.usefixtures("_in_greenwich")
def test_an_event_that_lasts_into_quiet_hours_ends_by_itself_and_none_follows():
    events = rest(resting(), *[0.9] * 10, 0, 0, 0, *[0.9] * 10, at=NOON - 5)
    assert [event.reason for event in events] == [None, "quiet"]


@pytest.mark.usefixtures("_in_greenwich")
def test_what_is_heard_in_quiet_hours_confirms_nothing_after_them():
    assert rest(resting(confirm_seconds=2), 0.9, 0.9, 0.9, at=NOON + 3598) == []
    assert len(rest(resting(confirm_seconds=2), 0.9, 0.9, 0.9, 0.9, at=NOON + 3598)) == 1


def rules(**thresholds):
    labels = (
        LabelConfig(
            id=id_,
            prompts=("a",),
            threshold=value,
            confirm_seconds=0,
            merge_gap_seconds=9,
            cooldown_seconds=0,
        )
        for id_, value in thresholds.items()
    )
    return [rule_of(label, rate=RATE, hop=SECOND) for label in labels]


def test_a_threshold_of_one_source_holds_there_alone():
    active_labels = Detector(by_source={"mic": rules(dog=0.9), "hall": rules(dog=0.5)})
    (scores,) = scores_of(0.7)
    assert active_labels.update(scores) == []
    (event,) = active_labels.update(replace(scores, source="hall"))
    assert (event.source, event.label) == ("hall", "dog")


def test_a_changed_threshold_holds_from_the_next_window_on_and_an_open_event_goes_on():
    active_labels = Detector(by_source={"mic": rules(dog=0.5)})
    first, second, third = scores_of(0.7, 0.7, 0.7)
    (event,) = active_labels.update(first)
    assert active_labels.apply({"mic": rules(dog=0.9)}) == []
    assert active_labels.update(second) == []
    assert [ended.id for ended in active_labels.apply({"mic": []})] == [event.id]
    assert active_labels.apply({"mic": rules(dog=0.6)}) == []
    assert len(active_labels.update(third)) == 1


def test_an_event_of_a_label_that_goes_ends_as_disabled_and_others_go_on():
    active_labels = Detector(by_source={"mic": rules(dog=0.5, cat=0.5)})
    (scores,) = scores_of(0.7)
    both = replace(scores, labels=("dog", "cat"), values=np.array([0.7, 0.8], np.float32))
    assert len(active_labels.update(both)) == 2
    (ended,) = active_labels.apply({"mic": rules(cat=0.5)})
    assert (ended.label, ended.reason) == ("dog", "disabled")
    assert ended.stop > ended.start
    assert active_labels.active("mic") == {"cat"}


def with_patterns(*windows):
    """Scores of windows, each with the temporal pattern that was found in it, if any."""
    for scores, (_, pattern) in zip(scores_of(*(value for value, _ in windows)), windows, strict=True):
        yield replace(scores, patterns=frozenset() if pattern is None else frozenset({pattern}))


def test_without_its_temporal_pattern_no_event_starts_and_the_near_miss_says_so():
    alarms = detector(pattern="t3")
    quiet = [(0.0, None)] * 4
    windows = with_patterns((0.9, None), (0.9, "t4"), (0.9, None), *quiet)
    assert [event for scores in windows for event in alarms.update(scores)] == []
    (miss,) = alarms.take_near_misses()
    assert (miss.label, miss.reason, miss.peak_score) == ("dog", "no_pattern", pytest.approx(0.9))


def test_windows_with_the_temporal_pattern_confirm_an_event_that_goes_on_without_it():
    alarms = detector(pattern="t3", confirm_seconds=2)
    windows = with_patterns((0.9, None), (0.9, "t3"), (0.9, "t3"), (0.9, None), (0.0, None))
    starts = [len(alarms.update(scores)) for scores in windows]
    assert starts == [0, 0, 1, 0, 1]
    assert alarms.take_near_misses() == []


def test_a_label_that_waits_for_its_temporal_pattern_counts_as_active_so_its_baseline_does_not_rise():
    alarms = detector(pattern="t3")
    for scores in with_patterns(*[(0.9, None)] * 5):
        assert alarms.update(scores) == []
        assert alarms.active("mic") == {"dog"}
    (scores,) = with_patterns((0.1, None))
    alarms.update(scores)
    assert not alarms.active("mic")


def test_the_temporal_pattern_alone_is_no_event():
    alarms = detector(pattern="t3")
    windows = with_patterns(*[(0.2, "t3")] * 4)
    assert [event for scores in windows for event in alarms.update(scores)] == []


VALUES = st.sampled_from([0.0, 0.05, 0.12, 0.2, 0.3, 0.35, 0.5, 0.55, 0.9])


@given(st.lists(st.tuples(VALUES, st.sampled_from([None] * 8 + [0.1, 0.3, 0.5])), max_size=40))
def test_windows_far_from_the_threshold_may_be_passed_over(steps):
    """Of the same windows and thresholds, a machine that rests makes what one does that never rests."""
    label = LabelConfig(id="dog", prompts=("a dog barking",), cooldown_seconds=3)
    machines = [EventMachine(rule_of(label, rate=RATE, hop=RATE)) for _ in range(2)]
    found = [], []
    for scores, (value, threshold) in zip(scores_of(*(v for v, _ in steps)), steps, strict=True):
        for rests, machine, made in zip((True, False), machines, found, strict=True):
            if threshold is not None:
                changed = label.model_copy(update={"threshold": threshold})
                machine.apply(rule_of(changed, rate=RATE, hop=RATE))
            if not (rests and machine.rests(scores, value)):
                made += [replace(event, id="") for event in machine.update(scores, value)]
                made.append(machine.near_miss(scores, 0))
            else:
                made.append(None)
            made.append(type(machine.state))
    assert found[0] == found[1]
