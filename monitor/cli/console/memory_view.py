"""Memory view: lines about moments, and about events that would have started."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from monitor.memory.replay_diff import Difference, by_hour
from monitor.memory.search import Moment

_SIGNS = {"both": "=", "new": "+", "gone": "-"}


def clock(at: float) -> str:
    """Return a moment in local time, as ``2026-11-30 18:00:05``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def moment_line(found: Moment, events: Sequence[tuple[str | None, ...]]) -> str:
    """Return one line about a moment, and what is known of each event in it."""
    seconds = found.ended_at - found.started_at
    beside = "  ".join(" ".join(filter(None, event)) for event in events)
    line = f"{clock(found.started_at)}  {found.source:<16}  {seconds:5.1f} s  fit {found.fit:5.2f}  {beside}"
    return line.rstrip()


def difference_line(difference: Difference) -> str:
    """Return one line about an event that would have started, or did."""
    firing = difference.firing
    seconds = firing.ended_at - firing.started_at
    return (
        f"{_SIGNS[difference.outcome]} {clock(firing.started_at)}  {firing.source:<16}  {firing.label:<20}  "
        f"{seconds:6.1f} s  {firing.peak_score:.2f}"
    )


def summary_lines(differences: Sequence[Difference]) -> Iterator[str]:
    """Yield one line for each label: how often it would have fired, and how often it did."""
    labels = sorted({each.firing.label for each in differences})
    if not labels:
        yield "no event, neither with these labels nor in fact"
    for label in labels:
        mine = [each for each in differences if each.firing.label == label]
        both, new, gone = (sum(each.outcome == outcome for each in mine) for outcome in _SIGNS)
        hours = by_hour([each.firing for each in mine if each.outcome != "gone"])
        most = f", most from {max(range(24), key=hours.__getitem__)}:00" if any(hours) else ""
        yield f"{label}: {_events(both + new)}{most}; in fact {both + gone} ({new} new, {gone} gone)"


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"
