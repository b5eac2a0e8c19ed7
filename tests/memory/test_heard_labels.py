"""Start levels over the memory are those of the scores that the running monitor would have had."""

from dataclasses import replace

import numpy as np
import pytest

from monitor.config import LabelConfig
from monitor.config.hours import Hours
from monitor.detection import scoring
from monitor.detection.alarm_clusters import Heard
from monitor.detection.baseline import BASELINE_SECONDS, Baseline
from monitor.detection.rules import rule_of
from monitor.memory.heard_labels import heard_labels
from monitor.memory.label_scores import logits
from monitor.memory.memory_reader import MemoryReader, memory_directory, to_ns
from monitor.memory.segment import GATES, Entry, Header, Kind
from monitor.memory.segment_writer import SegmentWriter
from monitor.types import GateReason
from tests.support.remembered import remember
from tests.support.web_server import LABELS, Engine

NOON = 1_795_435_200.0
ENGINE = Engine()
PROTOTYPES = ENGINE.build_prototypes(LABELS, (), {})


def embeddings(windows, seed=1):
    rows = np.abs(np.random.default_rng(seed).normal(size=(windows, ENGINE.dimension)))
    rows[::37] += 3 * ENGINE.embed_text(["a dog barking"])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def rules(**changes):
    return [replace(rule_of(label, rate=ENGINE.rate, hop=ENGINE.hop), **changes) for label in LABELS]


def heard(state, wanted=None, exact=20_000, **period):
    chunks = MemoryReader(state, ENGINE.identity).chunks("crib", **period)
    return heard_labels(chunks, PROTOTYPES, wanted or rules(), ENGINE.calibration, exact=exact)


def test_levels_are_those_of_live_scores(tmp_path):
    rows = embeddings(9_000)  # more than an hour, in two segments
    remember(tmp_path, ENGINE, rows, since=NOON)
    found = heard(tmp_path)
    assert list(found) == ["dog", "cat"]
    quantised = np.concatenate(
        [chunk.vectors for chunk in MemoryReader(tmp_path, ENGINE.identity).chunks("crib")]
    )
    values = logits(quantised, PROTOTYPES, ENGINE.calibration)
    baseline = Baseline(
        np.full(2, ENGINE.calibration.baseline, np.float32), ENGINE.windows_in(BASELINE_SECONDS)
    )
    scores = []
    for row in values:
        scores.append(scoring.scores(row, baseline.values))
        baseline.update(row, np.zeros(2, dtype=bool))
    for place, rule in enumerate(rules()):
        live = Heard.of(found["dog"].ended_at, np.stack(scores)[:, place], rule)
        assert found[rule.label].levels == pytest.approx(live.levels, rel=1e-4)
        assert found[rule.label].hours == pytest.approx(9_000 * 0.5 / 3600)
    assert found["dog"].ended_at[[0, -1]] == pytest.approx([NOON, NOON + 8_999 * 0.5])


def test_only_the_highest_scores_are_exact_and_no_other_is_too_low(tmp_path):
    remember(tmp_path, ENGINE, embeddings(6_000), since=NOON)
    exact = heard(tmp_path)["dog"].levels
    rough = heard(tmp_path, exact=600)["dog"].levels
    top = exact >= np.quantile(exact, 0.995)
    assert np.array_equal(rough[top], exact[top])
    assert np.all(rough >= exact)
    assert not np.array_equal(rough, exact)


def test_what_is_not_remembered_is_not_heard(tmp_path):
    assert heard(tmp_path) == {}
    remember(tmp_path, ENGINE, embeddings(100), since=NOON)
    assert heard(tmp_path, since=NOON + 3600) == {}
    assert len(heard(tmp_path, since=NOON + 10)["dog"].levels) == 80


def test_quiet_hours_do_not_count(tmp_path):
    remember(tmp_path, ENGINE, embeddings(400), since=NOON)
    every_hour = (Hours(0, 1440),)
    assert len(heard(tmp_path, rules(quiet=every_hour))["dog"].levels) == 0


def test_windows_without_the_temporal_pattern_of_a_label_are_no_hits(tmp_path):
    remember(tmp_path, ENGINE, embeddings(400), since=NOON)
    found = heard(tmp_path, rules(pattern="t3"))
    assert (len(found["dog"].levels), found["dog"].levels.max()) == (400, 0.0)


def test_gated_windows_are_heard_and_disarmed_ones_are_not(tmp_path):
    directory = memory_directory(tmp_path, ENGINE.identity) / "crib"
    directory.mkdir(parents=True)
    header = Header(ENGINE.dimension, ENGINE.rate, ENGINE.length, ENGINE.hop)
    writer = SegmentWriter(directory, to_ns(NOON), header)
    for number, reason in enumerate((GateReason.SILENCE, GateReason.DISARMED)):
        entry = Entry(
            to_ns(NOON + 100 * number + 50),
            ENGINE.length + 100 * ENGINE.hop * (1 + number),
            kind=Kind.GATED,
            reason=GATES.index(reason),
            count=40,
        )
        writer.append([entry])
    writer.close()
    found = heard(tmp_path)["dog"]
    assert found.levels.tolist() == [0.0] * 40
    assert found.ended_at[-1] == NOON + 50


def test_a_label_detected_with_its_own_hop_is_counted_with_it():
    label = LabelConfig(id="dog", prompts=("a dog barking",))
    assert (
        Heard.of(np.zeros(0), np.zeros(0, np.float32), rule_of(label, rate=100, hop=25)).hop_seconds == 0.25
    )
