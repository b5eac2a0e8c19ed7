"""Scores: per label, independent of the other labels, steady against the room."""

import json
from dataclasses import replace

import numpy as np
import pytest

from monitor.detection import scoring
from monitor.detection.prototypes import Prototypes, Speech
from monitor.detection.scoring import Baseline, Calibration
from monitor.types import ModelError


def unit(*values):
    vector = np.array(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


DOG, CAT, RAIN, TALK = np.eye(4, dtype=np.float32)


def prototypes(prototypes, rival_vectors, rivals):
    return Prototypes(
        labels=tuple(f"label{i}" for i in range(len(prototypes))),
        prototypes=np.stack(prototypes),
        rival_vectors=np.stack(rival_vectors) if rival_vectors else np.zeros((0, 4), np.float32),
        rivals=np.array(rivals, dtype=bool).reshape(len(prototypes), len(rival_vectors)),
        usual=np.zeros(1, np.float32),
        spread=np.ones(1, np.float32),
        fingerprints=("",) * len(prototypes),
    )


def test_without_rivals_the_margin_is_the_cosine():
    audio = unit(3, 4, 0, 0)
    assert scoring.margins(audio, prototypes([DOG, CAT], [], [])) == pytest.approx([0.6, 0.8])


def test_margins_are_counted_in_deviations_of_the_label_s_cosine():
    audio = unit(3, 4, 0, 0)
    known = replace(
        prototypes([DOG, CAT], [TALK], [[0], [1]]),
        usual=np.array([0.1, 0.2], np.float32),
        spread=np.array([0.1, 0.3], np.float32),
    )
    assert scoring.margins(audio, known) == pytest.approx([5.0, 2.0])
    loud = unit(3, 4, 0, 5)
    expected = (loud[1] - 0.2 - scoring.RIVAL_SHARE * loud[3]) / 0.3
    assert scoring.margins(loud, known)[1] == pytest.approx(expected)


def test_only_its_own_rivals_speak_against_a_label():
    audio = unit(3, 4, 0, 0)
    margins = scoring.margins(audio, prototypes([DOG, DOG, DOG], [CAT, TALK], [[1, 0], [0, 1], [0, 0]]))
    assert margins == pytest.approx([0.6 - scoring.RIVAL_SHARE * 0.8, 0.6, 0.6])


def test_a_distant_rival_beside_a_near_one_changes_next_to_nothing():
    audio = unit(3, 4, 0, 0)
    (near,) = scoring.margins(audio, prototypes([DOG], [CAT], [[1]]))
    (both,) = scoring.margins(audio, prototypes([DOG], [CAT, TALK], [[1, 1]]))
    assert both == pytest.approx(near, abs=1e-4)


def test_a_label_added_or_removed_does_not_change_the_others():
    audio = unit(1, 2, 3, 4)
    alone = scoring.margins(audio, prototypes([DOG], [TALK], [[1]]))
    beside = scoring.margins(audio, prototypes([DOG, RAIN], [TALK, CAT], [[1, 0], [0, 1]]))
    assert beside[0] == alone[0]


def test_the_score_is_half_at_the_centre_where_the_room_has_nothing_of_the_label():
    response = Calibration(scale=20.0, centre=0.1, baseline=-4.0)
    logits = scoring.logits(np.array([0.1, 0.2, 0.0], dtype=np.float32), response)
    values = scoring.scores(logits, np.zeros(3, np.float32))
    assert values == pytest.approx([0.5, 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))])
    assert values.dtype == np.float32


def test_scores_at_the_ends_are_0_and_1_and_what_is_next_to_nothing_stays_apart():
    logits = np.array([-1e4, -40, -30, 30, 1e4], dtype=np.float32)
    values = scoring.scores(logits, np.zeros(5, np.float32))
    assert values == pytest.approx([0, np.exp(-40), np.exp(-30), 1, 1], rel=1e-4, abs=0)


