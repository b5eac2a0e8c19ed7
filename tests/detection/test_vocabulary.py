"""Sentences that describe a sound."""

import numpy as np

from monitor.detection.prototypes import Directions
from monitor.detection.vocabulary import nearest_sentences, vocabulary


def test_the_vocabulary_is_of_all_packs_and_defaults_without_repetition():
    sentences = vocabulary()
    assert len(sentences) == len(set(sentences)) > 80
    assert {"a baby crying", "a quiet room", "people talking"} <= set(sentences)


def test_the_nearest_sentences_come_first():
    directions = Directions(np.eye(4, dtype=np.float32))
    found = nearest_sentences(np.array([0.1, 0.9, 0.3, 0.2], np.float32), ("a", "b", "c", "d"), directions)
    assert found == ["b", "c", "d"]
