"""Events of all labels at all sources, from scores; and near misses."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from monitor.detection.event_machine import EventMachine
from monitor.detection.near_misses import NearMiss
from monitor.detection.rules import Rule
from monitor.detection.unusual_detector import UnusualDetector
from monitor.types import Break, EndReason, Event, Scores

MOST_NEAR_MISSES = 1000
"""Near misses that wait to be taken; more drop the oldest."""


class Detector:
    """One event machine for each label at each source.

    Parameters
    ----------
    rules : sequence of Rule
        One for each label, for a source without rules of its own.
    by_source : mapping of str to sequence of Rule
        Rules of a source, by its name.
    unusual : UnusualDetector or None
        None: there are no events of unusual sounds.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        by_source: Mapping[str, Sequence[Rule]] | None = None,
        unusual: UnusualDetector | None = None,
    ) -> None:
        self.unusual = unusual
        self._rules = rules
        self._by_source = dict(by_source or {})
        self._machines: dict[str, dict[str, EventMachine]] = {}
        self._near_misses: deque[NearMiss] = deque(maxlen=MOST_NEAR_MISSES)

    def apply(self, by_source: Mapping[str, Sequence[Rule]]) -> list[Event]:
        """Use other rules from the next window on; end the events of labels without one."""
        self._by_source = dict(by_source)
        events: list[Event] = []
        for source, machines in self._machines.items():
            rules = {rule.label: rule for rule in self._rules_of(source)}
            for label in machines.keys() - rules.keys():
                events += machines.pop(label).end(EndReason.DISABLED)
            for label, rule in rules.items():
                if label in machines:
                    machines[label].apply(rule)
                else:
                    machines[label] = EventMachine(rule)
        return events

    @property
    def rules(self) -> dict[str, tuple[Rule, ...]]:
        """Rules in force by source, that of unusual sounds included where it is known what is usual."""
        unusual = {} if self.unusual is None else self.unusual.rules
        return {
            source: (*rules, unusual[source]) if source in unusual else tuple(rules)
            for source, rules in self._by_source.items()
        }

    def labels(self, source: str) -> tuple[str, ...]:
        """Labels that are detected at a source."""
        return tuple(self._of(source))

    def take_references(self) -> bool:
        """Use the newest references of unusual sounds, between two windows; return whether rules changed."""
        return self.unusual is not None and self.unusual.take()

    def measured(self, scores: Scores) -> Scores:
        """Return the next window of a source with its distance from the usual sounds, if that is known."""
        return scores if self.unusual is None else self.unusual.measured(scores)

    def update(self, scores: Scores) -> list[Event]:
        """Add the scores of the next window of a source, `measured`; return the events that start or end."""
        machines = self._of(scores.source)
        events: list[Event] = []
        for place, (label, value) in enumerate(zip(scores.labels, scores.values.tolist(), strict=True)):
            machine = machines[label]
            if not machine.rests(scores, value):
                events += machine.update(scores, value)
                self._keep(machine.near_miss(scores, place))
        if self.unusual is not None:
            events += self.unusual.update(scores, labelled=bool(self._labelled(scores.source)))
        return events

    def take_near_misses(self) -> list[NearMiss]:
        """Return the near misses that are over since the last call, at most `MOST_NEAR_MISSES`."""
        near_misses = list(self._near_misses)
        self._near_misses.clear()
        return near_misses

    def interrupt(self, at: Break) -> list[Event]:
        """End every event of a source at a break of its audio; nothing counts across it."""
        for machine in self._of(at.source).values():
            self._keep(machine.near_misses.interrupt(at.index))
        unusual = [] if self.unusual is None else self.unusual.interrupt(at)
        return [*self._end(at.source, EndReason(at.reason)), *unusual]

    def finish(self, reason: EndReason = EndReason.SHUTDOWN) -> list[Event]:
        """End every event."""
        for machines in self._machines.values():
            for machine in machines.values():
                self._keep(machine.near_misses.interrupt(0))
        unusual = [] if self.unusual is None else self.unusual.finish(reason)
        return [event for source in self._machines for event in self._end(source, reason)] + unusual

    def active(self, source: str) -> frozenset[str]:
        """Labels of this source with an event that lasts, or a candidate; that of unusual sounds included."""
        labelled = self._labelled(source)
        return labelled if self.unusual is None else labelled | self.unusual.active(source)

    def _labelled(self, source: str) -> frozenset[str]:
        machines = self._of(source).items()
        return frozenset(label for label, machine in machines if machine.is_active)

    def _of(self, source: str) -> dict[str, EventMachine]:
        if source not in self._machines:
            self._machines[source] = {rule.label: EventMachine(rule) for rule in self._rules_of(source)}
        return self._machines[source]

    def _keep(self, near_miss: NearMiss | None) -> None:
        if near_miss is not None:
            self._near_misses.append(near_miss)

    def _rules_of(self, source: str) -> Sequence[Rule]:
        return self._by_source.get(source, self._rules)

    def _end(self, source: str, reason: EndReason) -> list[Event]:
        return [event for machine in self._of(source).values() for event in machine.end(reason)]
