"""Simulated rooms: scores of a label over days, one a second, in four rooms with nothing to detect.

Logits are noise about a mean (autoregressive, 0.7 from one window to the next: windows overlap), and on it

- ``quiet``: nothing;
- ``street``: cars, some a day at night and a hundred an hour at noon;
- ``kitchen``: clatter in bouts of 20 to 60 minutes, three times a day, and little between;
- ``television``: three to five hours every evening, in programmes that are like the label to a different
  degree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from scipy.special import expit

from monitor.detection.event_machine import EventMachine, Idle
from monitor.detection.rules import Rule
from monitor.types import Scores

DAY = 86_400
HOUR = 3_600

RULE = Rule("label", 1, 1, 0.5, 0.35, 2, 3, 0, max_duration=300, merge_gap=2, cooldown=5)
"""The defaults of a label, with one window a second."""

Array = npt.NDArray[np.float64]


def scores_of(room: str, days: int, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return the scores of some days of a room from midnight on, shape (days * 86400,)."""
    return expit(ROOMS[room](days, random)).astype(np.float32)


def quiet(days: int, random: np.random.Generator) -> Array:
    """Noise alone."""
    return -5.0 + _noise(days * DAY, random)


def street(days: int, random: np.random.Generator) -> Array:
    """Cars by the hour of the day."""
    hours = np.arange(days * DAY) / HOUR % 24
    busy = np.exp(-(((hours - 13) / 5) ** 2))
    cars = _sounds(0.0005 + 0.01 * busy, random, height=1.2, seconds=6, shape=1.0)
    return -6.0 + busy + 0.8 * _noise(days * DAY, random) + cars


def kitchen(days: int, random: np.random.Generator) -> Array:
    """Clatter at three meals."""
    rate = np.full(days * DAY, 0.0002)
    for day in range(days):
        for meal in (7.5, 12.5, 19.0):
            start = round(day * DAY + (meal + random.normal() / 2) * HOUR)
            rate[start : start + round(random.uniform(20, 60) * 60)] = 0.03
    clatter = _sounds(rate, random, height=1.5, seconds=3, shape=2.0)
    return -6.0 + 0.8 * _noise(days * DAY, random) + clatter


def television(days: int, random: np.random.Generator) -> Array:
    """Programmes in the evening."""
    logits = -6.0 + 0.8 * _noise(days * DAY, random)
    for day in range(days):
        at = round(day * DAY + (18 + 0.7 * random.normal()) * HOUR)
        end = min(len(logits), at + round(random.uniform(3, 5) * HOUR))
        while at < end:
            stop = min(end, at + 60 + round(random.exponential(1200)))
            logits[at:stop] += random.uniform(0.5, 2.0) + 0.8 * _noise(stop - at, random, 0.9)
            at = stop
    return logits


ROOMS: dict[str, Callable[[int, np.random.Generator], Array]] = {
    "quiet": quiet,
    "street": street,
    "kitchen": kitchen,
    "television": television,
}


def starts(scores: npt.NDArray[np.float32], threshold: float, rule: Rule = RULE) -> Iterator[int]:
    """Yield the windows with which the event code starts an event."""
    machine = EventMachine(replace(rule, threshold=threshold, release=max(threshold - 0.15, 0.7 * threshold)))
    hits, place = np.flatnonzero(scores >= threshold), 0
    while place < len(scores):
        if isinstance(machine.state, Idle):  # nothing happens before the next hit
            following = int(np.searchsorted(hits, place))
            if following == len(hits):
                return
            place = int(hits[following])
        value = scores[place : place + 1]
        stop = (place + 1) * rule.hop
        window = Scores("room", stop - rule.hop, stop, stop / rule.rate, (rule.label,), value, -40.0)
        yield from (place for event in machine.update(window, float(value[0])) if event.stop is None)
        place += 1


def _noise(length: int, random: np.random.Generator, kept: float = 0.7) -> Array:
    """Autoregressive noise of deviation 1."""
    white = random.normal(size=length + 100)
    filtered: Array = lfilter([np.sqrt(1 - kept**2)], [1, -kept], white)[100:]
    return filtered


def _sounds(
    rate: Array, random: np.random.Generator, *, height: float, seconds: float, shape: float
) -> Array:
    """Sounds that begin with a probability for each second, with gamma-distributed heights."""
    at = np.flatnonzero(random.uniform(size=len(rate)) < rate)
    heights = height * random.gamma(shape, 1 / shape, len(at))
    logits = np.zeros(len(rate))
    for start, length, high in zip(at, 1 + random.poisson(seconds - 1, len(at)), heights, strict=True):
        logits[start : start + length] = np.maximum(logits[start : start + length], high)
    return logits
