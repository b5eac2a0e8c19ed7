"""The figures: accuracy, AUROC, average precision, with intervals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


def auroc(scores: Scores, positive: Flags) -> float:
    """Chance that a positive scores above a negative; ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    n = int(positive.sum())
    wins = ranks[positive].sum() - n * (n + 1) / 2
    return float(wins / (n * (len(positive) - n)))


def average_precision(scores: Scores, positive: Flags) -> float:
    """Mean of the precision at each positive, best score first (ties: worst order)."""
    order = np.lexsort((positive, -scores))
    hits = positive[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share."""
    share = hits / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return float(middle - half), float(middle + half)


def bootstrap(values: Scores, seed: int = 0, rounds: int = 2000) -> tuple[float, float]:
    """95 % interval of the mean of ``values``, shape (n,)."""
    rng = np.random.default_rng(seed)
    means = rng.choice(values, (rounds, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
