"""Replay diff: what would have fired, beside what did."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["both", "new", "gone"]


@dataclass(frozen=True, slots=True, order=True)
class Firing:
    """An event, as far as a comparison needs it."""

    started_at: float
    """Unix seconds."""
    ended_at: float
    """Unix seconds; of an event that lasts, now."""
    source: str
    label: str
    peak_score: float = 0.0
    event_id: str | None = None
    """Of one that did fire."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One event, in both, or in one only."""

    outcome: Outcome
    """both: it did fire, and would have; new: it would have; gone: it did."""
    firing: Firing
    """As it would have been; of one that is gone, as it was."""


def compare(would: Iterable[Firing], did: Iterable[Firing]) -> list[Difference]:
    """Pair events of the same label and source that overlap; return all by time.

    An event of one side is paired at most once, with the first of the other side that it overlaps.
    """
    waiting: dict[tuple[str, str], list[Firing]] = {}
    for firing in sorted(did):
        waiting.setdefault((firing.source, firing.label), []).append(firing)
    found = []
    for firing in sorted(would):
        others = waiting.get((firing.source, firing.label), [])
        match = next((other for other in others if _overlap(firing, other)), None)
        if match is None:
            found.append(Difference("new", firing))
        else:
            others.remove(match)
            found.append(Difference("both", firing))
    found += [Difference("gone", firing) for others in waiting.values() for firing in others]
    return sorted(found, key=lambda difference: difference.firing)


def by_hour(firings: Sequence[Firing]) -> list[int]:
    """Return how many begin in each of the 24 hours of the day, in local time."""
    counts = Counter(time.localtime(firing.started_at).tm_hour for firing in firings)
    return [counts[hour] for hour in range(24)]


def _overlap(one: Firing, other: Firing) -> bool:
    return one.started_at <= other.ended_at and other.started_at <= one.ended_at
