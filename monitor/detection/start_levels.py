"""Start levels: the highest threshold at which the event code would start an event with a window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detection.rules import Rule

LEAST_SCORE, MOST_SCORE = 1e-12, 1.0 - 2.0**-24
"""Scores beyond these have the logit of these: 32 bits do not tell them apart."""

_ROWS = 65_536
"""Windows that are sorted at once: a long confirmation would take a gigabyte for a week."""


def start_levels(
    scores: NDArray[np.float32], rule: Rule, after_break: NDArray[np.intp] | None = None
) -> NDArray[np.float32]:
    """Return the start level of each window of one label, shape (n,), in [0, 1].

    An idle `EventMachine` with this rule starts an event exactly where the level reaches its threshold.
    Cooldown and merging depend on the events before; they are left to `alarm_rate.clusters`.

    Parameters
    ----------
    scores : array, shape (n,)
        Scores of all windows of one source, in order of time.
    rule : Rule
        Its threshold does not count.
    after_break : array of int, shape (breaks,), or None
        Windows before which the audio was interrupted: nothing counts across.
    """
    breaks = np.empty(0, np.intp) if after_break is None else np.unique(after_break)
    # `rule.of` windows that reach no threshold stand for an interruption: all counts are then at 0.
    padded = np.insert(scores.astype(np.float32), np.repeat(breaks, rule.of), -np.inf)
    places = np.arange(len(scores)) + rule.of * np.searchsorted(breaks, np.arange(len(scores)), side="right")
    levels = np.minimum(padded, _rolling_largest(padded, rule.hits, rule.of))
    lasting = -(-(rule.min_duration - rule.hop) // rule.hop)
    if lasting > 0:
        # A candidate lives as long as one of the newest windows is a hit.
        alive = _rolling(np.maximum, padded, rule.of)
        levels = np.minimum(levels, _rolling(np.minimum, alive, lasting + 1))
    found: NDArray[np.float32] = np.maximum(levels[places], 0.0)
    return found


def logit_of(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logits of scores; tails of logits are near to exponential, those of scores are not."""
    clipped = np.clip(scores.astype(np.float64), LEAST_SCORE, MOST_SCORE)
    found: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
    return found


def score_of(logit: float) -> float:
    """Return the score of a logit."""
    return float(np.exp(-np.logaddexp(0.0, -logit)))


def _rolling_largest(values: NDArray[np.float32], place: int, of: int) -> NDArray[np.float32]:
    """Return the ``place``-th largest of the newest ``of`` values, at each of them."""
    padded = np.concatenate([np.full(of - 1, -np.inf, np.float32), values])
    found = np.empty_like(values)
    for first in range(0, len(values), _ROWS):
        rows = np.lib.stride_tricks.sliding_window_view(padded[first : first + _ROWS + of - 1], of)
        found[first : first + _ROWS] = np.partition(rows, of - place, axis=1)[:, of - place]
    return found


def _rolling(extreme: np.ufunc, values: NDArray[np.float32], of: int) -> NDArray[np.float32]:
    """Return the extreme of the newest ``of`` values, at each of them; before the first they are -inf."""
    found, done = values, 1
    while done < of:
        step = min(done, of - done)
        earlier = np.concatenate([np.full(min(step, len(found)), -np.inf, np.float32), found[:-step]])
        found, done = extreme(found, earlier), done + step
    return found
