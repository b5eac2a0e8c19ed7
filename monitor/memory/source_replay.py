"""Replay of a source: the events that labels would have started, from what the memory has of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.config import UNUSUAL, LabelConfig
from monitor.detection.baseline import BASELINE_SECONDS
from monitor.detection.calibration import Calibration
from monitor.detection.prototypes import Prototypes
from monitor.detection.quantised import DISTANCE_UNITS
from monitor.detection.rules import Rule
from monitor.memory.label_replay import LabelReplay, Timeline
from monitor.memory.label_scores import Logits, logits_at
from monitor.memory.labels_file import LabelsInForce, labels_path, read_labels
from monitor.memory.memory_reader import Chunk, MemoryReader, to_seconds
from monitor.memory.segment import BREAKS, DISTANCE_SHIFT, GATES, Header, Kind, MemoryFormatError
from monitor.memory.unusual_replay import UnusualReplay
from monitor.types import EndReason, Event, GateReason

BuildPrototypes = Callable[[Sequence[LabelConfig], Sequence[str]], Prototypes]
"""Labels and background to their prototypes: `Engine.build_prototypes`."""


@dataclass(frozen=True, slots=True, eq=False)
class Watchlist:
    """Labels, with what their scores and events need."""

    prototypes: Prototypes
    rules: tuple[Rule, ...]
    """Of the labels that the source detects."""
    armed: bool = True
    baselines: Mapping[str, float] | None = None
    """Logit of labels without a history."""
    unusual: bool = False
    """Whether unusual sounds count too, by the distances and thresholds that were in force."""


class SourceReplay:
    """Replays one source.

    Parameters
    ----------
    reader : MemoryReader
    source : str
    calibration : Calibration
    build : callable
        Embeds the prompts of labels.
    """

    def __init__(
        self, reader: MemoryReader, source: str, calibration: Calibration, build: BuildPrototypes
    ) -> None:
        self._reader, self._source = reader, source
        self._calibration, self._build = calibration, build
        self._labels: dict[str, LabelReplay] = {}
        """Of each label that is detected now, by its identifier."""
        self._histories: dict[str, Logits] = {}
        """Logits in the baseline of each label that this source does not detect, by its identifier."""
        self._unusual = UnusualReplay()
        self._in_force: Watchlist | None = None
        self._number: int | None = None
        """Number of the labels file in force."""
        self._known: dict[tuple[str, ...], Prototypes] = {}

    def events(
        self, watchlist: Watchlist | None = None, since: float = 0.0, until: float = float("inf")
    ) -> Iterator[Event]:
        """Yield starts and ends of events in the order of time.

        Parameters
        ----------
        watchlist : Watchlist or None
            The labels; None for those that were in force, as they changed.
        since, until : float
            Unix seconds.
        """
        for chunk in self._reader.chunks(self._source, since, until):
            if not chunk.follows:
                yield from self._end(EndReason.RESTART)
                if watchlist is not None:
                    yield from self._change(watchlist, chunk.segment.header)
                yield from self._recorded(chunk.labels_before, watchlist, chunk.segment.header)
            for part, number in _parts(chunk):
                yield from self._recorded(number, watchlist, chunk.segment.header)
                yield from self._feed(part, chunk)
        yield from self._end(EndReason.SHUTDOWN)

    def _recorded(self, number: int | None, watchlist: Watchlist | None, header: Header) -> Iterator[Event]:
        """Apply a labels file: its labels if no others are tried, and the rule of unusual sounds."""
        if watchlist is not None and not watchlist.unusual:
            return
        found = self._changed(number)
        if found is None:
            return
        if watchlist is None:
            yield from self._change(self._watchlist(found), header)
        self._unusual.apply(_unusual_rule(found, self._source))

    def _feed(self, part: NDArray[np.intp], chunk: Chunk) -> list[Event]:
        """Return the events of some entries of a chunk, by time."""
        if self._in_force is None or not len(part):
            return []
        timeline, rows = timeline_of(chunk, part)
        prototypes = self._in_force.prototypes
        try:
            values = logits_at(chunk.segment, rows, prototypes, self._calibration)
        except MemoryFormatError as error:
            self._reader.report(chunk.segment.path, error)
            return []
        found: list[Event] = []
        for column, label in zip(np.ascontiguousarray(values.T), prototypes.labels, strict=True):
            if label in self._labels:
                found += self._labels[label].feed(timeline, column)
            else:
                history = self._histories[label]
                self._histories[label] = np.concatenate([history, column])[-len(history) :]
        labelled = np.zeros(len(timeline), dtype=bool)
        for replay in self._labels.values():
            labelled[replay.busy] = True
        found += self._unusual.feed(timeline, labelled)
        return sorted(found, key=lambda event: event.started_at if event.ended_at is None else event.ended_at)

    def _change(self, watchlist: Watchlist, header: Header) -> Iterator[Event]:
        """Apply other labels between two windows, in the order of the running monitor."""
        rules = {rule.label: rule for rule in watchlist.rules}
        for label in self._labels.keys() - rules.keys():
            yield from self._labels[label].end(EndReason.DISABLED)
        if not watchlist.armed:
            for label in self._labels.keys() & rules.keys():
                yield from self._labels[label].end(EndReason.DISARMED)
            yield from self._unusual.end(EndReason.DISARMED)
        self._apply(watchlist, header)

    def _apply(self, watchlist: Watchlist, header: Header) -> None:
        """Carry over machines by label, and baselines by what the labels sound like, as `Scorer.apply`."""
        windows = max(1, round(BASELINE_SECONDS * header.rate / header.hop))
        known = self._known_histories()
        before, self._labels, self._histories = self._labels, {}, {}
        rules = {rule.label: rule for rule in watchlist.rules}
        prototypes, baselines = watchlist.prototypes, watchlist.baselines or {}
        for label, fingerprint in zip(prototypes.labels, prototypes.fingerprints, strict=True):
            initial = baselines.get(label, self._calibration.baseline)
            history = known.get(fingerprint, np.full(windows, initial, dtype=np.float32))
            if label in rules:
                replay = before.get(label) or LabelReplay(rules[label], history)
                replay.apply(rules[label], history)
                self._labels[label] = replay
            else:
                self._histories[label] = history
        self._in_force = watchlist

    def _known_histories(self) -> dict[str, Logits]:
        """Return the logits in the baselines by the fingerprint of a label."""
        if self._in_force is None:
            return {}
        prototypes = self._in_force.prototypes
        histories = self._histories | {label: replay.history for label, replay in self._labels.items()}
        return {
            fingerprint: histories[label]
            for label, fingerprint in zip(prototypes.labels, prototypes.fingerprints, strict=True)
        }

    def _end(self, reason: EndReason) -> Iterator[Event]:
        for replay in self._labels.values():
            yield from replay.end(reason)
        yield from self._unusual.end(reason)
        self._labels, self._histories, self._in_force, self._number = {}, {}, None, None
        self._unusual = UnusualReplay()

    def _changed(self, number: int | None) -> LabelsInForce | None:
        """Return the content of a labels file; None if it is in force already, or cannot be read."""
        if number is None or number == self._number:
            return None
        self._number = number
        return read_labels(labels_path(self._reader.directory, number))

    def _watchlist(self, found: LabelsInForce) -> Watchlist:
        key = (repr(found.labels), *found.background)
        if key not in self._known:
            self._known = {key: self._build(found.labels, found.background)}
        rules = found.rules.get(self._source, ())
        return Watchlist(
            self._known[key], tuple(rules), armed=found.armed, baselines=found.baselines.get(self._source)
        )


def _unusual_rule(found: LabelsInForce, source: str) -> Rule | None:
    """Return the rule of unusual sounds; None if they were not looked for."""
    if any(label.id == UNUSUAL for label in found.labels):  # a label of a user, from before
        return None
    return next((rule for rule in found.rules.get(source, ()) if rule.label == UNUSUAL), None)


def _parts(chunk: Chunk) -> Iterator[tuple[NDArray[np.intp], int | None]]:
    """Yield the places of entries between two changes of labels, each with the change before them."""
    changes = np.flatnonzero(chunk.entries["kind"] == Kind.LABELS).tolist()
    places = np.arange(len(chunk.entries))
    begin, number = 0, None
    for change in [*changes, len(places)]:
        if number is not None or change > begin:
            yield places[begin:change], number
        begin = change + 1
        number = int(chunk.entries["stop"][change]) if change < len(places) else None


def timeline_of(chunk: Chunk, part: NDArray[np.intp]) -> tuple[Timeline, NDArray[np.intp]]:
    """Return the windows of some entries, one by one, and the numbers of the vectors of those with scores.

    An unchanged window has the scores of the last vector before it; the first of a chunk may have none.
    """
    entries, hop = chunk.entries[part], chunk.segment.header.hop
    vector = _vectors_in_force(chunk.entries)[part]
    unchanged = (entries["kind"] == Kind.GATED) & (entries["reason"] == GATES.index(GateReason.UNCHANGED))
    has_scores = (entries["kind"] == Kind.WINDOW) | (unchanged & (vector >= 0))
    is_break = entries["kind"] == Kind.BREAK
    counts = np.where(entries["kind"] == Kind.GATED, entries["count"], ~is_break).astype(np.int64)
    owners = np.repeat(np.arange(len(entries)), counts)
    ends = np.cumsum(counts)
    behind = ends[owners] - 1 - np.arange(len(owners))  # windows from each to the end of its run
    stops = entries["stop"][owners].astype(np.int64) - behind * hop
    ended_at = to_seconds(entries["ended_ns"][owners]) - behind * (hop / chunk.segment.header.rate)
    scored = np.flatnonzero(has_scores[owners])
    breaks = [(int(ends[place]), BREAKS[entries["reason"][place]]) for place in np.flatnonzero(is_break)]
    timeline = Timeline(
        chunk.source,
        chunk.segment.header.length,
        stops,
        ended_at,
        entries["level"][owners].astype(np.float32),
        scored,
        entries["flags"][owners],
        (entries["flags"] >> DISTANCE_SHIFT)[owners] / DISTANCE_UNITS,
        breaks,
    )
    return timeline, vector[owners[scored]]


def _vectors_in_force(entries: NDArray[np.void]) -> NDArray[np.intp]:
    """Return the number of the newest vector at each entry, -1 before the first."""
    windows = entries["kind"] == Kind.WINDOW
    numbers = entries["count"][windows].astype(np.intp)
    place = np.cumsum(windows) - 1
    in_force: NDArray[np.intp] = np.where(place >= 0, np.append(numbers, -1)[place], -1)
    return in_force
