"""Confidence intervals: percentile bootstrap over recordings.

Not `scipy.stats.bootstrap`: it gives no interval at all if one draw has no figure, as a draw without an
occurrence of the label has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDS = 200
SEED = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the interval that holds it in 95 of 100 draws."""

    value: float | None
    """None: there is nothing to measure it on."""
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """To two places."""
        if self.value is None:
            return "-"
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f}-{self.high:.2f})"


def estimate(figure: Callable[[NDArray[np.intp]], float], count: int, *, rounds: int = ROUNDS) -> Estimate:
    """Estimate a figure of ``count`` recordings by drawing as many of them with replacement.

    Recordings are drawn, not sounds: those of one recording share its background.  ``figure`` takes the
    indices of recordings, and returns NaN if it does not exist.
    """
    value = figure(np.arange(count))
    if not np.isfinite(value):
        return Estimate(None)
    random = np.random.default_rng(SEED)
    drawn = np.array([figure(random.integers(0, count, count)) for _ in range(rounds)])
    drawn = drawn[np.isfinite(drawn)]
    if count < 2 or not len(drawn):  # noqa: PLR2004 - one recording says nothing of others
        return Estimate(float(value))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))


def ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> Estimate:
    """Estimate the ratio of two sums over recordings; both arrays have shape (recordings,)."""

    def figure(rows: NDArray[np.intp]) -> float:
        total = float(below[rows].sum())
        return float(above[rows].sum()) / total if total else float("nan")

    return estimate(figure, len(below))
