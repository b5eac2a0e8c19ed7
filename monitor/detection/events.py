"""Scores in, events out: what starts, lasts and ends; and what came near, but did not.

Pure but for the identifiers: all times are in the data.  A label of a source goes through

    quiet --hit--> candidate --confirmed--> active --quiet for the merge gap--> cooling --> quiet
                                            active --maximum duration--> spent --quiet--> quiet
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from monitor.config import LabelConfig, confirmations
from monitor.config.hours import Hours
from monitor.detection.near_misses import NearMisses
from monitor.types import Break, EndReason, Event, MissReason, NearMiss, Scores

EDGE_SHARE = 0.6
"""Share of a window that a sound fills, on average, when the window's score rises above the threshold.

With half a hop for the time until the next window, this is how far the onset is put before the end of
the first window that hears it, and the offset after the start of the last.  On the demo recording the
six onsets are then 0.0 s off in the mean and 1.8 s at most; the truth lies within a window."""


UNTAKEN = 1000
"""Near misses that are kept for whoever takes them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a label's scores are an event; times in samples."""

    label: str
    rate: int
    hop: int
    threshold: float
    release: float
    hits: int
    of: int
    min_duration: int
    max_duration: int
    merge_gap: int
    cooldown: int
    quiet: tuple[Hours, ...] = ()
    """Hours of the day in which no event starts."""


def rule_of(label: LabelConfig, *, rate: int, hop: int, quiet: tuple[Hours, ...] = ()) -> Rule:
    """Turn the configured seconds into samples and window counts."""
    hits, of = confirmations(label.confirm_seconds, hop / rate)

    def samples(seconds: float) -> int:
        return round(seconds * rate)

    return Rule(
        label=label.id,
        rate=rate,
        hop=hop,
        threshold=label.threshold,
        release=label.release,
        hits=hits,
        of=of,
        min_duration=samples(label.min_duration_seconds),
        max_duration=samples(label.max_duration_seconds),
        merge_gap=samples(label.merge_gap_seconds),
        cooldown=samples(label.cooldown_seconds),
        quiet=quiet,
    )


@dataclass(slots=True)
class _Track:
    """One label of one source."""

    rule: Rule
    recent: deque[tuple[Scores, float]] = field(init=False)
    """The last ``rule.of`` windows with their scores; emptied by whatever may not be counted across."""
    candidate: Scores | None = None
    """First hit of a sound that is not yet confirmed."""
    event: Event | None = None
    last_heard: Scores | None = None
    """Newest window at or above the release threshold while an event lasts."""
    spent: bool = False
    """The event reached its maximum duration; nothing new before it has been quiet."""
    not_before: int = 0
    """Index before which no event starts: the cooldown."""
    misses: NearMisses = field(init=False)

    def __post_init__(self) -> None:
        self.recent = deque(maxlen=self.rule.of)
        self.misses = _misses(self.rule)

    def follow(self, rule: Rule) -> None:
        """Go by another rule; what has been heard so far counts."""
        if rule != self.rule:
            self.rule, self.misses = rule, _misses(rule)
            self.recent = deque(self.recent, maxlen=rule.of)

    def miss(self, scores: Scores, place: int) -> NearMiss | None:
        """Return the near miss that is over with this window, if one is; after `update`."""
        if self.event is not None or self.spent:
            self.misses.event()
            return None
        return self.misses.see(scores, place, hits=self._hits, blocked=self._blocked(scores))

    def _blocked(self, scores: Scores) -> MissReason | None:
        """Why no event may start with this window."""
        if scores.stop <= self.not_before:
            return MissReason.COOLDOWN
        if any(hours.contains(scores.ended_at) for hours in self.rule.quiet):
            return MissReason.QUIET_HOURS
        return None

    def _hits(self) -> int:
        return sum(score >= self.rule.threshold for _, score in self.recent)

    def update(self, scores: Scores, value: float) -> list[Event]:
        if self.event is not None:
            return self._go_on(self.event, scores, value)
        if self.spent:
            self.spent = value >= self.rule.release
            return []
        if self._blocked(scores) is not None:
            self.recent.clear()  # what was heard before counts for nothing after
            self.candidate = None
            return []
        return self._watch(scores, value)

    def _watch(self, scores: Scores, value: float) -> list[Event]:
        self.recent.append((scores, value))
        hits = [(window, score) for window, score in self.recent if score >= self.rule.threshold]
        if not hits:
            self.candidate = None
            return []
        self.candidate = self.candidate or hits[0][0]
        lasted = scores.stop - self.candidate.stop + self.rule.hop
        if value < self.rule.threshold or len(hits) < self.rule.hits or lasted < self.rule.min_duration:
            return []
        peak = max(score for _, score in hits)
        start = self._onset(self.candidate)
        self.event = Event(
            id=ulid(self._time_of(self.candidate, start)),
            source=scores.source,
            label=self.rule.label,
            start=start,
            stop=None,
            started_at=self._time_of(self.candidate, start),
            ended_at=None,
            score=peak,
            peak_score=peak,
            windows=len(hits),
            level_dbfs=scores.level_dbfs,
            uncertainty_seconds=(self.candidate.stop - self.candidate.start) / self.rule.rate,
        )
        self.last_heard = scores
        return [self.event]

    def _go_on(self, event: Event, scores: Scores, value: float) -> list[Event]:
        if value >= self.rule.release:
            self.last_heard = scores
            heard = value >= self.rule.threshold
            self.event = event = replace(
                event, peak_score=max(event.peak_score, value), windows=event.windows + heard
            )
        assert self.last_heard is not None  # noqa: S101 - set where the event is
        if scores.stop - self.last_heard.stop > self.rule.merge_gap:
            return self.end(EndReason.QUIET)
        if scores.stop - event.start >= self.rule.max_duration:
            ended = self.end(EndReason.MAX_DURATION)
            self.spent = value >= self.rule.release
            return ended
        return []

    def end(self, reason: EndReason) -> list[Event]:
        """End what is open; forget what was on its way to being confirmed."""
        event, last = self.event, self.last_heard
        self.recent.clear()
        self.candidate = self.event = self.last_heard = None
        self.spent = False
        if event is None or last is None:
            return []
        stop = max(self._offset(last), event.start + 1)
        self.not_before = last.stop + self.rule.cooldown
        return [replace(event, stop=stop, ended_at=self._time_of(last, stop), reason=reason)]

    def _onset(self, first: Scores) -> int:
        return max(first.start, first.stop - self._edge(first))

    def _offset(self, last: Scores) -> int:
        return min(last.stop, last.start + self._edge(last))

    def _edge(self, scores: Scores) -> int:
        return round(EDGE_SHARE * (scores.stop - scores.start) + self.rule.hop / 2)

    def _time_of(self, scores: Scores, index: int) -> float:
        return scores.ended_at - (scores.stop - index) / self.rule.rate


