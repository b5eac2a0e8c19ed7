"""The newest scores: said when they move, and no oftener than needed."""

import math
import time

import numpy as np

from monitor.outputs.mqtt.score_topics import ScoreTopics
from monitor.outputs.mqtt.topics import Topics
from monitor.types import Scores


def scores(*values, source="mic0"):
    labels = ("glass", "dog")[: len(values)]
    return Scores(source, 0, 8, 2.0, labels, np.array(values, np.float32), -20.0)


def made():
    said = []

    def publish(topic, text, *, qos, retain=False):
        said.append((topic.rpartition("/")[2], text, qos, retain))

    return ScoreTopics(Topics("home", "attic"), publish), said


def later(board):
    """Let the second between two messages of a source be over."""
    board._due.clear()


def test_of_a_second_the_newest_is_said_and_not_retained():
    board, said = made()
    board.note(scores(0.1, 0.2))
    board.note(scores(0.3, 0.4))
    board.say()
    board.note(scores(0.5, 0.6))
    board.say()
    assert said == [("glass", "0.30", 0, False), ("dog", "0.40", 0, False)]
    assert time.monotonic() < board.due() < math.inf


def test_what_stays_the_same_to_a_hundredth_is_not_said_again():
    board, said = made()
    for value in (0.301, 0.304, 0.31):
        board.note(scores(value, 0.9))
        later(board)
        board.say()
    assert [text for _, text, *_ in said] == ["0.30", "0.90", "0.31"]


def test_it_is_said_anew_to_a_new_connection_once_there_is_a_new_window():
    board, said = made()
    board.note(scores(0.3))
    board.say()
    board.note(scores(0.9))
    board.say_anew()
    later(board)
    board.say()
    assert len(said) == 1
    assert math.isinf(board.due())
    board.note(scores(0.3))
    board.say()
    assert [text for _, text, *_ in said] == ["0.30", "0.30"]
