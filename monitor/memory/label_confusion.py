"""Label confusion: labels that fire together, and prompts that cannot be told apart in a room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from monitor.detection.alarm_clusters import Heard
from monitor.detection.quantised import restored
from monitor.memory.memory_reader import Chunk
from monitor.types import Embeddings

TOGETHER = 0.5
"""Share of the firings of one label in which the other fires as well, from which they are named."""

FEWEST_FIRINGS = 3
"""Fewer are no reason to change a label."""

ALIKE = 0.9
"""Correlation of the similarity with two prompts over all windows, from which they are named."""

FEWEST_WINDOWS = 600
"""A correlation over less is chance."""

_AT_ONCE = 2_048


@dataclass(frozen=True, slots=True)
class FireTogether:
    """Two labels that fire together at a source."""

    source: str
    label: str
    other: str
    both: int
    """Firings of ``label`` in which ``other`` fires as well."""
    firings: int
    """Of ``label``."""


@dataclass(frozen=True, slots=True)
class AlikePrompts:
    """Two prompts of different labels that follow each other at a source, whatever sounds there."""

    source: str
    label: str
    prompt: str
    other: str
    other_prompt: str
    correlation: float
    """Of the similarity with each of them over all windows, in [-1, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Mean and covariance of the embeddings of a source."""

    windows: int
    covariance: NDArray[np.float64]
    """Shape (d, d)."""


def fire_together(
    source: str, heard: Mapping[str, Heard], thresholds: Mapping[str, float]
) -> Iterator[FireTogether]:
    """Yield the pairs of labels that fire together at a source, each in the direction that is stronger.

    Parameters
    ----------
    source : str
    heard : mapping of str to Heard
        By label.
    thresholds : mapping of str to float
        In force at the source, by label.
    """
    firings = {label: _firings(each, thresholds[label]) for label, each in heard.items()}
    for one, other in combinations(heard, 2):
        pairs = [
            FireTogether(source, a, b, _overlapping(firings[a], firings[b]), len(firings[a]))
            for a, b in ((one, other), (other, one))
            if len(firings[a]) >= FEWEST_FIRINGS
        ]
        found = max(pairs, key=lambda pair: pair.both / pair.firings, default=None)
        if found is not None and found.both >= max(FEWEST_FIRINGS, TOGETHER * found.firings):
            yield found


def moments(chunks: Iterable[Chunk]) -> Moments | None:
    """Return mean and covariance of the embeddings of a source; None if there are too few."""
    count, total, products = 0, None, None
    for chunk in chunks:
        block = np.empty((_AT_ONCE, chunk.segment.header.dimension), dtype=np.int16)
        for rows in chunk.blocks(block):
            part = restored(rows)
            sums, squares = part.sum(axis=0, dtype=np.float64), (part.T @ part).astype(np.float64)
            total = sums if total is None else total + sums
            products = squares if products is None else products + squares
            count += len(part)
    if total is None or products is None or count < FEWEST_WINDOWS:
        return None
    mean = total / count
    return Moments(count, products / count - np.outer(mean, mean))


def alike_prompts(
    source: str, known: Moments, prompts: Sequence[tuple[str, str]], vectors: Embeddings
) -> Iterator[AlikePrompts]:
    """Yield the pairs of prompts of different labels that cannot be told apart at a source.

    Parameters
    ----------
    source : str
    known : Moments
    prompts : sequence of (label, prompt)
    vectors : array, shape (prompts, d)
        Their embeddings.
    """
    together = vectors @ known.covariance @ vectors.T
    deviations = np.sqrt(np.maximum(np.diag(together), 1e-12))
    correlations = together / np.outer(deviations, deviations)
    for i, j in zip(*np.nonzero(np.triu(correlations >= ALIKE, 1)), strict=True):
        (label, prompt), (other, other_prompt) = prompts[i], prompts[j]
        if label != other:
            correlation = min(1.0, float(correlations[i, j]))
            yield AlikePrompts(source, label, prompt, other, other_prompt, correlation)


def _firings(heard: Heard, threshold: float) -> NDArray[np.float64]:
    """Return start and end of each firing in Unix seconds, shape (n, 2)."""
    ended_at = heard.ended_at[heard.levels >= threshold]
    if not len(ended_at):
        return np.empty((0, 2))
    first = np.flatnonzero(np.diff(ended_at, prepend=-np.inf) > heard.apart_seconds)
    return np.stack([ended_at[first], ended_at[np.append(first[1:], len(ended_at)) - 1]], axis=1)


def _overlapping(firings: NDArray[np.float64], others: NDArray[np.float64]) -> int:
    """Return how many firings overlap one of the others."""
    begun = np.searchsorted(others[:, 0], firings[:, 1], side="right")
    over = np.searchsorted(others[:, 1], firings[:, 0], side="left")
    return int(np.count_nonzero(begun > over))
