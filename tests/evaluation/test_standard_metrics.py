"""The figures of other people's libraries are those of perfect and of useless detectors."""

import pytest

from monitor.evaluation.annotations import Occurrence, Recording
from monitor.evaluation.replay import DetectedEvent, Replay, replay
from monitor.evaluation.standard_metrics import event_f1, psds
from tests.support.two_pitches import CONFIG, ENGINE, RATE, RULES, write

LABELS = ("low", "high")
SOUNDS = (Occurrence("low", 8, 12), Occurrence("high", 30, 34), Occurrence("rain", 40, 50))


@pytest.fixture
def recording(tmp_path):
    return Recording(write(tmp_path / "a.wav", 60, ("low", 8, 12), ("high", 30, 34)), SOUNDS)


def reports(*heard):
    return [Replay(60.0, (), heard)]


def test_reports_at_the_onsets_have_an_f1_of_one(recording):
    perfect = reports(DetectedEvent("low", 8.4, 9, 9), DetectedEvent("high", 29.5, 31, 31))
    assert event_f1([recording], perfect, LABELS, 1.0) == {"low": 1.0, "high": 1.0, "all": 1.0}


def test_the_collar_decides(recording):
    late = reports(DetectedEvent("low", 10.0, 12, 12), DetectedEvent("high", 30.0, 31, 31))
    assert event_f1([recording], late, LABELS, 1.0)["all"] == pytest.approx(0.5)
    assert event_f1([recording], late, LABELS, 2.5)["all"] == 1.0


def test_a_miss_and_a_false_alarm_cost(recording):
    poor = reports(DetectedEvent("low", 8.0, 9, 9), DetectedEvent("low", 50.0, 51, 51))
    assert event_f1([recording], poor, LABELS, 1.0)["low"] == pytest.approx(2 / 3)


def test_a_label_that_sounds_and_is_never_reported_has_an_f1_of_nothing(recording):
    assert event_f1([recording], reports(), (*LABELS, "cough"), 1.0) == {
        "low": 0.0,
        "high": 0.0,
        "cough": None,
        "all": 0.0,
    }


def test_psds_of_a_good_detector_is_near_one(recording):
    replayed = replay(recording.path, CONFIG, ENGINE, RULES)
    assert psds([recording], [replayed], LABELS, RATE)["psds2"] > 0.95


def test_psds_of_swapped_labels_is_near_nothing(recording):
    swapped = tuple(
        Occurrence({"low": "high", "high": "low"}.get(o.label, o.label), o.onset, o.offset) for o in SOUNDS
    )
    replayed = replay(recording.path, CONFIG, ENGINE, RULES)
    assert psds([Recording(recording.path, swapped)], [replayed], LABELS, RATE)["psds2"] < 0.2


def test_there_is_no_psds_of_a_label_that_never_sounds(recording):
    replayed = replay(recording.path, CONFIG, ENGINE, RULES)
    quiet = Recording(recording.path, SOUNDS[:1])
    assert set(psds([quiet], [replayed], LABELS, RATE).values()) == {None}
