"""Scores: per label, independent of the other labels, above the baseline of the room."""

from dataclasses import replace

import numpy as np
import pytest

from monitor.detection import scoring
from monitor.detection.calibration import Calibration
from monitor.detection.prototypes import Directions, Prototypes, Rivals
from monitor.memory import label_scores


def unit(*values):
    vector = np.array(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


DOG, CAT, RAIN, TALK = np.eye(4, dtype=np.float32)


def prototypes(labels, against, is_against):
    return Prototypes(
        labels=tuple(f"label{i}" for i in range(len(labels))),
        directions=Directions(np.stack(labels)),
        against=Directions(np.stack(against) if against else np.zeros((0, 4), np.float32)),
        is_against=np.array(is_against, dtype=bool).reshape(len(labels), len(against)),
        fingerprints=("",) * len(labels),
        against_prompts=tuple(f"prompt{i}" for i in range(len(against))),
    )


def normalised(prototypes, field, mean, deviation):
    """Return prototypes with this mean and deviation of the cosines."""
    vectors = getattr(prototypes, field).vectors
    figures = (np.array(values, np.float32) for values in (mean, deviation))
    return replace(prototypes, **{field: Directions(vectors, *figures)})


def test_without_prompts_against_a_label_the_margin_is_the_cosine():
    audio = unit(3, 4, 0, 0)
    assert scoring.margins(audio, prototypes([DOG, CAT], [], [])) == pytest.approx([0.6, 0.8])


def test_margins_are_counted_in_deviations_of_the_label_s_cosine():
    audio = unit(3, 4, 0, 0)
    known = normalised(prototypes([DOG, CAT], [TALK], [[0], [1]]), "directions", [0.1, 0.2], [0.1, 0.3])
    assert scoring.margins(audio, known) == pytest.approx([5.0, 2.0])
    loud = unit(3, 4, 0, 5)
    expected = (loud[1] - 0.2 - scoring.AGAINST_SHARE * loud[3]) / 0.3
    assert scoring.margins(loud, known)[1] == pytest.approx(expected)


def test_only_the_prompts_against_a_label_lower_its_margin():
    audio = unit(3, 4, 0, 0)
    margins = scoring.margins(audio, prototypes([DOG, DOG, DOG], [CAT, TALK], [[1, 0], [0, 1], [0, 0]]))
    assert margins == pytest.approx([0.6 - scoring.AGAINST_SHARE * 0.8, 0.6, 0.6])


def test_a_rival_takes_a_share_of_its_lead_from_its_own_label_alone_one_window_or_many():
    rivals = Rivals(Directions(np.stack([CAT, TALK])), np.array([0, 0]), ("01A", "01B"))
    known = replace(prototypes([DOG, DOG], [RAIN], [[1], [0]]), rivals=rivals)
    audio = unit(3, 4, 0, 0)
    margins = scoring.margins(audio, known)
    assert margins == pytest.approx([0.6 - scoring.RIVAL_SHARE * 0.2, 0.6])
    assert scoring.margins(DOG, known) == pytest.approx([1.0, 1.0])
    assert scoring.nearest_against(audio, known) == ("marked wrong: 01A", None)
    many = np.stack([audio, DOG, unit(1, 1, 2, 3)])
    expected = [scoring.margins(each, known) for each in many]
    assert label_scores.margins(many, known) == pytest.approx(np.stack(expected), abs=1e-6)


def test_a_distant_prompt_against_a_label_changes_almost_nothing_beside_a_near_one():
    audio = unit(3, 4, 0, 0)
    (near,) = scoring.margins(audio, prototypes([DOG], [CAT], [[1]]))
    (both,) = scoring.margins(audio, prototypes([DOG], [CAT, TALK], [[1, 1]]))
    assert both == pytest.approx(near, abs=1e-4)


def test_a_label_added_or_removed_does_not_change_the_others():
    audio = unit(1, 2, 3, 4)
    alone = scoring.margins(audio, prototypes([DOG], [TALK], [[1]]))
    beside = scoring.margins(audio, prototypes([DOG, RAIN], [TALK, CAT], [[1, 0], [0, 1]]))
    assert beside[0] == alone[0]


def test_the_score_is_half_at_the_centre_if_the_baseline_is_zero():
    calibration = Calibration(scale=20.0, centre=0.1, baseline=-4.0)
    logits = scoring.logits(np.array([0.1, 0.2, 0.0], dtype=np.float32), calibration)
    values = scoring.scores(logits, np.zeros(3, np.float32))
    assert values == pytest.approx([0.5, 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))])
    assert values.dtype == np.float32


