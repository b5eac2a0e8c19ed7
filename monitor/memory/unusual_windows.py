"""Unusual sounds: windows unlike anything that the same source had at that time of day in the last week."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.config import UnusualLabel
from monitor.detection.alarm_clusters import Heard
from monitor.detection.alarm_rate import AlarmThreshold, NoThreshold, alarm_threshold
from monitor.detection.nearest_neighbours import Whiten, coreset, distances, thinned
from monitor.detection.quantised import restored
from monitor.detection.rules import rule_of
from monitor.memory.memory_reader import MemoryReader
from monitor.types import Embeddings

DAYS = 7
DAY_SECONDS, HOUR_SECONDS = 86_400.0, 3_600.0

NEWEST_SECONDS = 600.0
"""Windows newer than this are no neighbours: what lasts for minutes would be like itself."""

LEAST_SECONDS = 2 * DAY_SECONDS
"""A source must be remembered for this long: the nights of one day say little of the next."""

_BEFORE = 1e-3
"""Seconds by which an hour ends before the next: the reader's periods include their ends."""


@dataclass(frozen=True, slots=True)
class UnusualMoment:
    """A stretch of unusual sound."""

    source: str
    started_at: float
    """Unix seconds of the end of its first unusual window."""
    ended_at: float
    """Unix seconds of the end of its last."""
    peak_at: float
    """Unix seconds of the end of its most unusual window."""
    distance: float
    """Cosine distance of that window to its nearest neighbour, whitened."""
    embedding: NDArray[np.float32]
    """Of that window, shape (d,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """How unlike its neighbours each window of a source is."""

    source: str
    heard: Heard
    """Start levels of the distances by 2 of 3 windows."""
    distances: NDArray[np.float32]
    """Shape (n,)."""
    embeddings: Embeddings
    """Shape (n, d)."""

    def threshold(self, per_hour: float) -> AlarmThreshold | NoThreshold:
        """Return the distance that this many stretches an hour exceed."""
        return alarm_threshold(self.heard, per_hour)

    def moments(self, threshold: float) -> list[UnusualMoment]:
        """Return the stretches above a threshold, in the order of time."""
        above = np.flatnonzero(self.heard.levels >= threshold)
        if not len(above):
            return []
        ended_at = self.heard.ended_at
        gaps = np.flatnonzero(np.diff(ended_at[above]) > self.heard.apart_seconds) + 1
        return [self._moment(part) for part in np.split(above, gaps)]

    def _moment(self, part: NDArray[np.intp]) -> UnusualMoment:
        ended_at = self.heard.ended_at
        peak = int(part[np.argmax(self.distances[part])])
        return UnusualMoment(
            self.source,
            float(ended_at[part[0]]),
            float(ended_at[part[-1]]),
            float(ended_at[peak]),
            float(self.distances[peak]),
            self.embeddings[peak],
        )


def unusual_distances(
    reader: MemoryReader,
    source: str,
    since: float,
    until: float,
    whiten: Whiten,
    *,
    later_days: bool = False,
) -> Distances | None:
    """Return how unlike its neighbours each window of a source is; None if none can be compared.

    Parameters
    ----------
    reader : MemoryReader
    source : str
    since, until : float
        Unix seconds.
    whiten : callable
        From `whitening`.
    later_days : bool
        Whether later days count as neighbours as well: what is usual is then known of the first day too.

    Raises
    ------
    MemoryFormatError
        A segment cannot be read.
    """
    times, unlike, rows, seconds = [], [], [], 0.0
    for begin in np.arange(since // HOUR_SECONDS * HOUR_SECONDS, until, HOUR_SECONDS).tolist():
        ended_at, embeddings, hop = _windows(
            reader, source, max(since, begin), min(until, begin + HOUR_SECONDS - _BEFORE)
        )
        spans = spans_before(begin) + (spans_after(begin) if later_days else [])
        neighbours = neighbours_in(reader, source, spans) if len(embeddings) else embeddings
        if len(neighbours):
            times.append(ended_at)
            rows.append(embeddings)
            unlike.append(distances(whiten(embeddings), coreset(whiten(neighbours))))
            seconds += hop * len(embeddings)
    if not times:
        return None
    every = np.concatenate(unlike)
    rule = rule_of(UnusualLabel(), rate=1000, hop=round(1000 * seconds / len(every)))
    heard = Heard.of(np.concatenate(times), every, rule)
    return Distances(source, heard, every, np.concatenate(rows))


Spans = list[tuple[float, float]]
"""Begins and ends, in Unix seconds."""


def spans_before(begin: float) -> Spans:
    """Return when the neighbours of the windows of an hour were heard.

    In the last days within an hour of that time of day, and in the hour before but for the newest minutes.
    """
    return [*map(_of_day(begin), range(-DAYS, 0)), (begin - HOUR_SECONDS, begin - NEWEST_SECONDS)]


def spans_after(begin: float) -> Spans:
    """Return the same of the days after an hour."""
    return list(map(_of_day(begin), range(1, DAYS + 1)))


def _of_day(begin: float) -> Callable[[int], tuple[float, float]]:
    def span(day: int) -> tuple[float, float]:
        at = begin + day * DAY_SECONDS
        return at - HOUR_SECONDS, at + 2 * HOUR_SECONDS - _BEFORE

    return span


def neighbours_in(reader: MemoryReader, source: str, spans: Spans) -> Embeddings:
    """Return the windows in spans of time, thinned out evenly, shape (n, d)."""
    parts = [chunk.vectors for span in spans for chunk in reader.chunks(source, *span)]
    if not parts:
        return np.empty((0, 0), dtype=np.float32)
    return restored(thinned(np.concatenate(parts)))


def _windows(
    reader: MemoryReader, source: str, since: float, until: float
) -> tuple[NDArray[np.float64], Embeddings, float]:
    """Return times and embeddings of the scored windows, and the seconds between two."""
    times, rows, hop = [], [], 1.0
    for chunk in reader.chunks(source, since, until):
        times.append(chunk.ended_at)
        rows.append(restored(chunk.vectors))
        hop = chunk.segment.header.hop / chunk.segment.header.rate
    if not times:
        return np.empty(0), np.empty((0, 0), dtype=np.float32), hop
    return np.concatenate(times), np.concatenate(rows), hop
