"""Matching: the reports that count as found, and those that are false."""

import pytest

from monitor.evaluation.annotations import Occurrence
from monitor.evaluation.matching import match
from monitor.evaluation.replay import DetectedEvent

BARK = Occurrence("dog", 10.0, 12.0)


def heard(start, known_at, label="dog", stop=None):
    return DetectedEvent(label, start, stop or start + 1, known_at)


def test_a_report_in_time_is_found_and_gives_its_latency():
    matched = match([BARK], [heard(10.2, 11.5)], "dog", collar=1.0)
    assert (matched.found, matched.false_alarms) == (1, 0)
    assert matched.latencies == (1.5,)


@pytest.mark.parametrize(
    ("start", "known_at", "found"),
    [
        (9.0, 10.0, 1),  # as early as the collar allows
        (8.9, 10.5, 0),
        (9.5, 9.9, 0),  # known before the dog barked: it cannot have been the dog
        (13.0, 14.0, 1),
        (13.1, 14.0, 0),
    ],
)
def test_a_report_must_be_within_the_collar_and_not_before_the_onset(start, known_at, found):
    matched = match([BARK], [heard(start, known_at)], "dog", collar=1.0)
    assert (matched.found, matched.false_alarms) == (found, 1 - found)


def test_a_second_report_of_the_same_sound_is_neither_found_nor_false():
    matched = match([BARK], [heard(10, 11), heard(11, 12)], "dog", collar=1.0)
    assert (matched.found, matched.false_alarms) == (1, 0)


def test_two_sounds_near_each_other_need_two_reports():
    sounds = [BARK, Occurrence("dog", 12.5, 13.0)]
    assert match(sounds, [heard(11.5, 12.5)], "dog", collar=1.0).found == 1
    assert match(sounds, [heard(11.5, 12.5), heard(12.5, 13.5)], "dog", collar=1.0).found == 2


def test_a_report_of_another_label_is_of_no_interest():
    matched = match([BARK], [heard(10, 11, "cat")], "dog", collar=1.0)
    assert (matched.found, matched.false_alarms) == (0, 0)


def test_what_is_always_on_finds_nothing_and_is_one_false_alarm():
    sounds = [Occurrence("dog", at, at + 1.0) for at in (10.0, 100.0, 200.0)]
    matched = match(sounds, [heard(0.0, 1.0, stop=300.0)], "dog", collar=2.0)
    assert (matched.found, matched.false_alarms) == (0, 1)
