import json

import numpy as np
import pytest

from monitor.detection.cohort_norm import measure_cohort, read_cohort_norm, write_cohort_norm
from monitor.types import ModelError


@pytest.fixture
def sounds():
    """Unit vectors that differ much along the first axis and hardly along the last."""
    rows = np.random.default_rng(0).standard_normal((500, 6)) * [1, 0.5, 0.3, 0.2, 0.1, 0.05] + 0.2
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_mean_and_deviation_are_those_of_the_cosines_themselves(sounds):
    prototypes = np.eye(6, dtype=np.float32)[:5]
    usual, deviation = measure_cohort(sounds).statistics(prototypes)
    cosines = sounds @ prototypes.T
    assert usual == pytest.approx(cosines.mean(axis=0), abs=1e-5)
    assert deviation == pytest.approx(cosines.std(axis=0), rel=1e-4)


def test_a_prompt_to_which_all_sounds_are_equally_similar_has_a_smallest_deviation(sounds):
    still = sounds.copy()
    still[:, 5] = 0
    _, deviation = measure_cohort(still).statistics(np.eye(6, dtype=np.float32)[5:])
    assert deviation == pytest.approx([0.02])


def test_the_main_directions_are_nearly_enough(sounds):
    prototypes = np.eye(6, dtype=np.float32)[:2]
    _, all_of_it = measure_cohort(sounds).statistics(prototypes)
    _, main = measure_cohort(sounds, directions=3).statistics(prototypes)
    assert main == pytest.approx(all_of_it, rel=0.05)


def test_it_is_kept_beside_the_checkpoint(sounds, tmp_path):
    kept = measure_cohort(sounds)
    write_cohort_norm(tmp_path, kept)
    read = read_cohort_norm(tmp_path, 6)
    assert read is not None
    np.testing.assert_allclose(read.mean, kept.mean, atol=1e-4)
    np.testing.assert_allclose(read.directions, kept.directions, atol=1e-4)


def test_a_checkpoint_may_have_none(tmp_path):
    assert read_cohort_norm(tmp_path, 6) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"mean": [1]}',
        json.dumps({"mean": [0] * 5, "directions": [[0] * 6]}),
        json.dumps({"mean": [0] * 6, "directions": [0] * 6}),
        '{"mean": [NaN, 0, 0, 0, 0, 0], "directions": [[0, 0, 0, 0, 0, 0]]}',
    ],
)
def test_a_broken_one_names_its_file(tmp_path, content):
    (tmp_path / "repertoire.json").write_text(content)
    with pytest.raises(ModelError, match=r"repertoire\.json"):
        read_cohort_norm(tmp_path, 6)
