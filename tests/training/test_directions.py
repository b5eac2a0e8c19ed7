"""Directions: where sentences have to point, on spaces of a few directions."""

import numpy as np
import pytest

from training.bank import Bank
from training.directions import (
    FEW,
    LABELLED,
    MOVED,
    Measured,
    Space,
    Spread,
    collect,
    compose,
    measure,
    presence,
)
from training.sounds import Sound
from training.store import Clip
from training.witness import Heard, loudest_second, mixed

DIM = 6


@pytest.fixture
def sounds():
    """Windows whose first direction all have, and whose second and third differ most."""
    rng = np.random.default_rng(0)
    spread = np.array([0.05, 1.0, 0.8, 0.1, 0.1, 0.1])
    return (rng.standard_normal((4000, DIM)) * spread + np.eye(DIM)[0]).astype(np.float32)


def test_scaled_vectors_have_a_deviation_of_one_over_all_sounds(sounds):
    scaled = Spread.of(sounds).scaled(np.eye(DIM, dtype=np.float32))
    np.testing.assert_allclose((sounds @ scaled.T).std(axis=0), 1, rtol=1e-3)


def test_without_mean_all_sounds_have_a_mean_cosine_of_nothing(sounds):
    vectors = Spread.of(sounds).without_mean(np.eye(DIM, dtype=np.float32))
    np.testing.assert_allclose((sounds @ vectors.T).mean(axis=0), 0, atol=1e-5)


def test_the_direction_of_a_sound_separates_its_windows_and_not_what_is_loud_in_all(sounds):
    is_there = (sounds[:, 3] > 0.15).astype(np.float32)[:, None]
    found = measure(sounds, is_there, Spread.of(sounds))
    assert int(np.abs(found.rows[0]).argmax()) == 3
    assert found.share[0] == pytest.approx(MOVED, abs=0.03)


def test_a_sound_that_hardly_ever_came_moves_its_sentences_little(sounds):
    seldom = np.zeros((len(sounds), 2), np.float32)
    seldom[:FEW, 0] = 1
    found = measure(sounds, seldom, Spread.of(sounds))
    assert found.share.tolist() == [MOVED / 2, 0]


def test_presence_of_classes_of_labels_and_of_labelled_windows():
    scores = np.array([[0.9, 0.1, 0.3], [0.0, 0.2, 0.8]], np.float32)
    heard = Heard(np.zeros((2, DIM), np.float32), scores, np.array([-1, 0]))
    classes = [Sound(name, (name,), (i,)) for i, name in enumerate("abc")]
    label, everyday = Sound("l", ("l",), (1, 0, 2)), Sound("e", ("e",), (1, 2))
    found = presence(heard, [*classes, label, everyday], first_label=3, labels=1)
    np.testing.assert_allclose(found, [[0.9, 0.1, 0.3, 0.9, 0.3], [0.0, 0.2, 0.8, LABELLED, 0.8]])


def test_sentences_mean_the_everyday_sound_then_the_class_then_the_label():
    phrases = ["a bark", "a bell", "asked", "dog", "justice"]
    bank = Bank(phrases, np.zeros((5, 3), np.float16), [np.array([0, 2]), np.array([0, 1, 3])], np.array([2]))
    named, general = collect(bank, [Sound("door", ("a bell",), ())], classes=1)
    assert {named[phrase] for phrase in ("a bell", "the sound of a bell", "i hear a bell")} == {(2,)}
    assert (named["a bark"], named["dog"]) == ((0,), (1,))
    assert general == ["justice"]
    assert "asked" not in named


def test_sentences_move_to_their_sound_and_others_only_if_they_are_near(sounds):
    spread = Spread.of(sounds)
    rows = spread.scaled(np.eye(DIM, dtype=np.float32)[[1]])
    today = np.eye(DIM, dtype=np.float32)[[2, 2, 2]]
    meanings = np.array([[1, 0], [0.95, np.sqrt(1 - 0.95**2)], [0, 1]], np.float32)  # named, near, far
    space = Space(Measured(rows, np.array([MOVED])), spread)
    named, near, far = spread.scaled(compose(today, meanings, [(0,)], np.array([0]), space))
    assert named[1] > 1.5 * named[2] > 0
    np.testing.assert_allclose(near, named, atol=0.02)
    np.testing.assert_allclose(far, spread.scaled(spread.without_mean(today[2:]))[0], atol=0.02)


def test_the_loudest_second_of_a_clip():
    wave = np.zeros(200_000, np.int16)
    wave[100_000:110_000] = 9_000
    assert np.count_nonzero(loudest_second(Clip("", "mined", wave))) == 10_000
    assert len(loudest_second(Clip("", "mined", wave[:99_000]))) == 48_000
    assert len(loudest_second(Clip("", "mined", wave[:9_000]))) == 48_000


def test_a_mixture_has_the_ratio_that_was_asked_for():
    rng = np.random.default_rng(0)
    sound, bed = (rng.standard_normal(n).astype(np.float32) for n in (48_000, 9_000))
    noise = mixed(sound, 0.01 * bed, 10.0) - sound
    assert 20 * np.log10(sound.std() / noise.std()) == pytest.approx(10, abs=0.1)
