"""Labels that fire together, and prompts that cannot be told apart, over what was heard."""

import numpy as np
import pytest

from monitor.detection.alarm_clusters import Heard
from monitor.memory.label_confusion import AlikePrompts, FireTogether, alike_prompts, fire_together, moments
from monitor.memory.memory_reader import MemoryReader
from tests.support.remembered import remember
from tests.support.web_server import Engine

ENGINE = Engine()
HALF = {"dog": 0.5, "wolf": 0.5, "cat": 0.5}


def heard(*at):
    """Two seconds of a sound at each of these seconds."""
    levels = np.zeros(1000, np.float32)
    for second in at:
        levels[second : second + 2] = 0.8
    return Heard(np.arange(1000.0), levels, 1.0, 10.0)


def test_labels_that_fire_at_the_same_times_are_named_once():
    known = {"dog": heard(100, 200, 300, 400), "wolf": heard(101, 201, 301, 500, 600, 700), "cat": heard(50)}
    assert list(fire_together("yard", known, HALF)) == [FireTogether("yard", "dog", "wolf", 3, 4)]


def test_what_happens_less_than_three_times_is_no_reason():
    assert not list(fire_together("yard", {"dog": heard(1, 100), "wolf": heard(1, 100)}, HALF))


def test_a_threshold_that_is_never_reached_never_fires():
    known = {"dog": heard(1, 100, 200), "wolf": heard(1, 100, 200)}
    assert len(list(fire_together("yard", known, HALF))) == 1
    assert not list(fire_together("yard", known, HALF | {"wolf": 0.9}))


def windows(count, seed=1):
    rows = np.random.default_rng(seed).normal(size=(count, ENGINE.dimension)) + 1
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_covariance_is_that_of_all_windows(tmp_path):
    rows = windows(9_000)  # two segments
    remember(tmp_path, ENGINE, rows, since=1_795_435_200.0)
    known = moments(MemoryReader(tmp_path, ENGINE.identity).chunks("crib"))
    assert known.windows == 9_000
    assert known.covariance == pytest.approx(np.cov(rows.T, bias=True), abs=1e-5)


def test_too_few_windows_have_no_covariance(tmp_path):
    remember(tmp_path, ENGINE, windows(500), since=1_795_435_200.0)
    assert moments(MemoryReader(tmp_path, ENGINE.identity).chunks("crib")) is None
    assert moments([]) is None


def test_prompts_of_two_labels_that_follow_each_other_are_named(tmp_path):
    remember(tmp_path, ENGINE, windows(2_000), since=1_795_435_200.0)
    known = moments(MemoryReader(tmp_path, ENGINE.identity).chunks("crib"))
    prompts = [
        ("dog", "a dog barking"),
        ("dog", "barking of a dog"),
        ("wolf", "the dog is barking"),
        ("bell", "ding dong"),
    ]
    vectors = np.eye(4, ENGINE.dimension, dtype=np.float32)
    vectors[1] = vectors[0]
    vectors[2] = 0.98 * vectors[0] + 0.2 * vectors[2]
    found = list(alike_prompts("crib", known, prompts, vectors))
    assert [(each.prompt, each.other_prompt) for each in found] == [
        ("a dog barking", "the dog is barking"),
        ("barking of a dog", "the dog is barking"),
    ]
    assert all(isinstance(each, AlikePrompts) and 0.9 <= each.correlation <= 1 for each in found)