def _misses(rule: Rule) -> NearMisses:
    return NearMisses(rule.label, rate=rule.rate, threshold=rule.threshold, needed=rule.hits)


class Detector:
    """All labels of all sources.

    Parameters
    ----------
    rules : sequence of Rule
        One for each label, for a source that has none of its own.
    at : mapping of str to sequence of Rule
        Those of a source, by its name.
    """

    def __init__(self, rules: Sequence[Rule] = (), at: Mapping[str, Sequence[Rule]] | None = None) -> None:
        self._rules = rules
        self._at = dict(at or {})
        self._tracks: dict[str, dict[str, _Track]] = {}
        self._missed: deque[NearMiss] = deque(maxlen=UNTAKEN)

    def listen(self, at: Mapping[str, Sequence[Rule]]) -> list[Event]:
        """Go by other rules from now on; end the events of labels for which there is none any more."""
        self._at = dict(at)
        events: list[Event] = []
        for source, tracks in self._tracks.items():
            rules = {rule.label: rule for rule in self._rules_of(source)}
            for label in tracks.keys() - rules.keys():
                events += tracks.pop(label).end(EndReason.DISABLED)
            for label, rule in rules.items():
                if label in tracks:
                    tracks[label].follow(rule)
                else:
                    tracks[label] = _Track(rule)
        return events

    def labels(self, source: str) -> tuple[str, ...]:
        """What is listened for at a source."""
        return tuple(self._of(source))

    def update(self, scores: Scores) -> list[Event]:
        """Take the scores of the next window of a source; return what starts or ends with it."""
        tracks = self._of(scores.source)
        events: list[Event] = []
        for place, (label, value) in enumerate(zip(scores.labels, scores.values.tolist(), strict=True)):
            events += tracks[label].update(scores, value)
            self._miss(tracks[label].miss(scores, place))
        return events

    def missed(self) -> list[NearMiss]:
        """Take the near misses that are over since they were last taken, at most `UNTAKEN`."""
        missed = list(self._missed)
        self._missed.clear()
        return missed

    def interrupt(self, at: Break) -> list[Event]:
        """End what is open at a break of the audio; nothing is counted across it."""
        for track in self._of(at.source).values():
            self._miss(track.misses.interrupt(at.index))
        return self._end(at.source, EndReason(at.reason))

    def finish(self, reason: EndReason = EndReason.SHUTDOWN) -> list[Event]:
        """End everything that is open."""
        for tracks in self._tracks.values():
            for track in tracks.values():
                self._miss(track.misses.interrupt(0))
        return [event for source in self._tracks for event in self._end(source, reason)]

    def active(self, source: str) -> frozenset[str]:
        """Labels of this source that are an event now, or on their way to one."""
        return frozenset(
            label
            for label, track in self._of(source).items()
            if track.event is not None or track.candidate is not None
        )

    def _of(self, source: str) -> dict[str, _Track]:
        if source not in self._tracks:
            self._tracks[source] = {rule.label: _Track(rule) for rule in self._rules_of(source)}
        return self._tracks[source]

    def _miss(self, miss: NearMiss | None) -> None:
        if miss is not None:
            self._missed.append(miss)

    def _rules_of(self, source: str) -> Sequence[Rule]:
        return self._at.get(source, self._rules)

    def _end(self, source: str, reason: EndReason) -> list[Event]:
        tracks: Iterable[_Track] = self._of(source).values()
        return [event for track in tracks for event in track.end(reason)]


def ulid(at: float) -> str:
    """Return a ULID: 48 bits of milliseconds and 80 random bits in Crockford's base 32.

    Sorts by time as text (https://github.com/ulid/spec).
    """
    number = (int(at * 1000) & (1 << 48) - 1) << 80 | secrets.randbits(80)
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(digits[number >> shift & 31] for shift in range(125, -1, -5))
