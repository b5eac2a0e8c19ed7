"""Event state machine of one label at one source: confirmation, merge gap and cooldown of its events.

::

    Idle ──hit──> Candidate ──confirmed──> Active <──score──> Merging ──merge gap over──> Idle
    Candidate ──no hit left──> Idle        Active, Merging ──maximum duration──> Expired ──quiet──> Idle

After an event the cooldown blocks new hits.  Pure but for the identifiers: all times are in the data.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, replace
from typing import TypeAlias

from monitor.detection.near_misses import NEAR_SHARE, MissReason, NearMiss, NearMisses
from monitor.detection.rules import Rule
from monitor.types import EndReason, Event, Scores

EDGE_SHARE = 0.6
"""Share of a window that a sound fills, on average, when the window's score rises above the threshold.

With half a hop for the time until the next window, this is how far the onset is put before the end of the
first window of the event, and the offset after the start of the last.  On the demo recording the six onsets
are then 0.0 s off in the mean and 1.8 s at most; the truth lies within a window."""


@dataclass(frozen=True, slots=True)
class Idle:
    """No hit among the recent windows."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Windows above the threshold, but not yet enough of them, or without the temporal pattern."""

    first: Scores
    """The first of them."""


@dataclass(frozen=True, slots=True)
class Active:
    """An event lasts, and the newest window is at or above the release threshold."""

    event: Event
    last: Scores
    """The newest window at or above the release threshold."""


@dataclass(frozen=True, slots=True)
class Merging(Active):
    """An event lasts, but its score is below the release threshold: it ends after the merge gap."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The event reached its maximum duration, and its score is still at or above the release threshold."""


State: TypeAlias = Idle | Candidate | Active | Merging | Expired


