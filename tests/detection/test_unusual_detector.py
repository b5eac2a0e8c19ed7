"""Unusual sounds, live: windows far from all usual ones become events, but not where a label has its own."""

from dataclasses import replace

import numpy as np
import pytest

from monitor.config import UNUSUAL, Config, LabelConfig, UnusualConfig, UnusualLabel
from monitor.detection.events import Detector
from monitor.detection.nearest_neighbours import distance, distances, whitening
from monitor.detection.quantised import quantised, restored
from monitor.detection.rules import rule_of
from monitor.detection.unusual_detector import UnusualDetector, UsualSounds
from monitor.types import Break, BreakReason, ConfigError, EndReason, GateReason, Scores
from tests.support.engines import control_of

RATE = 100
USUAL, FOREIGN = np.eye(8, dtype=np.float32)[:2]
RULE = rule_of(UnusualLabel(), rate=RATE, hop=RATE)


def window(second, embedding, *, dog=0.0, **fields):
    return Scores(
        source="hall",
        start=RATE * (second - 1),
        stop=RATE * second,
        ended_at=float(second),
        labels=("dog",),
        values=np.array([dog], np.float32),
        level_dbfs=-40.0,
        embedding=embedding,
        **fields,
    )


@pytest.fixture
def unusual():
    found = UnusualDetector(
        {"hall": RULE}, whitening(None), lambda embedding: ("sound", str(embedding.argmax()))
    )
    found.use("hall", UsualSounds(quantised(USUAL[None]), threshold=0.4, until=100.0))
    assert found.take()
    assert not found.take()
    return found


@pytest.fixture
def detector(unusual):
    dog = replace(RULE, label="dog", threshold=0.5, release=0.4, merge_gap=0)
    return Detector([dog], unusual=unusual)


def hear(detector, seconds, embedding, **fields):
    return [
        (event.label, event.reason)
        for second in seconds
        for event in detector.update(detector.measured(window(second, embedding, **fields)))
    ]


def test_two_foreign_windows_are_an_event_that_ends_when_all_is_usual_again(detector, unusual):
    assert hear(detector, [1, 2, 3], USUAL) == []
    assert hear(detector, [4], FOREIGN) == []
    (started,) = detector.update(detector.measured(window(5, FOREIGN)))
    assert (started.label, started.score, started.like) == (UNUSUAL, 1.0, ("sound", "1"))
    assert hear(detector, [6, 7, 8], USUAL) == [(UNUSUAL, EndReason.QUIET)]
    assert (unusual.label("hall").threshold, unusual.label("attic").threshold) == (0.4, 0.5)


def test_a_candidate_and_an_event_are_active_so_that_every_window_is_scored(detector):
    active = []
    for second, embedding in enumerate([USUAL, FOREIGN, FOREIGN, USUAL, USUAL, USUAL], start=1):
        hear(detector, [second], embedding)
        active.append(UNUSUAL in detector.active("hall"))
    assert active == [False, True, True, True, True, False]


def test_what_a_label_reports_is_not_unusual(detector):
    assert hear(detector, [1, 2, 3, 4], FOREIGN, dog=0.9) == [("dog", None)]
    assert (UNUSUAL, None) in hear(detector, [5, 6, 7], FOREIGN)


def test_an_unchanged_window_is_as_unusual_as_the_one_before_and_a_silent_one_is_not(detector):
    hear(detector, [1, 2], FOREIGN)
    assert hear(detector, [3, 4, 5, 6], None, gated=GateReason.UNCHANGED) == []
    assert hear(detector, [7, 8, 9], None, gated=GateReason.SILENCE) == [(UNUSUAL, EndReason.QUIET)]


def test_a_break_and_the_end_of_the_run_end_it(detector):
    hear(detector, [1, 2], FOREIGN)
    (ended,) = detector.interrupt(Break("hall", 200, 2.0, BreakReason.GAP))
    assert (ended.reason, ended.like) == (EndReason.GAP, ("sound", "1"))
    hear(detector, range(20, 23), FOREIGN)
    assert [event.reason for event in detector.finish()] == [EndReason.SHUTDOWN]


def test_without_a_reference_or_with_one_of_another_time_of_day_nothing_is_unusual(detector, unusual):
    assert hear(detector, [101, 102, 103], FOREIGN) == []
    unusual.use("hall", UsualSounds(quantised(FOREIGN[None]), threshold=0.4, until=1000.0))
    assert hear(detector, [103], FOREIGN) == []
    assert not detector.take_references()  # the threshold is the same
    assert hear(detector, [104, 105], FOREIGN) == []
    assert hear(detector, [106, 107], USUAL) == [(UNUSUAL, None)]
    none = Detector([], unusual=UnusualDetector({"hall": RULE}, whitening(None), lambda _: ()))
    foreign = none.measured(replace(window(1, FOREIGN), labels=(), values=np.empty(0, np.float32)))
    assert (foreign.distance, none.update(foreign)) == (0.0, [])


def test_no_label_may_be_added_whose_events_could_not_be_told_from_them():
    config = Config(labels=(LabelConfig(id="dog", prompts=("a dog",)),), unusual=UnusualConfig(enabled=True))
    control = control_of(config, lambda sentences: np.eye(64, dtype=np.float32)[: len(sentences)])
    assert control.active_labels.ids_by_source == {"microphone": ("dog", UNUSUAL)}
    with pytest.raises(ConfigError, match="unusual sounds are reported under this id"):
        control.add_label({"id": UNUSUAL, "prompts": ["x"]})
    with pytest.raises(ConfigError, match="there is no label"):
        control.set_threshold(UNUSUAL, 0.3)


def test_one_distance_equals_those_of_many():
    random = np.random.default_rng(1)
    rows = random.normal(size=(1_300, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    kept = quantised(rows[:1_200])
    expected = distances(rows[1_200:], restored(kept))
    assert [distance(row, kept) for row in rows[1_200:]] == pytest.approx(expected.tolist(), abs=1e-4)
