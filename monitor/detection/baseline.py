"""Baseline of one source: the logit that its room alone gives each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.detection.calibration import QUANTILE
from monitor.detection.scoring import Values

BASELINE_SECONDS = 60.0
"""Audio over which a baseline is taken."""


def high_quantile(logits: NDArray[np.float32]) -> Values:
    """Return the `QUANTILE` over the first axis, between two values linearly; ten times as fast as numpy's.

    Parameters
    ----------
    logits : array, shape (windows, n)
    """
    at = (len(logits) - 1) * QUANTILE
    low = int(at)
    high = min(low + 1, len(logits) - 1)
    ordered = np.partition(logits, (low, high), axis=0)
    quantile: Values = ordered[low] + np.float32(at - low) * (ordered[high] - ordered[low])
    return quantile


class Baseline:
    """The 90th percentile of each label's logits over the last minute.

    Parameters
    ----------
    initial : array, shape (labels,)
        Assumed before the first minute is over: from the last run, or the checkpoint's.
    windows : int
        Windows in a minute.
    """

    def __init__(self, initial: Values, windows: int) -> None:
        self._logits = np.tile(initial.astype(np.float32), (max(1, windows), 1))
        self._next = np.zeros(len(initial), dtype=np.intp)
        self._values = initial.astype(np.float32)

    @property
    def values(self) -> Values:
        """Baseline of each label, shape (labels,)."""
        return self._values

    def carried_over(self, initial: Values, columns: Sequence[int | None]) -> Baseline:
        """Return the baseline of other labels; those that stay keep their logits.

        Parameters
        ----------
        initial : array, shape (labels,)
            For the labels that are new.
        columns : sequence of int or None
            For each label its place among those of today, None if it is new.
        """
        other = Baseline(initial, len(self._logits))
        for to, at in enumerate(columns):
            if at is not None:
                other._logits[:, to] = self._logits[:, at]
                other._next[to] = self._next[at]
                other._values[to] = self._values[at]
        return other

    def update(self, logit: Values, frozen: NDArray[np.bool_]) -> None:
        """Add the logits of the next window; labels that are ``frozen`` (an event now) keep their own."""
        # A logit that is not finite would make every score of the next minute NaN.
        columns = np.flatnonzero(~frozen & np.isfinite(logit))
        self._logits[self._next[columns], columns] = logit[columns]
        self._next[columns] = (self._next[columns] + 1) % len(self._logits)
        self._values = high_quantile(self._logits)
