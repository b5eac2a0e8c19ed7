"""Example learner: what the monitor has heard becomes an example."""

from types import SimpleNamespace

import numpy as np
import pytest

from monitor.detection.example_learner import ExampleLearner, together
from monitor.detection.recent_embeddings import RecentEmbeddings, RecentWindow
from monitor.types import ConfigError

ENGINE = SimpleNamespace(
    rate=4, length=8, hop_of=lambda _source: 4, model=SimpleNamespace(identity="abc", dimension=4)
)
"""Windows of 2 s, every second."""


def scores(at, place, level=-20.0):
    return SimpleNamespace(
        source="hall", ended_at=at, level_dbfs=level, embedding=np.eye(4, dtype=np.float32)[place]
    )


def recent(*windows):
    found = RecentEmbeddings(["hall"], 60)
    for each in windows:
        found.add(each)
    return found


def test_the_loudest_stretch_between_two_times_is_the_example():
    heard = recent(scores(10, 0), scores(11, 1, -60), scores(12, 2), scores(13, 2), scores(20, 3, 0))
    found = ExampleLearner(ENGINE, heard).between("bell", "hall", (10.5, 12.5), "event 1")
    assert (found.label, found.identity, found.origins) == ("bell", "abc", ("event 1",))
    assert found.embeddings == pytest.approx(np.array([[0, 0, 1, 0]]), abs=1e-3)


def test_the_newest_seconds_are_those_before_now():
    heard = recent(scores(100, 0, 0), scores(109, 1), scores(110, 1))
    learner = ExampleLearner(ENGINE, heard, now=lambda: 110.5)
    found = learner.newest("bell", "hall", 3.0)
    assert found.embeddings[0] == pytest.approx([0, 1, 0, 0], abs=1e-3)
    assert found.origins[0].startswith("hall 19")


def test_what_is_no_longer_recent_may_be_known_elsewhere():
    asked = []

    def past(source, since, until):
        asked.append((source, since, until))
        return [RecentWindow(5.0, -30.0, np.eye(4, dtype=np.float32)[3])]

    found = ExampleLearner(ENGINE, recent(scores(100, 0)), past=past).between("bell", "hall", (3, 5), "x")
    assert asked == [("hall", 4.0, 6.0)]
    assert found.origins == ("x",)
    assert found.embeddings[0] == pytest.approx([0, 0, 0, 1], abs=1e-3)


def test_a_moment_that_nothing_is_known_of_is_refused():
    with pytest.raises(ConfigError, match="source hall: the monitor no longer has that moment"):
        ExampleLearner(ENGINE, recent()).between("bell", "hall", (3, 5), "x")


def test_several_examples_become_one_value():
    learner = ExampleLearner(ENGINE, recent(scores(10, 0), scores(20, 1)))
    parts = [learner.between("bell", "hall", (at - 1, at), str(at)) for at in (10, 20)]
    assert together(parts).origins == ("10", "20")
    assert together(parts).rows.shape == (2, 4)
