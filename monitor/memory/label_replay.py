"""Replay of one label at one source: the events that its windows would have started, as live.

The event code sees only windows that matter.  While the label is idle, its baseline is a quantile of the last
minute, and a cheap lower limit of it rules out nearly every window; the others are scored exactly.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detection import scoring
from monitor.detection.baseline import high_quantile
from monitor.detection.calibration import SHARE
from monitor.detection.event_machine import Active, Candidate, EventMachine, Idle
from monitor.detection.rules import Rule
from monitor.memory.label_scores import Logits, baseline_floor
from monitor.memory.segment import PATTERN_FLAGS
from monitor.types import EndReason, Event, Scores

_EMPTY = np.empty(0, dtype=np.float32)

_AT_ONCE = 4_096
"""Windows whose baselines are taken at once."""

_ROUNDING = 1e-3
"""Logits by which a window may miss the cheap limit and is scored exactly all the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Windows of one source in a row, scored or not."""

    source: str
    length: int
    """Samples in a window."""
    stops: NDArray[np.int64]
    """Sample index after each window, shape (n,)."""
    ended_at: NDArray[np.float64]
    """Unix seconds, shape (n,)."""
    levels: NDArray[np.float32]
    """Shape (n,)."""
    scored: NDArray[np.intp]
    """Places of the windows with scores, the unchanged ones included, shape (m,)."""
    flags: NDArray[np.uint16]
    """`PATTERN_FLAGS` and others of each window, shape (n,)."""
    distances: NDArray[np.float64]
    """Distance of each unusual window from the usual sounds, 0 of all others, shape (n,)."""
    breaks: Sequence[tuple[int, EndReason]] = ()
    """Places before which the audio is interrupted, in order."""

    def __len__(self) -> int:
        return len(self.stops)

    def window(self, place: int) -> Scores:
        """Return a window as the event code takes it, without scores."""
        stop = int(self.stops[place])
        return Scores(
            source=self.source,
            start=stop - self.length,
            stop=stop,
            ended_at=float(self.ended_at[place]),
            labels=(),
            values=_EMPTY,
            level_dbfs=float(self.levels[place]),
            patterns=_patterns(int(self.flags[place])),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Unseen:
    """Windows at the end of a timeline during which the label was idle."""

    timeline: Timeline
    start: int
    """Place of the first one."""
    logits: Logits
    """Of those that were scored."""
    history: Logits
    """Logits in the baseline before the first one."""

    def windows(self) -> Iterator[tuple[Scores, float]]:
        """Yield each window and its score."""
        history, logits = self.history, iter(self.logits)
        scored = set(self.timeline.scored[len(self.timeline.scored) - len(self.logits) :].tolist())
        for place in range(self.start, len(self.timeline)):
            score = 0.0
            if place in scored:
                logit = next(logits)
                score = _score(logit, high_quantile(history))
                history = np.append(history[1:], logit)
            yield self.timeline.window(place), score


class LabelReplay:
    """One label at one source; `feed` it with its windows in order.

    Parameters
    ----------
    rule : Rule
    history : array, shape (windows,)
        Logits in the baseline before the first window, oldest first.
    """

    def __init__(self, rule: Rule, history: Logits) -> None:
        self.history = history
        """Logits in the baseline, oldest first."""
        self.busy: list[int] = []
        """Places in the newest timeline with an event that lasts, or a candidate."""
        self._machine = EventMachine(rule)
        self._rule = rule
        self._unseen: _Unseen | None = None
        """Newest windows that the event code has not seen: the label was idle."""

    def apply(self, rule: Rule, history: Logits) -> None:
        """Use another rule and another baseline from the next window on; windows so far count."""
        if rule != self._rule:
            self._show()
        self._machine.apply(rule)
        self._rule, self.history = rule, history

    def end(self, reason: EndReason) -> list[Event]:
        """End the event that lasts, if any."""
        return self._machine.end(reason)

    def feed(self, timeline: Timeline, logits: Logits) -> list[Event]:
        """Return the events that start or end in these windows, each as it is then.

        Parameters
        ----------
        timeline : Timeline
        logits : array, shape (m,)
            Of the scored windows.
        """
        feed = _Feed(self._machine, self._rule, timeline, logits, self.history)
        if len(timeline) < self._rule.of:  # so short that windows before it still count
            self._show()
            return list(feed.run(self, whole=True))
        return list(feed.run(self))

    def keep(self, history: Logits, unseen: _Unseen | None, busy: list[int]) -> None:
        """Keep what is needed at the next window, and where the label was not idle."""
        self.history, self._unseen, self.busy = history, unseen, busy

    def _show(self) -> None:
        """Let the event code see the newest windows; none of them is a hit under the rule so far."""
        if self._unseen is not None:
            for window, score in self._unseen.windows():
                self._machine.update(window, score)
        self._unseen = None


class _Feed:
    """One call of `LabelReplay.feed`."""

    def __init__(
        self, machine: EventMachine, rule: Rule, timeline: Timeline, logits: Logits, history: Logits
    ) -> None:
        self._machine, self._rule, self._timeline, self._logits = machine, rule, timeline, logits
        self._size = len(history)
        self._ring = history
        """Logits in the baseline at `_from`."""
        self._from = 0
        """The scored window from which on the label is idle, and every logit counts in the baseline."""
        self._sequence = np.concatenate([history, logits])
        self._pure = self._hits(self._sequence)
        """Scored windows that reach the threshold if every logit before is in the baseline."""
        self._pure_from = 0
        """From this scored window on, `_pure` holds."""
        self._breaks = list(timeline.breaks)
        self._busy: list[int] = []

    def run(self, replay: LabelReplay, *, whole: bool = False) -> Iterator[Event]:
        """Yield the events; with ``whole``, the event code sees every window."""
        place, unseen = 0, None
        while place < len(self._timeline):
            if isinstance(self._machine.state, Idle) and not whole:
                found = self._next_hit(self._ordinal(place))
                if found is None:
                    break
                place = int(self._timeline.scored[found])
                self._advance(found)
            place = yield from self._follow(place, whole=whole)
        if isinstance(self._machine.state, Idle):
            unseen = self._leave_unseen(place)
            self._advance(len(self._logits))
        yield from self._interrupt(len(self._timeline))
        replay.keep(self._ring, unseen, self._busy)

    def _leave_unseen(self, place: int) -> _Unseen:
        """Return the newest windows from a place on, as many as may count under another rule."""
        broken = max((at for at, _ in self._timeline.breaks), default=0)
        start = max(place, len(self._timeline) - self._rule.of, broken)
        ordinal = self._ordinal(start)
        self._advance(ordinal)
        return _Unseen(self._timeline, start, self._logits[ordinal:], self._ring)

    def _ordinal(self, place: int) -> int:
        """Return how many scored windows there are before a place."""
        return int(np.searchsorted(self._timeline.scored, place))

    def _hits(self, sequence: Logits) -> NDArray[np.intp]:
        """Return which windows reach the threshold, if all logits before count in the baseline."""
        logits = sequence[self._size :]
        floor = np.maximum(baseline_floor(sequence, self._size), np.float32(-1e6))
        near = np.flatnonzero(logits >= self._needed() + SHARE * floor - _ROUNDING)
        if not len(near):
            return near
        before = np.lib.stride_tricks.sliding_window_view(sequence, self._size)
        parts = np.array_split(near, -(-len(near) // _AT_ONCE))
        values = [scoring.scores(logits[part], high_quantile(before[part].T)) for part in parts]
        return near[np.concatenate(values) >= self._rule.threshold]

    def _needed(self) -> float:
        """Logit of the threshold."""
        threshold = self._rule.threshold
        if threshold <= 0 or threshold >= 1:
            return -math.inf
        return math.log(threshold / (1 - threshold))

    def _next_hit(self, first: int) -> int | None:
        """Return the next scored window that reaches the threshold while the label is idle."""
        last = min(self._pure_from, len(self._logits))
        if first < last:
            hits = self._hits(np.concatenate([self._ring, self._logits[self._from : last]])) + self._from
            place = int(np.searchsorted(hits, first))
            if place < len(hits):
                return int(hits[place])
        place = int(np.searchsorted(self._pure, max(first, self._pure_from)))
        return int(self._pure[place]) if place < len(self._pure) else None

    def _advance(self, ordinal: int) -> None:
        """Take the logits up to a scored window into the baseline: the label was idle all the time."""
        self._ring = np.concatenate([self._ring, self._logits[self._from : ordinal]])[-self._size :]
        self._from = ordinal

    def _interrupt(self, place: int) -> Iterator[Event]:
        while self._breaks and self._breaks[0][0] <= place:
            yield from self._machine.end(self._breaks.pop(0)[1])

    def _follow(self, place: int, *, whole: bool) -> Generator[Event, None, int]:
        """Give windows to the event code until the label is idle again; return the place behind them."""
        machine, timeline = self._machine, self._timeline
        while self._breaks and self._breaks[0][0] < place:
            self._breaks.pop(0)  # nothing lasted then
        ordinal = self._ordinal(place)
        ring, frozen_at = self._ring, -1
        baseline = high_quantile(ring)
        first = True
        while place < len(timeline):
            if self._breaks and self._breaks[0][0] == place:
                yield from self._interrupt(place)
            if not first and not whole and isinstance(machine.state, Idle):
                break
            first = False
            if ordinal < len(timeline.scored) and timeline.scored[ordinal] == place:
                frozen = isinstance(machine.state, Active | Candidate)
                yield from machine.update(timeline.window(place), _score(self._logits[ordinal], baseline))
                if frozen:
                    frozen_at = ordinal
                else:
                    ring = np.concatenate([ring[1:], self._logits[ordinal : ordinal + 1]])
                    baseline = high_quantile(ring)
                ordinal += 1
            else:
                yield from machine.update(timeline.window(place), 0.0)
            if isinstance(machine.state, Active | Candidate):
                self._busy.append(place)
            place += 1
        self._ring, self._from = ring, ordinal
        if frozen_at >= 0:
            self._pure_from = frozen_at + 1 + self._size
        return place


def _patterns(flags: int) -> frozenset[str]:
    return frozenset(name for name, flag in PATTERN_FLAGS.items() if flags & flag)


def _score(logit: Logits, baseline: Logits) -> float:
    return float(scoring.scores(logit, baseline))