def test_half_of_what_the_room_gives_a_label_is_taken_off():
    logit = np.array([1.0], dtype=np.float32)
    assert scoring.scores(logit, np.array([2.0], np.float32)) == pytest.approx([0.5])


def test_ambience_equals_the_quantile_of_the_last_minute_taken_at_once():
    random = np.random.default_rng(0).standard_normal((25, 2)).astype(np.float32)
    baseline = Baseline(np.array([-3.0, -3.0], np.float32), memory=10)
    for count, logit in enumerate(random, start=1):
        baseline.update(logit, np.array([False, False]))
        held = np.concatenate([np.full((max(0, 10 - count), 2), -3.0), random[max(0, count - 10) : count]])
        assert baseline.level == pytest.approx(np.quantile(held, 0.9, axis=0), abs=1e-5)


def test_before_anything_was_heard_ambience_is_what_was_known():
    assert Baseline(np.array([-3.0, 1.0], np.float32), memory=60).level == pytest.approx([-3.0, 1.0])


def test_a_label_that_is_being_heard_does_not_become_ambience():
    baseline = Baseline(np.array([-3.0, -3.0], np.float32), memory=10)
    for _ in range(30):
        baseline.update(np.array([5.0, 5.0], np.float32), np.array([True, False]))
    assert baseline.level == pytest.approx([-3.0, 5.0])


def test_an_estimated_response_fires_three_deviations_above_the_usual():
    margins = np.random.default_rng(0).normal(-0.1, 0.05, (400, 12)).astype(np.float32)
    response = scoring.estimate_calibration(margins)
    edge = np.array([np.quantile(margins, 0.9) + 3 * margins.std()], dtype=np.float32)
    baseline = np.array([response.baseline], dtype=np.float32)
    assert scoring.scores(scoring.logits(edge, response), baseline) == pytest.approx([0.5], abs=1e-3)
    usual = np.array([np.median(margins)], dtype=np.float32)
    assert scoring.scores(scoring.logits(usual, response), baseline)[0] < 0.01


def test_a_checkpoint_on_which_all_sounds_are_alike_does_not_get_an_endless_scale():
    assert scoring.estimate_calibration(np.full((6, 12), 0.2, np.float32)).scale <= 75.0


def test_a_response_is_read_from_beside_the_checkpoint(tmp_path):
    assert scoring.read_calibration(tmp_path) is None
    (tmp_path / "detection.json").write_text(json.dumps({"scale": 20, "centre": 0.1, "ambience": -4}))
    assert scoring.read_calibration(tmp_path) == Calibration(20.0, 0.1, -4.0)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"scale": 1}',
        '{"scale": "x", "centre": 0, "ambience": 0}',
        '{"scale": NaN, "centre": 0, "ambience": 0}',
        '{"scale": "nan", "centre": 0, "ambience": 0}',
        '{"scale": 20, "centre": 0, "ambience": 1e999}',
        '{"scale": 1e30, "centre": 0, "ambience": 0}',
        "[" * 100_000,
    ],
    ids=range(9),
)
def test_a_broken_response_names_its_file(tmp_path, content):
    (tmp_path / "detection.json").write_text(content)
    with pytest.raises(ModelError, match=r"detection\.json: not a detection response"):
        scoring.read_calibration(tmp_path)


def test_labels_that_stay_keep_their_ambience_wherever_they_stand_and_others_begin_anew():
    baseline = Baseline(np.array([0.0, 0.0, 0.0], np.float32), memory=4)
    for value in (1.0, 2.0, 3.0):
        baseline.update(np.array([value, -value, 9.0], np.float32), np.array([False, False, True]))
    other = baseline.carried_over(np.array([7.0, 7.0, 7.0], np.float32), [1, None, 0])
    assert other.level == pytest.approx([baseline.level[1], 7.0, baseline.level[0]])
    for both, logit in ((baseline, [4.0, -4.0, 0.0]), (other, [-4.0, 0.0, 4.0])):
        both.update(np.array(logit, np.float32), np.array([False, False, False]))
    assert other.level[[2, 0]] == pytest.approx(baseline.level[:2])


