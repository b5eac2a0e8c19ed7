"""Replay of a source: the events that labels would have started, from what the memory has of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.config import LabelConfig
from monitor.detection.baseline import BASELINE_SECONDS
from monitor.detection.calibration import Calibration
from monitor.detection.prototypes import Prototypes
from monitor.detection.rules import Rule
from monitor.memory.label_replay import LabelReplay, Timeline
from monitor.memory.label_scores import Logits, logits
from monitor.memory.labels_file import LabelsInForce, labels_path, read_labels
from monitor.memory.reader import Chunk, MemoryReader, to_seconds
from monitor.memory.segment import BREAKS, Header, Kind
from monitor.types import EndReason, Event

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
        self._labels: dict[str, tuple[str, LabelReplay]] = {}
        """Fingerprint and replay of each label that is detected now, by its identifier."""
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
        in_force = watchlist
        self._labels = {}
        for chunk in self._reader.chunks(self._source, since, until):
            if not chunk.follows:
                yield from self._end(EndReason.RESTART)
                in_force = watchlist or self._labels_before(chunk)
            if in_force is not None and not self._labels:
                self._apply(in_force, chunk.segment.header)
            for part, changed in _parts(chunk):
                if changed is not None and watchlist is None:
                    in_force = self._read(changed) or in_force
                    if in_force is not None:
                        yield from self._change(in_force, chunk.segment.header)
                if in_force is not None:
                    yield from self._feed(in_force, part, chunk)
        yield from self._end(EndReason.SHUTDOWN)

    def _feed(self, watchlist: Watchlist, part: NDArray[np.intp], chunk: Chunk) -> list[Event]:
        """Return the events of some entries of a chunk, by time."""
        if not self._labels or not len(part):
            return []
        timeline, rows = _timeline(chunk, part)
        values: Logits = np.empty((0, len(watchlist.prototypes.labels)), dtype=np.float32)
        if len(rows):
            vectors = chunk.segment.vectors(int(rows[0]), int(rows[-1]) + 1)
            values = logits(vectors, watchlist.prototypes, self._calibration)
        found: list[Event] = []
        for label, (_, replay) in self._labels.items():
            column = np.ascontiguousarray(values[:, watchlist.prototypes.labels.index(label)])
            found += replay.feed(timeline, column)
        return sorted(found, key=lambda event: event.started_at if event.ended_at is None else event.ended_at)

    def _change(self, watchlist: Watchlist, header: Header) -> Iterator[Event]:
        """Apply other labels between two windows, in the order of the running monitor."""
        rules = {rule.label: rule for rule in watchlist.rules}
        for label in self._labels.keys() - rules.keys():
            yield from self._labels.pop(label)[1].end(EndReason.DISABLED)
        if not watchlist.armed:
            for _, replay in self._labels.values():
                yield from replay.end(EndReason.DISARMED)
        self._apply(watchlist, header)

    def _apply(self, watchlist: Watchlist, header: Header) -> None:
        prototypes, windows = watchlist.prototypes, round(BASELINE_SECONDS * header.rate / header.hop)
        fingerprints = dict(zip(prototypes.labels, prototypes.fingerprints, strict=True))
        by_fingerprint = dict(self._labels.values())
        before, self._labels = self._labels, {}
        for rule in watchlist.rules:
            fingerprint = fingerprints[rule.label]
            initial = (watchlist.baselines or {}).get(rule.label, self._calibration.baseline)
            replay = LabelReplay(rule, initial, windows)
            if rule.label in before:
                replay = before[rule.label][1]
                replay.apply(rule)
                if before[rule.label][0] != fingerprint:
                    replay.forget(initial)
            if fingerprint in by_fingerprint and by_fingerprint[fingerprint] is not replay:
                replay.remember(by_fingerprint[fingerprint].history)
            self._labels[rule.label] = fingerprint, replay

    def _end(self, reason: EndReason) -> Iterator[Event]:
        for _, replay in self._labels.values():
            yield from replay.end(reason)
        self._labels = {}

    def _labels_before(self, chunk: Chunk) -> Watchlist | None:
        """Return the labels that were in force before a chunk that begins within a run."""
        number = self._reader.labels_before(int(chunk.segment.path.stem))
        return None if number is None else self._read(number)

    def _read(self, number: int) -> Watchlist | None:
        found = read_labels(labels_path(self._reader.directory, number))
        return None if found is None else self._watchlist(found)

    def _watchlist(self, found: LabelsInForce) -> Watchlist:
        key = (repr(found.labels), *found.background)
        if key not in self._known:
            self._known = {key: self._build(found.labels, found.background)}
        rules = found.rules.get(self._source, ())
        return Watchlist(
            self._known[key], tuple(rules), armed=found.armed, baselines=found.baselines.get(self._source)
        )


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


def _timeline(chunk: Chunk, part: NDArray[np.intp]) -> tuple[Timeline, NDArray[np.intp]]:
    """Return the windows of some entries, one by one, and the numbers of their vectors."""
    entries, hop = chunk.entries[part], chunk.segment.header.hop
    is_break = entries["kind"] == Kind.BREAK
    counts = np.where(entries["kind"] == Kind.GATED, entries["count"], ~is_break).astype(np.int64)
    owners = np.repeat(np.arange(len(entries)), counts)
    ends = np.cumsum(counts)
    behind = ends[owners] - 1 - np.arange(len(owners))  # windows from each to the end of its run
    stops = entries["stop"][owners].astype(np.int64) - behind * hop
    ended_at = to_seconds(entries["ended_ns"][owners]) - behind * (hop / chunk.segment.header.rate)
    scored = np.flatnonzero(entries["kind"][owners] == Kind.WINDOW)
    breaks = [
        (int(ends[place]), EndReason(BREAKS[entries["reason"][place]])) for place in np.flatnonzero(is_break)
    ]
    timeline = Timeline(
        chunk.source,
        chunk.segment.header.length,
        stops,
        ended_at,
        entries["level"][owners].astype(np.float32),
        scored,
        entries["flags"][owners],
        breaks,
    )
    return timeline, entries["count"][owners[scored]].astype(np.intp)
