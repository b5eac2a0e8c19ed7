"""Tail of a distribution: exponential, or generalised Pareto where that fits better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

FEWEST_FOR_SHAPE = 100
"""Excesses from which a shape is fitted at all."""

SHAPES = np.round(np.arange(-0.5, 0.301, 0.05), 2)
"""Shapes that are tried; beyond them the fit follows single sounds."""

SCALES = np.geomspace(0.4, 2.5, 61)
"""Scales that are tried, as multiples of the mean excess."""

CRITICAL = 3.841
"""Of the chi-squared distribution with one degree of freedom, p = 0.05."""

_IMPOSSIBLE = -1e9


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """Generalised Pareto distributions of excesses, shape (draws,); of shape 0 they are exponential."""

    scale: Array
    shape: Array

    def survival(self, excess: float) -> Array:
        """Return the share of excesses above this one, shape (draws,)."""
        if excess <= 0:
            return np.exp(-excess / self.scale)
        bent = np.where(self.shape == 0, 1.0, self.shape)
        base = np.maximum(1.0 + bent * excess / self.scale, 1e-300)
        return np.where(self.shape == 0, np.exp(-excess / self.scale), base ** (-1.0 / bent))

    def excess_of(self, ratio: Array | float) -> Array:
        """Return the excess that one of ``ratio`` exceeds, shape (draws,); negative for a ratio below 1."""
        ratio = np.asarray(ratio, np.float64)
        bent = np.where((self.shape == 0) | (ratio < 1), 1.0, self.shape)
        plain = (self.shape == 0) | (ratio < 1)
        return self.scale * np.where(plain, np.log(ratio), (ratio**bent - 1.0) / bent)

    def redrawn(self, excesses: Array, weights: Array) -> Tail:
        """Fit the same kind of tail to redrawn excesses, weights of shape (draws, n)."""
        if self.shape[0] == 0:
            return Tail(weights @ excesses / np.maximum(weights.sum(axis=1), 1.0), np.zeros(len(weights)))
        scales, shapes, likelihoods = _likelihoods(excesses)
        best = (weights @ likelihoods.T).argmax(axis=1)
        return Tail(scales[best], shapes[best])


def fit_tail(excesses: Array) -> Tail:
    """Fit an exponential tail, or another one if a likelihood ratio test rejects it.

    Parameters
    ----------
    excesses : array, shape (n,)
        Above 0.
    """
    exponential = Tail(np.array([excesses.sum() / max(1, len(excesses))]), np.zeros(1))
    if len(excesses) < FEWEST_FOR_SHAPE:
        return exponential
    scales, shapes, likelihoods = _likelihoods(excesses)
    sums = likelihoods.sum(axis=1)
    best = int(sums.argmax())
    plain = -len(excesses) * (np.log(excesses.mean()) + 1.0)
    if 2.0 * (sums[best] - plain) < CRITICAL or shapes[best] == 0:
        return exponential
    return Tail(scales[best : best + 1], shapes[best : best + 1])


def _likelihoods(excesses: Array) -> tuple[Array, Array, Array]:
    """Return scales, shapes and the log-likelihoods, shape (distributions, n), of what is tried."""
    scales, shapes = (x.ravel() for x in np.meshgrid(SCALES * excesses.mean(), SHAPES[SHAPES != 0]))
    inside = 1.0 + (shapes / scales)[:, None] * excesses
    logs = np.log(np.maximum(inside, 1e-300))
    likelihoods = -np.log(scales)[:, None] - (1.0 + 1.0 / shapes)[:, None] * logs
    return scales, shapes, np.where(inside > 0, likelihoods, _IMPOSSIBLE)
