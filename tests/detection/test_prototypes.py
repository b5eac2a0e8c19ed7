"""The watchlist: sentences become directions, and no label is its own rival."""

import logging

import numpy as np
import pytest

from monitor.config import VOICES, LabelConfig
from monitor.detection import scoring
from monitor.detection.cohort_norm import CohortNorm
from monitor.detection.examples import Examples
from monitor.detection.prototypes import build_prototypes
from monitor.detection.quantised import quantised

VECTORS = {
    "a dog barking": (1, 0, 0),
    "a dog yapping": (0, 1, 0),
    "a wolf howling": (0.6, 0, 0.8),
    "people talking": (0, 0, 1),
    "a person speaking": (0, 0.28, 0.96),
}


def embed(sentences):
    return np.array([VECTORS.get(text, (0, 1, 0)) for text in sentences], dtype=np.float32)


def label(name, *prompts, **settings):
    return LabelConfig(id=name, prompts=prompts, **settings)


def test_the_prototype_is_the_direction_of_the_mean_of_the_phrasings():
    found = build_prototypes([label("dog", "a dog barking", "a dog yapping")], [], embed)
    assert found.directions.vectors == pytest.approx(np.array([[0.5, 0.5, 0]]) ** 0.5)


def test_background_speaks_against_every_label_and_against_only_its_own():
    labels = [label("dog", "a dog barking", against=("a wolf howling",)), label("yap", "a dog yapping")]
    found = build_prototypes(labels, ["people talking"], embed)
    assert found.is_against.tolist() == [[True, True], [True, False]]
    assert found.against.vectors == pytest.approx(embed(["people talking", "a wolf howling"]))


def test_background_that_means_the_same_as_a_label_does_not_silence_it(caplog):
    caplog.set_level(logging.DEBUG)
    found = build_prototypes([label("speech", "a person speaking")], ["people talking"], embed)
    assert found.is_against.tolist() == [[False]]
    assert "mean the same as a label: 'people talking' for speech" in caplog.text


def test_what_the_user_set_against_a_label_stays_however_close():
    found = build_prototypes([label("speech", "a person speaking", against=("people talking",))], [], embed)
    assert found.is_against.tolist() == [[True]]


def test_a_label_that_is_not_enabled_is_left_out():
    labels = [label("dog", "a dog barking", enabled=False), label("yap", "a dog yapping")]
    assert build_prototypes(labels, [], embed).labels == ("yap",)


def test_a_fingerprint_changes_with_every_sentence_and_with_nothing_else():
    def fingerprint(chosen, background=()):
        return build_prototypes([chosen], background, embed).fingerprints

    one = label("dog", "a dog barking")
    assert fingerprint(one) == fingerprint(one.model_copy(update={"threshold": 0.9}))
    assert fingerprint(one) != fingerprint(label("dog", "a dog yapping"))
    assert fingerprint(one) != fingerprint(label("dog", "a dog barking", against=("a wolf howling",)))
    assert fingerprint(one) != fingerprint(one, ["people talking"])


def test_what_speaks_against_labels_has_names_in_the_order_of_its_directions():
    labels = [label("dog", "a dog barking", against=("a wolf howling",))]
    found = build_prototypes(labels, ["people talking"], embed)
    assert found.against_prompts == ("people talking", "a wolf howling")
    assert found.against.vectors == pytest.approx(embed(found.against_prompts))


def test_speech_is_a_direction_of_its_own_and_no_label_and_no_rival():
    plain = build_prototypes([label("dog", "a dog barking")], ["people talking"], embed)
    speech = ("people talking", "a person speaking")
    guarded = build_prototypes([label("dog", "a dog barking")], ["people talking"], embed, speech=speech)
    assert plain.speech is None
    mean = np.array([0, 0.14, 0.98])
    assert guarded.speech.vectors[0] == pytest.approx(mean / np.linalg.norm(mean))
    assert guarded.speech.vectors[1:] == pytest.approx(embed(VOICES))
    assert not guarded.speech.normalised
    assert (guarded.labels, guarded.against_prompts) == (plain.labels, plain.against_prompts)
    assert guarded.fingerprints == plain.fingerprints


def shown(label, *vectors):
    rows = quantised(np.array(vectors, dtype=np.float32))
    return {label: Examples(label, "any", rows, ("a.wav",) * len(rows))}


def test_examples_give_a_label_without_prompts_its_direction():
    labels = [LabelConfig(id="bell", examples=True), label("dog", "a dog barking")]
    found = build_prototypes(labels, ["people talking"], embed, examples=shown("bell", (0, 0.6, 0.8)))
    assert found.labels == ("bell", "dog")
    assert found.directions.vectors == pytest.approx(np.array([[0, 0.6, 0.8], [1, 0, 0]]), abs=1e-4)


def test_examples_and_prompts_share_the_direction():
    labels = [label("dog", "a dog barking", examples=True)]
    [vector] = build_prototypes(labels, [], embed, examples=shown("dog", *[(0, 1, 0)] * 4)).directions.vectors
    assert vector == pytest.approx([0.5**0.5, 0.5**0.5, 0], abs=1e-4)


def test_examples_count_only_for_a_label_that_wants_them():
    plain = build_prototypes([label("dog", "a dog barking")], [], embed)
    found = build_prototypes([label("dog", "a dog barking")], [], embed, examples=shown("dog", (0, 1, 0)))
    assert found.directions.vectors.tolist() == plain.directions.vectors.tolist()
    assert found.fingerprints == plain.fingerprints


def test_the_fingerprint_changes_with_the_examples():
    labels = [label("dog", "a dog barking", examples=True)]
    found = [
        build_prototypes(labels, [], embed, examples=examples).fingerprints
        for examples in ({}, shown("dog", (0, 1, 0)), shown("dog", (0, 0, 1)))
    ]
    assert len(set(found)) == 3


@pytest.mark.parametrize("norm", [None, CohortNorm(np.zeros(3, np.float32), np.eye(3, dtype=np.float32) / 4)])
def test_a_label_whose_examples_are_missing_is_never_detected_and_the_others_are(caplog, norm):
    labels = [LabelConfig(id="bell", examples=True), label("dog", "a dog barking")]
    found = build_prototypes(labels, [], embed, norm)
    assert "label bell is not detected: it has no prompts, and its examples are missing" in caplog.text
    scores = scoring.similarities(np.array([1, 0, 0], np.float32), found)
    assert scores[0] <= -1
    assert scores[1] >= 1
    for sound in np.eye(3, dtype=np.float32):
        assert scoring.similarities(sound, found)[0] == scores[0]


def test_the_deviation_of_a_learned_label_includes_what_the_principal_directions_leave():
    norm = CohortNorm(np.zeros(3, np.float32), np.array([[0.5, 0, 0]], np.float32))
    labels = [LabelConfig(id="bell", examples=True), label("yap", "a dog yapping")]
    found = build_prototypes(labels, [], embed, norm, examples=shown("bell", (0, 1, 0)))
    assert found.directions.deviation == pytest.approx([(0.75 / 2) ** 0.5, 0.02], rel=1e-3)
