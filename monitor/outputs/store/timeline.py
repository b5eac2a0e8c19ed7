"""Timeline queries: a stretch of time by the minute, and the events at other thresholds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.outputs.store import queries
from monitor.outputs.store.minute_summary import SECONDS, STEPS
from monitor.outputs.store.rows import MAX_ROWS, Day, EventFilter, Lane, QuestionError

THRESHOLDS = 101
"""Thresholds from 0 to 1, a hundredth apart."""

MAX_DAYS = 8


@dataclass(frozen=True, slots=True)
class _Minutes:
    """Minutes of one source with the same labels."""

    source: str
    labels: tuple[str, ...]
    places: list[int]
    """Index of each minute, from the first one of the query."""
    levels: list[float | None]
    peaks: NDArray[np.uint8]
    """Shape (minutes, labels)."""
    agreed: NDArray[np.uint8]
    """Shape (minutes, labels)."""


def day(connection: sqlite3.Connection, since: float, until: float) -> Day:
    """Return an overview of at most `MAX_DAYS` days.

    Raises
    ------
    QuestionError
        The time is longer, or ends before it begins.
    """
    length = _length(since, until)
    peaks: dict[tuple[str, str], NDArray[np.uint8]] = {}
    levels: dict[str, list[float | None]] = {}
    for some in _minutes(connection, since, until):
        loudest = levels.setdefault(some.source, [None] * length)
        for place, level in zip(some.places, some.levels, strict=True):
            loudest[place] = level
        for column, label in enumerate(some.labels):
            lane = peaks.setdefault((some.source, label), np.zeros(length, np.uint8))
            lane[some.places] = some.peaks[:, column]
    page = queries.find_events(connection, EventFilter(since=since, until=until), limit=MAX_ROWS)
    counts = _events_by_series(connection, since, until)
    nothing = np.zeros(length, np.uint8)
    lanes = tuple(
        Lane(source, label, counts.get((source, label), 0), _scores(peaks.get((source, label), nothing)))
        for source, label in sorted(peaks.keys() | counts.keys())
    )
    loudest_of = {source: tuple(loudest) for source, loudest in levels.items()}
    return Day(since, until, lanes, loudest_of, page.rows, page.next is not None)


def at_thresholds(
    connection: sqlite3.Connection, label: str, *, since: float, until: float, source: str | None = None
) -> list[int]:
    """Estimate how many events a label would have had at each of the thresholds 0, 0.01 ... 1.

    Consecutive minutes in which enough windows agreed count as one event, so sounds that occur several times
    within a minute count once.  Raises as `day`.
    """
    length = _length(since, until)
    lanes: dict[str, NDArray[np.uint8]] = {}
    for some in _minutes(connection, since, until):
        if label in some.labels and source in {None, some.source}:
            lane = lanes.setdefault(some.source, np.zeros(length, np.uint8))
            lane[some.places] = some.agreed[:, some.labels.index(label)]
    steps = np.maximum(1, np.arange(THRESHOLDS) * STEPS // (THRESHOLDS - 1))[:, None]  # (thresholds, 1)
    totals = np.zeros(THRESHOLDS, dtype=np.intp)
    for agreed in lanes.values():
        above = agreed[None] >= steps  # (thresholds, minutes)
        totals += above[:, 0] + (above[:, 1:] & ~above[:, :-1]).sum(axis=1)
    return [int(total) for total in totals]


def _length(since: float, until: float) -> int:
    """Return the minutes from one time to another, each begun one as a whole."""
    if not 0 <= until - since <= MAX_DAYS * 86_400:
        raise QuestionError(f"since and until must be 0 to {MAX_DAYS} days apart")
    return max(1, int(-(-until // SECONDS)) - int(since // SECONDS))


def _minutes(connection: sqlite3.Connection, since: float, until: float) -> Iterator[_Minutes]:
    first, after = int(since // SECONDS), int(-(-until // SECONDS))
    sets = {
        number: tuple(json.loads(labels))
        for number, labels in connection.execute("SELECT number, labels FROM label_sets")
    }
    # One step of the index for each source: DISTINCT would read all minutes.
    sources = connection.execute(
        "WITH RECURSIVE found (source) AS (SELECT min(source) FROM minutes UNION ALL"
        " SELECT (SELECT min(source) FROM minutes WHERE source > found.source) FROM found"
        " WHERE source IS NOT NULL) SELECT source FROM found WHERE source IS NOT NULL"
    ).fetchall()
    query = (
        "SELECT labels, minute - ?, level_dbfs, peaks, agreed FROM minutes"
        " WHERE source = ? AND minute >= ? AND minute < ?"
    )
    for (source,) in sources:
        alike: dict[int, list[tuple[int, float | None, bytes, bytes]]] = {}
        for number, *row in connection.execute(query, [first, source, first, after]):
            alike.setdefault(number, []).append(tuple(row))
        for number, rows in alike.items():
            places, levels, *blobs = zip(*rows, strict=True)
            shape = (len(rows), len(sets[number]))
            peaks, agreed = (np.frombuffer(b"".join(each), np.uint8).reshape(shape) for each in blobs)
            yield _Minutes(source, sets[number], list(places), list(levels), peaks, agreed)


def _events_by_series(
    connection: sqlite3.Connection, since: float, until: float
) -> dict[tuple[str, str], int]:
    query = (
        "SELECT source, label, (SELECT count(*) FROM events INDEXED BY events_by_series"
        " WHERE events.series = series.number AND started_at >= ? AND started_at < ?) FROM series"
    )
    counts = connection.execute(query, [since, until])
    return {(source, label): events for source, label, events in counts if events}


def _scores(steps: NDArray[np.uint8]) -> tuple[float, ...]:
    return tuple((steps / STEPS).round(3).tolist())
