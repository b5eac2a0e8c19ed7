"""Score topics: published when a score changes, and no more often than needed."""

import math
import time

import numpy as np
import pytest

from monitor.outputs.mqtt.score_topics import ScoreTopics
from monitor.outputs.mqtt.topics import Topics
from monitor.types import Scores

LEVEL = ("level", '{"level_dbfs":-20.0}', 0, False)


def scores(*values, source="mic0", level_dbfs=-20.0):
    labels = ("glass", "dog")[: len(values)]
    return Scores(source, 0, 8, 2.0, labels, np.array(values, np.float32), level_dbfs)


def made():
    published = []

    def publish(topic, text, *, qos, retain=False):
        published.append((topic.rpartition("/")[2], text, qos, retain))

    return ScoreTopics(Topics("home", "attic"), publish), published


def later(score_topics):
    """Let the interval between two messages of a source pass."""
    score_topics._due.clear()


def texts(published):
    return [text for topic, text, *_ in published if topic != "level"]


def test_the_newest_scores_of_each_second_are_published_and_not_retained():
    score_topics, published = made()
    score_topics.set(scores(0.1, 0.2))
    score_topics.set(scores(0.3, 0.4))
    score_topics.publish_changes()
    score_topics.set(scores(0.5, 0.6))
    score_topics.publish_changes()
    assert published == [LEVEL, ("glass", "0.30", 0, False), ("dog", "0.40", 0, False)]
    assert time.monotonic() < score_topics.due() < math.inf


@pytest.mark.parametrize(("dbfs", "shown"), [(-math.inf, "null"), (math.nan, "null"), (-41.2345, "-41.2")])
def test_a_level_has_one_decimal_and_is_null_if_it_is_not_finite(dbfs, shown):
    score_topics, published = made()
    score_topics.set(scores(level_dbfs=dbfs))
    score_topics.publish_changes()
    assert published == [("level", f'{{"level_dbfs":{shown}}}', 0, False)]


def test_a_score_unchanged_to_a_hundredth_is_not_published_again_but_the_level_is():
    score_topics, published = made()
    for value in (0.301, 0.304, 0.31):
        score_topics.set(scores(value, 0.9))
        later(score_topics)
        score_topics.publish_changes()
    assert texts(published) == ["0.30", "0.90", "0.31"]
    assert published.count(LEVEL) == 3


def test_on_a_new_connection_scores_are_published_again_with_the_next_window():
    score_topics, published = made()
    score_topics.set(scores(0.3))
    score_topics.publish_changes()
    score_topics.set(scores(0.9))
    score_topics.republish()
    later(score_topics)
    score_topics.publish_changes()
    assert texts(published) == ["0.30"]
    assert math.isinf(score_topics.due())
    score_topics.set(scores(0.3))
    score_topics.publish_changes()
    assert texts(published) == ["0.30", "0.30"]