class EventMachine:
    """One label at one source.

    Parameters
    ----------
    rule : Rule
    """

    def __init__(self, rule: Rule) -> None:
        self.state: State = Idle()
        self.near_misses = _near_misses(rule)
        self._rule = rule
        self._recent: deque[tuple[Scores, float]] = deque(maxlen=rule.of)
        """The last ``rule.of`` windows with their scores; cleared wherever counting must not continue."""
        self._not_before = 0
        """Index before which no event starts: the cooldown."""
        self._settled = False
        """None of the recent windows reached the threshold."""

    @property
    def is_active(self) -> bool:
        """Whether there is an event that lasts, or a candidate."""
        return isinstance(self.state, Active | Candidate)

    def apply(self, rule: Rule) -> None:
        """Use another rule; windows so far count."""
        if rule != self._rule:
            self._rule, self.near_misses = rule, _near_misses(rule)
            self._recent = deque(self._recent, maxlen=rule.of)
            self._settled = False

    def rests(self, scores: Scores, value: float) -> bool:
        """Add the next window if it is far from the threshold while nothing is going on; else return False.

        In a quiet house that is nearly every window of every label, and `update` and `near_miss` would find
        nothing.
        """
        if value >= NEAR_SHARE * self._rule.threshold or not (self._settled and self.near_misses.rest):
            return False
        self._recent.append((scores, value))
        return True

    def update(self, scores: Scores, value: float) -> list[Event]:
        """Add the next window and its score; return the event that starts or ends with it."""
        match self.state:
            case Active(event, last):
                return self._continue(event, last, scores, value)
            case Expired():
                if value < self._rule.release:
                    self.state = Idle()
                return []
        self._settled = False
        if self._blocked(scores) is not None:
            self._recent.clear()
            self.state = Idle()
            return []
        return self._confirm(scores, value)

    def near_miss(self, scores: Scores, place: int) -> NearMiss | None:
        """Return the near miss that is over with this window, if one is; after `update`."""
        if isinstance(self.state, Active | Expired):
            self.near_misses.skip_event()
            return None
        blocked = self._blocked(scores)
        if blocked is None and not self._has_pattern(scores):
            blocked = MissReason.NO_PATTERN
        return self.near_misses.update(scores, place, hits=lambda: len(self._hits()), blocked=blocked)

    def end(self, reason: EndReason) -> list[Event]:
        """End the event that lasts, if any; discard a candidate."""
        state, self.state = self.state, Idle()
        self._recent.clear()
        self._settled = False
        if not isinstance(state, Active):
            return []
        event, last = state.event, state.last
        stop = max(min(last.stop, last.start + self._edge(last)), event.start + 1)
        self._not_before = last.stop + self._rule.cooldown
        return [replace(event, stop=stop, ended_at=self._time_of(last, stop), reason=reason)]

    def _confirm(self, scores: Scores, value: float) -> list[Event]:
        rule = self._rule
        self._recent.append((scores, value))
        above = [window for window, score in self._recent if score >= rule.threshold]
        if not above:
            self.state = Idle()
            self._settled = True
            return []
        # A candidate from the first window above the threshold on, with its pattern or not yet: meanwhile the
        # baseline does not take the alarm for the room.
        first = self.state.first if isinstance(self.state, Candidate) else above[0]
        self.state = Candidate(first)
        lasted = scores.stop - first.stop + rule.hop
        hits = self._hits()
        if not hits or hits[-1][0] is not scores or len(hits) < rule.hits or lasted < rule.min_duration:
            return []
        if rule.pattern is not None:
            first = hits[0][0]
        score = max(score for _, score in hits)
        start = max(first.start, first.stop - self._edge(first))
        started_at = self._time_of(first, start)
        event = Event(
            id=ulid(started_at),
            source=scores.source,
            label=rule.label,
            start=start,
            stop=None,
            started_at=started_at,
            ended_at=None,
            score=score,
            peak_score=score,
            windows=len(hits),
            level_dbfs=scores.level_dbfs,
            uncertainty_seconds=(first.stop - first.start) / rule.rate,
        )
        self.state = Active(event, scores)
        return [event]

    def _continue(self, event: Event, last: Scores, scores: Scores, value: float) -> list[Event]:
        rule = self._rule
        sounds = value >= rule.release
        if sounds:
            hit = value >= rule.threshold
            peak_score = max(event.peak_score, value)
            event, last = replace(event, peak_score=peak_score, windows=event.windows + hit), scores
        self.state = Active(event, last) if sounds else Merging(event, last)
        if scores.stop - last.stop > rule.merge_gap:
            return self.end(EndReason.QUIET)
        if scores.stop - event.start >= rule.max_duration:
            ended = self.end(EndReason.MAX_DURATION)
            if sounds:
                self.state = Expired()
            return ended
        return []

    def _blocked(self, scores: Scores) -> MissReason | None:
        """Return why no event may start with this window."""
        if scores.stop <= self._not_before:
            return MissReason.COOLDOWN
        if any(hours.contains(scores.ended_at) for hours in self._rule.quiet):
            return MissReason.QUIET_HOURS
        return None

    def _hits(self) -> list[tuple[Scores, float]]:
        """Recent windows that count for an event."""
        return [
            (window, score)
            for window, score in self._recent
            if score >= self._rule.threshold and self._has_pattern(window)
        ]

    def _has_pattern(self, scores: Scores) -> bool:
        return self._rule.pattern is None or self._rule.pattern in scores.patterns

    def _edge(self, scores: Scores) -> int:
        return round(EDGE_SHARE * (scores.stop - scores.start) + self._rule.hop / 2)

    def _time_of(self, scores: Scores, index: int) -> float:
        return scores.ended_at - (scores.stop - index) / self._rule.rate


def _near_misses(rule: Rule) -> NearMisses:
    return NearMisses(rule.label, rate=rule.rate, threshold=rule.threshold, needed=rule.hits)


def ulid(at: float) -> str:
    """Return a ULID: 48 bits of milliseconds and 80 random bits in Crockford's base 32.

    Sorts by time as text (https://github.com/ulid/spec).
    """
    number = (int(at * 1000) & (1 << 48) - 1) << 80 | secrets.randbits(80)
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(digits[number >> shift & 31] for shift in range(125, -1, -5))