def test_what_is_nearer_than_the_label_is_named_if_it_speaks_against_it():
    known = replace(
        prototypes([DOG, CAT], [RAIN, TALK], [[1, 1], [0, 1]]), rival_names=("rain falling", "people talking")
    )
    assert scoring.nearer(unit(3, 0, 4, 0), known) == ("rain falling", None)
    assert scoring.nearer(unit(4, 0, 3, 0), known) == (None, None)
    assert scoring.nearer(unit(0, 1, 3, 4), known) == ("people talking", "people talking")


def test_without_anything_against_a_label_nothing_is_nearer():
    assert scoring.nearer(unit(0, 0, 1, 0), prototypes([DOG, CAT], [], [])) == (None, None)


def test_what_is_nearer_is_counted_in_deviations():
    known = replace(
        prototypes([DOG], [RAIN], [[1]]),
        rival_names=("rain falling",),
        rival_usual=np.array([0.5], np.float32),
        rival_spread=np.array([0.5], np.float32),
    )
    assert scoring.nearer(unit(3, 0, 4, 0), known) == (None,)


def test_nearness_is_the_margin_without_what_speaks_against_it():
    audio = unit(3, 4, 5, 0)
    with_rival, without = prototypes([DOG], [RAIN], [[1]]), prototypes([DOG], [], [])
    assert scoring.nearness(audio, with_rival) == pytest.approx(scoring.margins(audio, without))
    assert scoring.margins(audio, with_rival) < scoring.nearness(audio, with_rival)


def speech(usual=None, spread=None):
    """People speaking, and cats, which are not meant."""
    known = (None, None) if usual is None else (np.array(usual), np.array(spread))
    return Speech(np.stack([TALK, CAT]), *known)


def test_speech_is_told_from_three_quarters_of_a_deviation_above_its_mean_on():
    known = replace(prototypes([DOG], [], []), speech=speech(usual=[0.3, 0], spread=[0.4, 1]))
    assert scoring.is_speech(unit(0.79, 0, 0, 0.61), known)
    assert not scoring.is_speech(unit(0.81, 0, 0, 0.58), known)


def test_what_is_more_like_another_voice_is_no_speech():
    known = replace(prototypes([DOG], [], []), speech=speech(usual=[0, 0], spread=[0.2, 0.1]))
    assert scoring.is_speech(unit(0, 0.38, 0, 0.7), known)  # 4.4 deviations of speech, 4.8 of the cat
    assert not scoring.is_speech(unit(0, 0.45, 0, 0.7), known)  # 4.2 and 5.4
    assert scoring.is_speech(unit(0.6, 0, 0, 0.7), known)  # a dog, of which nobody asks here


def test_the_end_of_another_voice_is_no_speech():
    known = replace(prototypes([DOG], [], []), speech=speech(usual=[0, 0], spread=[0.2, 0.1]))
    end, cat = unit(0, 0.2, 0, 0.7), unit(0, 0.7, 0, 0.2)
    assert scoring.is_speech(end, known, before=end)
    assert not scoring.is_speech(end, known, before=cat)
    assert not scoring.is_speech(cat, known, before=end)


def test_where_no_deviations_are_known_speech_must_be_nearer_than_every_label():
    known = replace(prototypes([DOG, CAT], [], []), speech=speech())
    assert scoring.is_speech(unit(0, 3, 0, 4), known)
    assert not scoring.is_speech(unit(0, 4, 0, 3), known)


def test_whoever_does_not_ask_is_not_told_of_speech():
    assert not scoring.is_speech(TALK, prototypes([DOG], [], []))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_does_not_become_ambience(bad):
    baseline = Baseline(np.zeros(2, np.float32), 4)
    for _ in range(5):
        baseline.update(np.array([bad, 2.0], np.float32), np.zeros(2, bool))
    assert baseline.level.tolist() == [0.0, 2.0]
