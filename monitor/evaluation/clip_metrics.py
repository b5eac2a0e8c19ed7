"""Clip metrics: average precision and AUROC of each label.

The figures are those of `sklearn.metrics` (a test compares them), which takes 6 and 16 times as long for each
of the thousands of draws of an interval, and returns an average precision of 0 without a positive [measured].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.evaluation.confidence import Estimate, estimate


@dataclass(frozen=True, slots=True)
class Ranking:
    """Of one label, or the mean of all."""

    clips: int
    """Clips of the label."""
    average_precision: Estimate
    auroc: Estimate


def rank(
    scores: NDArray[np.float32], labels: Sequence[str], truth: Sequence[str | None]
) -> dict[str, Ranking]:
    """Rank the clips by the score of each label that has a clip and lacks one.

    ``scores`` has the shape (clips, labels).  ``truth`` is the label of each clip; one that is not among
    ``labels`` is a clip of something else.  ``all`` in the result is the mean over labels.
    """
    flags = np.array([[label == clip for label in labels] for clip in truth], dtype=bool).reshape(
        -1, len(labels)
    )
    usable = [i for i in range(len(labels)) if 0 < flags[:, i].sum() < len(flags)]
    if not usable:
        return {}

    def of(column: int, measure: Measure) -> Callable[[NDArray[np.intp]], float]:
        return lambda rows: measure(flags[rows, column], scores[rows, column])

    def mean(measure: Measure) -> Callable[[NDArray[np.intp]], float]:
        def figure(rows: NDArray[np.intp]) -> float:
            values = np.array([of(i, measure)(rows) for i in usable])
            there = values[np.isfinite(values)]  # a draw may lack every clip of a label
            return float(there.mean()) if len(there) else np.nan

        return figure

    ranked = {
        labels[i]: Ranking(
            int(flags[:, i].sum()),
            estimate(of(i, _average_precision), len(flags)),
            estimate(of(i, auroc), len(flags)),
        )
        for i in usable
    }
    ranked["all"] = Ranking(
        int(flags[:, usable].sum()),
        estimate(mean(_average_precision), len(flags)),
        estimate(mean(auroc), len(flags)),
    )
    return ranked


Measure = Callable[[NDArray[np.bool_], NDArray[np.float32]], float]


def _average_precision(flags: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Mean over positives of the precision at their score; those that tie come together."""
    from scipy.stats import rankdata  # only `evaluate` needs it, a qualification does not

    if not flags.any():
        return np.nan
    # Negated, the highest score has rank 1.
    above = rankdata(-scores, method="max")[flags]
    hits = rankdata(-scores[flags], method="max")
    return float(np.mean(hits / above))


def auroc(flags: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Share of the pairs of a positive and a negative in which the positive is higher; ties count half."""
    positives, negatives = int(flags.sum()), int((~flags).sum())
    if not positives or not negatives:
        return np.nan
    wins = _ranks(scores)[flags].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rank of each value from 1 on, the mean of those that tie; `qualify` needs it where scipy is missing."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    highest = np.cumsum(counts).astype(np.float64)
    ranks: NDArray[np.float64] = (highest - (counts - 1) / 2)[place]
    return ranks
