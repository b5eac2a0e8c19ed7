"""What has happened so far, counted by source and label, and what is heard now.

Each counter has one writer, named beside it.  Labels come and go while the monitor runs; of those that
were counted longest ago the counts make room, so nothing grows without end.
"""

from __future__ import annotations

from monitor.types import Event, NearMiss, Scores

MOST = 5000
"""Counts that are kept at once, of each kind."""


class Counters:
    """Count; every method is quick and waits for nobody."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], int] = {}
        """Events that started, by source and label (writer: analyse)."""
        self.rejected: dict[tuple[str, str], int] = {}
        """What came near and was no event, by label and reason (writer: analyse)."""
        self.newest: dict[str, Scores] = {}
        """Scores of the newest window of each source (writer: analyse)."""
        self.last: dict[str, Event] = {}
        """Newest event of each label, as it started or ended (writer: analyse)."""

    def event(self, event: Event) -> None:
        """Count an event as it starts, and know its newest state."""
        if event.stop is None:
            _count(self.events, (event.source, event.label))
        if event.label not in self.last and len(self.last) >= MOST:
            del self.last[next(iter(self.last))]
        self.last[event.label] = event

    def miss(self, miss: NearMiss) -> None:
        """Count what came near a label and was no event."""
        _count(self.rejected, (miss.label, str(miss.reason)))

    def scores(self, scores: Scores) -> None:
        """Know what is heard now."""
        self.newest[scores.source] = scores


def _count(counts: dict[tuple[str, str], int], key: tuple[str, str]) -> None:
    if key not in counts and len(counts) >= MOST:
        del counts[next(iter(counts))]
    counts[key] = counts.get(key, 0) + 1