def test_extreme_logits_score_0_and_1_and_very_small_scores_stay_apart():
    logits = np.array([-1e4, -40, -30, 30, 1e4], dtype=np.float32)
    values = scoring.scores(logits, np.zeros(5, np.float32))
    assert values == pytest.approx([0, np.exp(-40), np.exp(-30), 1, 1], rel=1e-4, abs=0)


def test_half_of_the_baseline_is_subtracted():
    logit = np.array([1.0], dtype=np.float32)
    assert scoring.scores(logit, np.array([2.0], np.float32)) == pytest.approx([0.5])


def test_the_nearest_prompt_against_a_label_is_named_if_nearer_than_the_label():
    known = replace(
        prototypes([DOG, CAT], [RAIN, TALK], [[1, 1], [0, 1]]),
        against_prompts=("rain falling", "people talking"),
    )
    assert scoring.nearest_against(unit(3, 0, 4, 0), known) == ("rain falling", None)
    assert scoring.nearest_against(unit(4, 0, 3, 0), known) == (None, None)
    assert scoring.nearest_against(unit(0, 1, 3, 4), known) == ("people talking", "people talking")


def test_without_prompts_against_a_label_none_is_named():
    assert scoring.nearest_against(unit(0, 0, 1, 0), prototypes([DOG, CAT], [], [])) == (None, None)


def test_nearest_against_compares_in_deviations():
    known = normalised(prototypes([DOG], [RAIN], [[1]]), "against", [0.5], [0.5])
    assert scoring.nearest_against(unit(3, 0, 4, 0), known) == (None,)


def test_similarity_is_the_margin_without_the_prompts_against_the_label():
    audio = unit(3, 4, 5, 0)
    with_rival, without = prototypes([DOG], [RAIN], [[1]]), prototypes([DOG], [], [])
    assert scoring.similarities(audio, with_rival) == pytest.approx(scoring.margins(audio, without))
    assert scoring.margins(audio, with_rival) < scoring.similarities(audio, with_rival)


def speech(mean, deviation):
    """People speaking, and cats, which are not meant."""
    return Directions(np.stack([TALK, CAT]), np.array(mean), np.array(deviation))


def test_speech_starts_three_quarters_of_a_deviation_above_its_mean():
    known = replace(prototypes([DOG], [], []), speech=speech([0.3, 0], [0.4, 1]))
    assert scoring.is_speech(unit(0.79, 0, 0, 0.61), known)
    assert not scoring.is_speech(unit(0.81, 0, 0, 0.58), known)


def test_a_window_more_like_another_voice_is_not_speech():
    known = replace(prototypes([DOG], [], []), speech=speech([0, 0], [0.2, 0.1]))
    assert scoring.is_speech(unit(0, 0.38, 0, 0.7), known)  # 4.4 deviations of speech, 4.8 of the cat
    assert not scoring.is_speech(unit(0, 0.45, 0, 0.7), known)  # 4.2 and 5.4
    assert scoring.is_speech(unit(0.6, 0, 0, 0.7), known)  # a dog, of which nobody asks here


def test_the_end_of_another_voice_is_not_speech():
    known = replace(prototypes([DOG], [], []), speech=speech([0, 0], [0.2, 0.1]))
    end, cat = unit(0, 0.2, 0, 0.7), unit(0, 0.7, 0, 0.2)
    assert scoring.is_speech(end, known, before=end)
    assert not scoring.is_speech(end, known, before=cat)
    assert not scoring.is_speech(cat, known, before=end)


def test_without_a_cohort_norm_speech_must_be_nearer_than_every_label():
    known = replace(
        prototypes([DOG, CAT], [], []), speech=Directions(np.stack([TALK, CAT]), normalised=False)
    )
    assert scoring.is_speech(unit(0, 3, 0, 4), known)
    assert not scoring.is_speech(unit(0, 4, 0, 3), known)


def test_prototypes_without_speech_find_none():
    assert not scoring.is_speech(TALK, prototypes([DOG], [], []))
