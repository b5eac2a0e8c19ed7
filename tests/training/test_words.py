import random
import tomllib

import numpy as np
import pytest

from training.bank import Bank
from training.phrases import QUESTIONS, questions
from training.sounds import Sound
from training.store import HeldBack
from training.tuning import light_test
from training.wordnet import english, everyday_words, gerund, read_synsets, third

NOUNS = """  1 a line of the licence
00000001 05 n 02 dog 0 domestic_dog 1 000 | a tame animal (of a kind); "the dog barked all night"
00000002 06 n 01 klaxon 0 000 | a loud horn
00000003 09 n 01 justice 0 000 | an abstraction
"""
VERBS = """00000001 39 v 01 bark 0 000 00 | make barking sounds
"""
ADJECTIVES = """00000001 00 a 01 angry 0 000 | feeling anger; "angry young men"
00000002 00 a 01 crepuscular 0 000 | like twilight
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data.noun").write_text(NOUNS)
    (tmp_path / "data.verb").write_text(VERBS)
    (tmp_path / "data.adj").write_text(ADJECTIVES)
    (tmp_path / "index.adj").write_text("angry a 1 0 1 1 00000001\n")
    (tmp_path / "index.noun").write_text("dog n 1 0 1 1 00000001\nklaxon n 1 0 1 0 00000002\n")
    (tmp_path / "index.verb").write_text("bark v 1 0 1 1 00000001\n")
    return tmp_path


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("bark", "barking"),
        ("die", "dying"),
        ("smoke", "smoking"),
        ("run", "running"),
        ("see", "seeing"),
        ("blow up", "blowing up"),
    ],
)
def test_gerund(verb, form):
    assert gerund(verb) == form


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("bark", "barks"),
        ("pass", "passes"),
        ("cry", "cries"),
        ("play", "plays"),
        ("church bell", "church bells"),
    ],
)
def test_third(word, form):
    assert third(word) == form


def test_scenes_are_told_with_common_adjectives_and_s_forms(folder):
    phrases = set(english(folder, random.Random(0), scenes=200))
    assert {"the dog barks", "an angry dog", "someone barks the angry dog", "angry young men"} <= phrases
    assert not any("crepuscular" in phrase for phrase in phrases)


def test_meanings_of_some_files(folder):
    dog, klaxon = read_synsets(folder, "noun", {"05", "06"})
    assert dog.words == ("dog", "domestic dog")
    assert dog.sayings == ("a tame animal", "the dog barked all night")
    assert (dog.common, klaxon.common) == (("dog",), ())


def test_abstractions_are_not_for_the_text_tower(folder):
    phrases = list(english(folder, random.Random(0), scenes=5))
    assert any("klaxon" in phrase for phrase in phrases)
    assert not any("justice" in phrase for phrase in phrases)


def test_everyday_words_are_single(folder):
    assert everyday_words(folder) == {"dog", "klaxon", "bark", "barking"}


def test_the_light_test_of_a_listener_that_knows_all():
    asked = [*sorted(questions()), "a bell"]
    table = tomllib.loads(QUESTIONS.read_text())
    ten = list(table["plain"])
    meaning = {table["plain"][label]: i for i, label in enumerate(ten)}
    meaning |= {p: ten.index(label) for label, own in table["tuning"].items() for p in own}
    sentences = np.eye(11, dtype=np.float32)[[meaning.get(phrase, 10) for phrase in asked]]
    nothing = np.zeros((1, 1), np.float16)
    clips = [HeldBack(label, "esc10", nothing, nothing) for label in ten]
    clips.append(HeldBack("bell", "corpus", nothing, nothing))
    bank = Bank(asked, np.zeros((len(asked), 384), np.float16), [], np.array([]))
    labels = [Sound("bell", ("a bell",), ())]
    light = light_test(clips, np.eye(11, dtype=np.float32), sentences, bank, labels)
    assert (light.plain, light.paraphrased, light.ranking, light.precision) == (1, 1, 1, 1)
