"""Average precision and AUROC, on figures worked out by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from monitor.evaluation.clip_metrics import rank

# Best first: dog, other, dog, other: precision at the dogs 1 and 2/3; a dog above an other in 3 of 4 pairs.
SCORES = np.array([[0.9], [0.7], [0.5], [0.1]], np.float32)
TRUTH = ["dog", "rain", "dog", None]


def test_average_precision_and_auroc_of_a_known_order():
    ranked = rank(SCORES, ["dog"], TRUTH)["dog"]
    assert ranked.clips == 2
    assert ranked.average_precision.value == pytest.approx((1 + 2 / 3) / 2)
    assert ranked.auroc.value == pytest.approx(0.75)


def test_the_interval_holds_the_figure():
    auroc = rank(SCORES, ["dog"], TRUTH)["dog"].auroc
    assert auroc.low <= auroc.value <= auroc.high
    assert auroc.low < auroc.high


def test_all_is_the_mean_over_labels():
    scores = np.array([[0.9, 0.1], [0.1, 0.2], [0.2, 0.9]], np.float32)
    ranked = rank(scores, ["dog", "cat"], ["dog", "cat", "rain"])
    assert ranked["dog"].auroc.value == 1.0
    assert ranked["cat"].auroc.value == 0.5
    assert ranked["all"].auroc.value == 0.75


def test_a_label_without_a_clip_is_left_out():
    assert set(rank(np.c_[SCORES, SCORES], ["dog", "cat"], TRUTH)) == {"dog", "all"}
    assert rank(SCORES, ["cat"], TRUTH) == {}


@pytest.mark.parametrize("decimals", [1, 6], ids=["ties", "no ties"])
def test_the_figures_are_those_of_sklearn(decimals):
    random = np.random.default_rng(0)
    flags = random.random(60) < 0.2
    scores = np.round(random.random(60) + 0.4 * flags, decimals).astype(np.float32)
    ranked = rank(scores[:, None], ["dog"], ["dog" if flag else None for flag in flags])["dog"]
    assert ranked.average_precision.value == pytest.approx(average_precision_score(flags, scores))
    assert ranked.auroc.value == pytest.approx(roc_auc_score(flags, scores))
