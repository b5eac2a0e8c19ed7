import numpy as np
import pytest

from training import runlog
from training.metrics import auroc, average_precision, bootstrap, wilson

UP = np.array([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("positive", "area", "precision"),
    [([0, 0, 1, 1], 1, 1), ([1, 0, 0, 0], 0, 1 / 4), ([1, 0, 0, 1], 0.5, 0.75)],
)
def test_ranking(positive, area, precision):
    flags = np.array(positive, bool)
    assert auroc(UP, flags) == pytest.approx(area)
    assert average_precision(UP, flags) == pytest.approx(precision)


def test_equal_scores_say_nothing():
    flags = np.array([1, 0, 0, 0], bool)
    assert auroc(np.ones(4), flags) == 0.5
    assert average_precision(np.ones(4), flags) == 0.25


def test_interval_of_a_share():
    low, high = wilson(8, 10)
    assert (round(low, 2), round(high, 2)) == (0.49, 0.94)


def test_interval_of_a_mean_holds_it():
    low, high = bootstrap(np.arange(100.0))
    assert 40 < low < 49.5 < high < 60


def test_the_run_log_keeps_its_lines(tmp_path):
    runlog.append(tmp_path / "x.jsonl", passes=10, speed=1.23456)
    runlog.append(tmp_path / "x.jsonl", passes=20)
    assert runlog.read(tmp_path / "x.jsonl") == [{"passes": 10, "speed": 1.2346}, {"passes": 20}]
