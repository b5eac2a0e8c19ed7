import tomllib

import pytest

from training import geometry as g
from training.phrases import QUESTIONS, clean, plain_questions, questions, sound_phrases
from training.sounds import TABLE, Sound, class_phrases, sentences

TABLES = tomllib.loads(TABLE.read_text())
ASKED = tomllib.loads(QUESTIONS.read_text())


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        ("Bark", ("bark",)),
        ("Crowing, cock-a-doodle-doo", ("crowing, cock-a-doodle-doo", "crowing", "cock-a-doodle-doo")),
        ("Whimper (dog)", ("whimper",)),
        ("Bee, wasp, etc.", ("bee, wasp, etc.", "bee", "wasp")),
    ],
)
def test_phrases_of_a_class(name, phrases):
    assert class_phrases(name) == phrases


def test_sentences_are_lower_case_and_start_with_the_phrase_itself():
    assert sentences("A Dog")[0] == "a dog"


def test_every_label_has_phrases_and_classes():
    assert all(entry["phrases"] and entry["classes"] for entry in TABLES.values())


def test_no_held_out_question_is_a_training_phrase():
    sounds = [Sound(name, tuple(entry["phrases"]), ()) for name, entry in TABLES.items()]
    trained = clean(p for group in sound_phrases(sounds, {}) for p in group)
    assert not trained & (questions() - plain_questions())


def test_held_out_questions_are_not_among_the_phrases_of_the_table():
    phrases = {p for entry in TABLES.values() for p in entry["phrases"]}
    assert not phrases & (questions() - plain_questions())


def test_every_class_of_the_bar_has_three_paraphrases():
    assert {label: len(own) for label, own in ASKED["paraphrases"].items()} == dict.fromkeys(
        ASKED["plain"], 3
    )


def test_twenty_or_more_sentences_of_unseen_words():
    assert len(ASKED["unseen"]) >= 20


def test_clean_drops_letters_and_novels():
    assert clean(["  A  dog ", "x", "y" * 200]) == {"a dog"}


def test_a_window_fits_the_tower():
    assert g.FRAMES <= 128 * 128 // g.MELS
