"""Unusual sounds, live: events of windows unlike all that a source usually has at that time of day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.config import UnusualLabel
from monitor.detection.event_machine import EventMachine
from monitor.detection.nearest_neighbours import Whiten, distance
from monitor.detection.quantised import Rows
from monitor.detection.rules import Rule
from monitor.types import Break, EndReason, Event, GateReason, Scores

Describe = Callable[[NDArray[np.float32]], Sequence[str]]
"""Embedding, shape (d,), to sentences."""


@dataclass(frozen=True, slots=True, eq=False)
class UsualSounds:
    """What a source usually has at a time of day."""

    rows: Rows
    """Whitened and quantised embeddings, shape (n, d)."""
    threshold: float
    """Distance from which a window is unusual, in [0, 1]."""
    until: float
    """Unix seconds after which this says nothing: another time of day has come."""


class UnusualDetector:
    """Events of unusual sounds; `use` is for any thread, the rest for the one that scores.

    Parameters
    ----------
    rules : mapping of str to Rule
        By source, of an `UnusualLabel`; the thresholds do not count.
    whiten : callable
        As the usual sounds are whitened.
    describe : callable
    """

    def __init__(self, rules: Mapping[str, Rule], whiten: Whiten, describe: Describe) -> None:
        self._rules, self._whiten, self._describe = rules, whiten, describe
        self._usual: dict[str, UsualSounds] = {}
        self._applied: dict[str, UsualSounds] = {}
        """Whose threshold the machines have, by source."""
        self._machines = {source: EventMachine(rule) for source, rule in rules.items()}
        self._distances = dict.fromkeys(rules, 0.0)
        """Of the newest window, by source."""
        self._like: dict[str, tuple[str, ...]] = {}
        """Sentences that describe the newest event, by source."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources."""
        return tuple(self._rules)

    def use(self, source: str, usual: UsualSounds) -> None:
        """Compare the windows of a source with other sounds from now on."""
        self._usual[source] = usual

    def label(self, source: str) -> UnusualLabel:
        """Return the label of these events, with the threshold in force at a source."""
        usual = self._usual.get(source)
        return UnusualLabel() if usual is None else UnusualLabel(threshold=usual.threshold)

    def update(self, scores: Scores, *, labelled: bool) -> list[Event]:
        """Add the next window of a source; return the event that starts or ends with it.

        With ``labelled`` there is an event of a label, or a candidate: what a user described is not unusual.
        """
        source = scores.source
        machine, usual = self._machines.get(source), self._usual.get(source)
        if machine is None or usual is None:
            return []
        if self._applied.get(source) is not usual:
            self._applied[source], label = usual, self.label(source)
            machine.apply(replace(self._rules[source], threshold=label.threshold, release=label.release))
        if scores.gated != GateReason.UNCHANGED:
            self._distances[source] = self._distance(scores, usual)
        events = machine.update(scores, 0.0 if labelled else self._distances[source])
        return [self._described(event, scores) for event in events]

    def interrupt(self, at: Break) -> list[Event]:
        """End the event of a source at a break of its audio."""
        return self._end(at.source, EndReason(at.reason))

    def finish(self, reason: EndReason) -> list[Event]:
        """End every event."""
        return [event for source in self._machines for event in self._end(source, reason)]

    def _end(self, source: str, reason: EndReason) -> list[Event]:
        machine = self._machines.get(source)
        ended = [] if machine is None else machine.end(reason)
        return [replace(event, like=self._like[source]) for event in ended]

    def _distance(self, scores: Scores, usual: UsualSounds) -> float:
        if scores.embedding is None or scores.ended_at > usual.until:
            return 0.0
        return distance(self._whiten(scores.embedding[None])[0], usual.rows)

    def _described(self, event: Event, scores: Scores) -> Event:
        if event.reason is None and scores.embedding is not None:
            self._like[event.source] = tuple(self._describe(scores.embedding))
        return replace(event, like=self._like.get(event.source, ()))
