"""Alarm rate: the threshold for a desired rate of false alarms, from the sounds of a source.

The peaks of separate sounds over a high level are nearly exponential in logits, whatever the sounds are
(peaks over threshold: Coles, An Introduction to Statistical Modeling of Extreme Values, 2001, chapter 4)::

    x = u + mean excess * ln(clusters above u / false alarms desired in what was heard)

Arrays in, a frozen value out; the bootstrap has a fixed seed: the same audio gives the same threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from monitor.detection.alarm_clusters import Clusters, Heard, clusters_above
from monitor.detection.pareto_tail import FEWEST_FOR_SHAPE, fit_tail
from monitor.detection.start_levels import score_of

CLUSTERS = 60
"""Clusters above the level from which the tail is taken: with 30, a fifth fewer of the thresholds for one
false alarm in what was heard are within a factor of 2; with more, the tail is less exponential
(benchmarks/thresholds.py)."""

SPARSE = 4.0
"""Mean distance of the clusters, at least, in times that from which on they are separate.

If it is smaller, more than a fifth run together, and the level lies within what is always heard: thresholds
from 20 minutes of steady noise then fire half as often as desired (benchmarks/thresholds.py)."""

FEWEST_CLUSTERS = 20
"""The mean excess is then known to within a quarter."""

BLOCK_SECONDS, FEWEST_BLOCKS = 600.0, 6
"""Audio that the bootstrap draws as one piece; shorter if there would be fewer pieces."""

MEASURED, FACTOR_OF_2, EXTRAPOLATED = 6.0, 2.0, 0.5
"""False alarms to be expected in what was heard for each grade."""

LEAST_HOURS = 0.25
HOURS_OF_DAY, RARE = 18, 1 / 24
"""Targets below one a day need this many of the 24 hours of the day: nights are unlike days."""
SECONDS_OF_HOUR = 600.0
"""An hour of the day was heard if this much of it was."""

MOST_IN_A_BLOCK = 0.4
"""Largest share of the clusters in one block."""

DAY_SECONDS = 86_400
DEVIATIONS = 2.576
"""Difference of the halves in standard deviations with p = 0.01, two-sided."""

_DRAWS, _INTERVAL = 400, (0.1, 0.9)


class Grade(StrEnum):
    """How well the rate of false alarms at a threshold is known."""

    MEASURED = "measured"
    """At least 6 of them are expected in what was heard."""
    FACTOR_OF_2 = "factor_of_2"
    """2 to 6: the true rate is about within a factor of 2."""
    EXTRAPOLATED = "extrapolated"
    """0.5 to 2: the rate is estimated beyond what was heard."""


@dataclass(frozen=True, slots=True)
class AlarmThreshold:
    """A threshold for a desired rate of false alarms."""

    threshold: float
    interval: tuple[float, float]
    """80 % interval of the threshold."""
    rates: tuple[float, float]
    """80 % interval of the false alarms per hour at the threshold."""
    grade: Grade
    expected: float
    """False alarms at the desired rate in what was heard."""
    hours: float
    """Length of what was heard."""
    clusters: int
    """Separate sounds from which the tail is taken."""
    shape: float
    """Of the generalised Pareto distribution; 0: exponential."""


@dataclass(frozen=True, slots=True)
class NoThreshold:
    """Why no threshold could be found from the sounds of the past."""

    why: str
    hours: float
    """Length of what was heard."""
    listen_hours: float | None = None
    """How long to listen in all; None if more audio of the same kind does not help."""


def alarm_threshold(heard: Heard, per_hour: float) -> AlarmThreshold | NoThreshold:
    """Return the threshold at which a label fires this often.

    Parameters
    ----------
    heard : Heard
        Without the events that were right.
    per_hour : float
        Desired false alarms per hour, above 0.
    """
    expected = per_hour * heard.hours
    refused = _too_little(heard, per_hour)
    if refused is not None:
        return refused
    most = max(FEWEST_CLUSTERS, int(3600 * heard.hours / (SPARSE * heard.apart_seconds)))
    clusters, more = (
        clusters_above(heard, max(min(wanted, most), math.ceil(expected)))
        for wanted in (CLUSTERS, FEWEST_FOR_SHAPE)
    )
    if fit_tail(more.excesses).shape[0] != 0:
        clusters = more
    return _unfit(heard, clusters, expected) or _estimate(heard, clusters, expected)


def _estimate(heard: Heard, clusters: Clusters, expected: float) -> AlarmThreshold:
    excesses, (blocks, number) = clusters.excesses, _blocks(heard, clusters.places)
    tail = fit_tail(excesses)
    drawn = np.random.default_rng(1).multinomial(number, np.full(number, 1 / number), _DRAWS)
    weights = drawn[:, blocks].astype(np.float64)  # (draws, clusters)
    counts = np.maximum(weights.sum(axis=1), 1.0)
    tails = tail.redrawn(excesses, weights)
    excess = float(tail.excess_of(len(excesses) / expected)[0])
    levels = clusters.level + tails.excess_of(counts / expected)
    rates = counts * tails.survival(excess) / heard.hours
    low, high = np.quantile(levels, _INTERVAL).tolist()
    slow, fast = np.quantile(rates, _INTERVAL).tolist()
    return AlarmThreshold(
        threshold=score_of(clusters.level + excess),
        interval=(score_of(low), score_of(high)),
        rates=(slow, fast),
        grade=_grade(expected),
        expected=expected,
        hours=heard.hours,
        clusters=len(excesses),
        shape=float(tail.shape[0]),
    )


def _grade(expected: float) -> Grade:
    if expected >= MEASURED:
        return Grade.MEASURED
    return Grade.FACTOR_OF_2 if expected >= FACTOR_OF_2 else Grade.EXTRAPOLATED


def _blocks(heard: Heard, places: NDArray[np.intp]) -> tuple[NDArray[np.intp], int]:
    """Return the block of each window at these places, and how many blocks there are."""
    seconds = heard.hours * 3600
    number = max(1, round(seconds / min(BLOCK_SECONDS, seconds / FEWEST_BLOCKS)))
    return places * number // len(heard.levels), number


def _too_little(heard: Heard, per_hour: float) -> NoThreshold | None:
    """Return why this much audio cannot give a threshold for this rate."""
    hours, needed = heard.hours, max(LEAST_HOURS, EXTRAPOLATED / per_hour)
    if per_hour < RARE:
        needed = max(needed, float(HOURS_OF_DAY))
    if hours < LEAST_HOURS:
        return NoThreshold("less than 15 minutes were heard", hours, needed)
    if per_hour * hours < EXTRAPOLATED:
        return NoThreshold("too little was heard for so low a rate", hours, needed)
    of_day = np.bincount((heard.ended_at // 3600 % 24).astype(np.intp), minlength=24) * heard.hop_seconds
    covered = int(np.count_nonzero(of_day >= SECONDS_OF_HOUR))
    if per_hour < RARE and covered < HOURS_OF_DAY:
        why = f"only {covered} of the 24 hours of the day were heard, and nights are unlike days"
        return NoThreshold(why, hours, max(needed, hours + HOURS_OF_DAY - covered))
    return None


def _unfit(heard: Heard, clusters: Clusters, expected: float) -> NoThreshold | None:
    """Return why these clusters give no threshold."""
    hours, found = heard.hours, len(clusters.excesses)
    if found < FEWEST_CLUSTERS:
        listen = 1.2 * hours * FEWEST_CLUSTERS / found if found else None
        return NoThreshold(f"only {found} separate sounds came near the label", hours, listen)
    if found < expected / 2:
        return NoThreshold("the label would fire less often at any threshold", hours)
    blocks, number = _blocks(heard, clusters.places)
    counts = np.bincount(blocks, minlength=number)
    if counts.max() > MOST_IN_A_BLOCK * found:
        why = f"{counts.max()} of {found} sounds that came near the label were heard within ten minutes"
        return NoThreshold(why, hours, 2 * hours)
    first, second = _halves(heard, counts)
    # Sounds come in bouts: the blocks say how much more the halves may differ than by chance alone.
    spread = sum(max(half.var(ddof=1), counts.mean()) / len(half) for half in (first, second))
    if abs(first.mean() - second.mean()) > DEVIATIONS * math.sqrt(spread):
        per_hour = number / hours
        why = (
            f"the halves differ: {first.mean() * per_hour:.2g} and then {second.mean() * per_hour:.2g} "
            "sounds an hour came near the label"
        )
        return NoThreshold(why, hours, 2 * hours)
    return None


def _halves(heard: Heard, counts: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the counts of the blocks of the first and of the last half, of whole days if there are two."""
    at = heard.ended_at[np.arange(len(counts)) * len(heard.ended_at) // len(counts)]
    first, last = float(heard.ended_at[0]), float(heard.ended_at[-1])
    days = round((last - first) / DAY_SECONDS)
    half = days // 2 * DAY_SECONDS if days >= 2 else (last - first) / 2  # noqa: PLR2004
    halves = counts[at < first + half], counts[at >= last - half]
    if min(map(len, halves)) < FEWEST_BLOCKS // 2:  # most was heard within one of them
        return counts[: len(counts) // 2], counts[-(len(counts) // 2) :]
    return halves
