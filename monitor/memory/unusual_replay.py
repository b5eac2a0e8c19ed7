"""Replay of unusual sounds at one source: the events that the distances kept with its windows started."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detection.event_machine import EventMachine, Idle
from monitor.detection.rules import Rule
from monitor.memory.label_replay import Timeline
from monitor.types import EndReason, Event


class UnusualReplay:
    """Events of unusual sounds; `feed` it with the windows of a source in order.

    The event code sees the windows around an event, and the last of each timeline: others change nothing.
    """

    def __init__(self) -> None:
        self._machine: EventMachine | None = None
        self._rule: Rule | None = None

    def apply(self, rule: Rule | None) -> None:
        """Use another rule from the next window on; None: it is not known what is usual."""
        self._rule = rule
        if rule is None:
            self._machine = None
        elif self._machine is None:
            self._machine = EventMachine(rule)
        else:
            self._machine.apply(rule)

    def end(self, reason: EndReason) -> list[Event]:
        """End the event that lasts, if any."""
        return [] if self._machine is None else self._machine.end(reason)

    def feed(self, timeline: Timeline, labelled: NDArray[np.bool_]) -> list[Event]:
        """Return the events that start or end in these windows.

        Parameters
        ----------
        timeline : Timeline
        labelled : array, shape (n,)
            In which windows there is an event of a label, or a candidate.
        """
        machine, rule = self._machine, self._rule
        if machine is None or rule is None:
            return []
        values = np.where(labelled, 0.0, timeline.distances)
        seen = np.union1d(np.flatnonzero(values >= rule.threshold), _last(timeline, rule.of))
        breaks, events, place = list(timeline.breaks), list[Event](), 0
        while place < len(timeline):
            if isinstance(machine.state, Idle):
                place = int(seen[np.searchsorted(seen, place)])
            while breaks and breaks[0][0] <= place:
                events += machine.end(breaks.pop(0)[1])
            events += machine.update(timeline.window(place), float(values[place]))
            place += 1
        for _, reason in breaks:
            events += machine.end(reason)
        return events


def _last(timeline: Timeline, windows: int) -> NDArray[np.intp]:
    """Return the last places of a timeline, which count if the rule changes after it."""
    return np.arange(max(0, len(timeline) - windows), len(timeline))
