"""Unusual sounds, live: events of windows unlike all that a source usually has at that time of day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.config import UnusualLabel
from monitor.detection.event_machine import EventMachine
from monitor.detection.nearest_neighbours import Whiten, distance
from monitor.detection.quantised import DISTANCE_UNITS, Rows
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

    Distances are rounded as the memory keeps them, so that a replay sees those that were seen live.

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
        self._waiting: dict[str, UsualSounds] = {}
        """Those to compare with from the next `take` on, by source."""
        self._usual: dict[str, UsualSounds] = {}
        self._in_force: dict[str, Rule] = {}
        """Rules of the sources whose usual sounds are known."""
        self._machines = {source: EventMachine(rule) for source, rule in rules.items()}
        self._distances = dict.fromkeys(rules, 0.0)
        """Of the newest window, by source."""
        self._like: dict[str, tuple[str, ...]] = {}
        """Sentences that describe the newest event, by source."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources."""
        return tuple(self._rules)

    @property
    def rules(self) -> dict[str, Rule]:
        """Rules in force at the sources whose usual sounds are known."""
        return dict(self._in_force)

    def use(self, source: str, usual: UsualSounds) -> None:
        """Compare the windows of a source with other sounds soon."""
        self._waiting[source] = usual

    def take(self) -> bool:
        """Compare with the newest sounds from the next window on; return whether a threshold has changed."""
        changed = False
        for source in list(self._waiting):
            before, usual = self._usual.get(source), self._waiting.pop(source)
            self._usual[source] = usual
            if before is None or before.threshold != usual.threshold:
                label = self.label(source)
                rule = replace(self._rules[source], threshold=label.threshold, release=label.release)
                self._in_force[source] = rule
                self._machines[source].apply(rule)
                changed = True
        return changed

    def measured(self, scores: Scores) -> Scores:
        """Return the next window of a source with its distance, if the sound is unusual or may still last."""
        source = scores.source
        usual = self._usual.get(source)
        if usual is None:
            return scores
        if scores.gated != GateReason.UNCHANGED:
            self._distances[source] = self._distance(scores, usual)
        unlike = self._distances[source]
        return replace(scores, distance=unlike if unlike >= self._in_force[source].release else 0.0)

    def label(self, source: str) -> UnusualLabel:
        """Return the label of these events, with the threshold in force at a source."""
        usual = self._usual.get(source)
        return UnusualLabel() if usual is None else UnusualLabel(threshold=usual.threshold)

    def update(self, scores: Scores, *, labelled: bool) -> list[Event]:
        """Add the next window of a source, `measured`; return the event that starts or ends with it.

        With ``labelled`` there is an event of a label, or a candidate: what a user described is not unusual.
        """
        if scores.source not in self._usual:
            return []
        events = self._machines[scores.source].update(scores, 0.0 if labelled else scores.distance)
        return [self._described(event, scores) for event in events]

    def active(self, source: str) -> frozenset[str]:
        """Return the label of unusual sounds, if a source has an event that lasts, or a candidate."""
        machine = self._machines.get(source)
        return frozenset({self._rules[source].label} if machine is not None and machine.is_active else ())

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
        found = distance(self._whiten(scores.embedding[None])[0], usual.rows)
        return round(found * DISTANCE_UNITS) / DISTANCE_UNITS

    def _described(self, event: Event, scores: Scores) -> Event:
        if event.reason is None and scores.embedding is not None:
            self._like[event.source] = tuple(self._describe(scores.embedding))
        return replace(event, like=self._like.get(event.source, ()))
