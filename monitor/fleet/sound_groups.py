"""Sound groups: one sound that several nodes have heard, the loudest first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.fleet.event_feed import FleetEvent

ARRIVAL_SECONDS = 5.0
"""Nodes detect a sound after different times; a group waits this long for the last of them."""

MOST_GROUPS, MOST_EVENTS = 10_000, 1_000
"""Open groups, and events of one; beyond it the oldest group is closed, and an event begins another."""


@dataclass(slots=True)
class _Group:
    label: str
    at: float
    """Time of its first event, Unix seconds."""
    opened_at: float
    events: dict[tuple[str, str], FleetEvent] = field(default_factory=dict)
    """By node and source."""


class SoundGroups:
    """Groups starts of events of one label within a window of time; used by one thread.

    Parameters
    ----------
    window_seconds : float
        Longest time from the first onset of a group to each other one.
    now : callable
        Returns Unix seconds.
    """

    def __init__(self, window_seconds: float, *, now: Callable[[], float] = time.time) -> None:
        self._window, self._now = window_seconds, now
        self._open: list[_Group] = []

    def add(self, event: FleetEvent) -> None:
        """Add an event; its end, and one that had to wait for the broker, belong to no group."""
        if event["phase"] != "start" or event.get("late"):
            return
        at, place = onset_of(event), (event["node"], event["source"])
        for group in reversed(self._open):
            is_same = group.label == event["label"] and abs(at - group.at) <= self._window
            if is_same and place not in group.events and len(group.events) < MOST_EVENTS:
                break
        else:
            group = _Group(event["label"], at, self._now())
            self._open.append(group)
        group.events[place] = event

    def take(self, *, everything: bool = False) -> list[dict[str, object]]:
        """Return the groups that are complete, ready for JSON; at the end, everything."""
        before = math.inf if everything else self._now() - self._window - ARRIVAL_SECONDS
        first_kept = max(0, len(self._open) - MOST_GROUPS)
        done = [g for number, g in enumerate(self._open) if g.opened_at <= before or number < first_kept]
        self._open = [group for group in self._open if group not in done]
        return [_document(group) for group in done]


def onset_of(event: FleetEvent) -> float:
    """Return the onset of an event, in Unix seconds of this machine.

    If nothing sets the clock of the node, its own difference of two times is right all the same: the onset
    was ``latency_seconds`` before the event was published, and that was when it came here.
    """
    latency = event.get("latency_seconds")
    if event.get("clock_synchronised") or not isinstance(latency, int | float):
        return float(event["started_at"])
    return float(event["received_at"]) - latency


def _document(group: _Group) -> dict[str, object]:
    heard = sorted(group.events.values(), key=_loudness, reverse=True)
    onsets = [onset_of(event) for event in heard]
    return {
        "label": group.label,
        "at": round(min(onsets), 3),
        "spread_seconds": round(max(onsets) - min(onsets), 3),
        "clocks_synchronised": all(event.get("clock_synchronised") is True for event in heard),
        "heard": heard,
    }


def _loudness(event: FleetEvent) -> tuple[float, float]:
    """Return what to sort by: the level, then the score; digital silence has no level."""
    return _number(event.get("level_dbfs")), _number(event.get("score"))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else -math.inf
