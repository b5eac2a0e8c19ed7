"""Learned directions: examples and prompts as one vector, which stands out from all kinds of sound."""

import numpy as np
import pytest

from monitor.detection.cohort_norm import CohortNorm, measure_cohort
from monitor.detection.learned_direction import PROMPT_WEIGHT, example_direction, label_direction

D = 24


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def sounds():
    """All kinds of sound: unit vectors that differ most along the first few axes."""
    random = np.random.default_rng(3)
    return unit(random.normal(size=(4000, D)) * np.linspace(3.0, 0.3, D) + np.eye(D)[1])


@pytest.fixture(scope="module")
def norm(sounds):
    return measure_cohort(sounds, directions=8)


def bells(count, seed=1):
    """Recordings of one bell: a faint trait of its own on the last axis, in rooms that differ."""
    random = np.random.default_rng(seed)
    return unit(random.normal(size=(count, D)) * np.linspace(3.0, 0.3, D) + 2.5 * np.eye(D)[-1])


def separation(vector, sounds):
    """How far new recordings of the bell are above all kinds of sound, in deviations of the latter."""
    others = sounds @ vector
    return float(((bells(500, seed=9) @ vector).mean() - others.mean()) / others.std())


def test_examples_stand_out_along_the_learned_direction_more_than_along_their_mean(sounds, norm):
    examples = bells(3)
    plain = unit(examples.mean(axis=0))
    assert separation(example_direction(examples, norm), sounds) > 2.0 * separation(plain, sounds)


def test_more_examples_separate_better(sounds, norm):
    few, many = (
        np.mean([separation(example_direction(bells(k, seed), norm), sounds) for seed in range(20)])
        for k in (1, 8)
    )
    assert many > few


def test_the_direction_is_fishers_with_a_shrunk_covariance(norm):
    examples = bells(3)
    covariance = norm.covariance()
    shrunk = 0.7 * covariance + 0.3 * np.trace(covariance) / D * np.eye(D)
    wanted = np.linalg.inv(shrunk) @ (examples.mean(axis=0) - norm.mean)
    assert example_direction(examples, norm) == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-5)


def test_prompts_count_as_four_examples_both_at_unit_deviation(norm):
    examples, prompts = bells(4), np.eye(D, dtype=np.float32)[0]
    learned = example_direction(examples, norm)
    parts = [vector / norm.deviation(vector[None])[0] for vector in (learned, prompts)]
    assert len(examples) == PROMPT_WEIGHT
    assert label_direction(prompts, examples, norm) == pytest.approx(unit(parts[0] + parts[1]), abs=1e-6)


def test_prompts_alone_stay_as_they_are(norm):
    prompts = np.eye(D, dtype=np.float32)[5]
    assert label_direction(prompts, None, norm) is prompts


def test_a_label_needs_one_of_both(norm):
    with pytest.raises(ValueError, match="prompts or examples"):
        label_direction(None, None, norm)


def test_without_a_cohort_all_directions_count_alike():
    examples = bells(3)
    assert example_direction(examples, None) == pytest.approx(unit(examples.mean(axis=0)), abs=1e-6)


def test_examples_that_are_all_kinds_of_sound_together_give_a_direction_all_the_same(norm):
    [found] = [label_direction(None, norm.mean[None], norm)]
    assert np.linalg.norm(found) == pytest.approx(1.0)


def test_the_covariance_spreads_what_the_principal_directions_leave(sounds, norm):
    whole = np.trace(np.cov(sounds.T, bias=True))
    assert np.trace(norm.covariance()) == pytest.approx(whole, rel=1e-3)
    inside = unit(norm.directions[:1])
    assert norm.deviation(inside) == pytest.approx(norm.statistics(inside)[1], rel=1e-4)
    outside = unit(np.linalg.svd(norm.directions)[2][-1:])
    assert norm.statistics(outside)[1] == pytest.approx(0.02)
    assert norm.deviation(outside) > 0.05


def test_a_cohort_norm_of_one_direction_has_a_covariance():
    found = CohortNorm(np.zeros(2, np.float32), np.array([[1.0, 0.0]], np.float32))
    assert found.covariance() == pytest.approx(np.diag([1.0, 0.0]))
