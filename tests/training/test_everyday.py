"""The everyday sentences: what they may say, and what they mean."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from training.phrases import clean, plain_questions, questions
from training.sounds import EVERYDAY

ROOT = Path(__file__).parents[2]
TABLE = tomllib.loads(EVERYDAY.read_text())
SENTENCES = [sentence for entry in TABLE.values() for sentence in entry["sentences"]]
FILLING = frozenset("a an the of is are on in at to for with from by or and some someone somebody".split())  # noqa: SIM905 (as words)
ENDINGS = re.compile(r"(ing|ed|es|s)$")


def words(sentence):
    """Stems of the words that say something."""
    return {ENDINGS.sub("", word) for word in re.findall("[a-z]+", sentence.lower())} - FILLING


def asked():
    """Every sentence that a test or a benchmark asks."""
    scenes = [
        prompt
        for name in ("scenes", "field_scenes", "clips")
        for label in yaml.safe_load((ROOT / f"benchmarks/{name}.yaml").read_text())["labels"]
        for prompt in label["prompts"]
    ]
    return {*scenes, *questions()} - plain_questions()


def test_no_sentence_is_one_that_is_asked():
    assert not clean(SENTENCES) & clean(asked())


@pytest.mark.parametrize("question", sorted(question for question in asked() if len(words(question)) > 1))
def test_no_sentence_says_the_same_words_as_a_question(question):
    assert not [sentence for sentence in SENTENCES if words(sentence) == words(question)]


def test_every_sound_has_classes_and_sentences_of_its_own():
    assert all(entry["classes"] and entry["sentences"] for entry in TABLE.values())
    assert len(SENTENCES) == len(set(SENTENCES))


def test_sentences_are_as_people_type_them():
    assert [s for s in SENTENCES if s != s.lower() or s != s.strip() or s.endswith(".")] == []
