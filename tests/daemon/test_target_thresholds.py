"""Thresholds of labels with a target, from what a running monitor remembers."""

import threading

import numpy as np
import pytest

from monitor.config import Config, LabelConfig, SourceConfig
from monitor.daemon.target_thresholds import TargetThresholds
from tests.support.engines import control_of
from tests.support.remembered import remember
from tests.support.web_server import Engine

NOW = 1_795_435_200.0
ENGINE = Engine()
DOG = LabelConfig(id="dog", prompts=("a dog barking",), target="2/hour")
CAT = LabelConfig(id="cat", prompts=("a cat meowing",), threshold=0.7)


def room(hours):
    """Embeddings of a room with sounds that are like a dog now and then."""
    random = np.random.default_rng(hours)
    rows = np.abs(random.normal(size=(hours * 7_200, ENGINE.dimension)))
    at = random.choice(len(rows) // 40, hours * 60, replace=False) * 40
    for strength, first in zip(random.exponential(2.0, len(at)), at, strict=True):
        rows[first : first + 2] += strength * ENGINE.embed_text(["a dog barking"])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def control():
    sources = tuple(SourceConfig(name=name, kind="microphone") for name in ("crib", "porch"))
    return control_of(Config(sources=sources, labels=(DOG, CAT)), ENGINE.embed_text)


def thresholds(control):
    return [control.active_labels.label(source, "dog").threshold for source in ("crib", "porch")]


def test_a_target_sets_the_threshold_of_each_source_and_says_what_it_rests_on(control, tmp_path):
    remember(tmp_path, ENGINE, room(4), since=NOW - 5 * 3600)
    targets = TargetThresholds(control, ENGINE, tmp_path)
    assert set(targets.words(DOG).values()) == {"not set yet; the default threshold applies"}
    targets.update(NOW)
    crib, porch = thresholds(control)
    assert crib != 0.5
    assert porch == 0.5
    words = targets.words(DOG)
    assert words["crib"] == "measured: 8 expected in 4 h, 60 sounds"
    assert words["porch"] == "nothing is remembered of this source; the default threshold applies"
    assert targets.words(CAT) == {}
    assert control.active_labels.label("crib", "cat").threshold == 0.7


def test_a_threshold_is_set_once_a_day_and_kept_if_it_cannot_be_set_again(control, tmp_path):
    remember(tmp_path, ENGINE, room(4), since=NOW - 5 * 3600)
    targets = TargetThresholds(control, ENGINE, tmp_path)
    targets.update(NOW)
    first = thresholds(control)[0]
    remember(tmp_path, ENGINE, room(2), since=NOW)
    targets.update(NOW + 7_200)
    assert thresholds(control)[0] == first
    targets.update(NOW + 86_400)
    assert thresholds(control)[0] != first
    last = thresholds(control)[0]
    targets.update(NOW + 7 * 86_400 + 6_900)  # of which only five minutes are remembered
    assert thresholds(control)[0] == last
    assert targets.words(DOG)["crib"].endswith("the last threshold holds")


def test_without_a_memory_the_default_holds_and_the_status_says_so(control):
    targets = TargetThresholds(control, ENGINE, None)
    targets.update(NOW)
    assert thresholds(control) == [0.5, 0.5]
    assert (
        targets.words(DOG)["crib"] == "nothing is remembered (memory.enabled); the default threshold applies"
    )


def test_a_damaged_memory_is_logged_and_nothing_ends(control, tmp_path):
    remember(tmp_path, ENGINE, room(1), since=NOW - 5 * 3600)
    for path in tmp_path.rglob("*.vectors"):
        path.write_bytes(b"")
    TargetThresholds(control, ENGINE, tmp_path).update(NOW)
    assert thresholds(control) == [0.5, 0.5]


def test_the_thread_ends_when_it_is_stopped(control, tmp_path):
    stop = threading.Event()
    stop.set()
    TargetThresholds(control, ENGINE, tmp_path).run(stop)
    assert thresholds(control) == [0.5, 0.5]
