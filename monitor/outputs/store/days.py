"""Questions about minutes: a day at a glance, and what another threshold would have done."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.outputs.store import queries
from monitor.outputs.store.minutes import SECONDS, STEPS
from monitor.outputs.store.rows import MOST, Day, EventFilter, Lane

THRESHOLDS = 101
"""Thresholds from 0 to 1 that are tried, a hundredth apart."""

LONGEST_DAYS = 8


@dataclass(frozen=True, slots=True)
class _Row:
    """One minute of one source."""

    source: str
    place: int
    """Minutes since the beginning."""
    labels: tuple[str, ...]
    level_dbfs: float | None
    peaks: NDArray[np.uint8]
    agreed: NDArray[np.uint8]


def day(connection: sqlite3.Connection, since: float, until: float) -> Day:
    """Return what happened in a stretch of time of at most `LONGEST_DAYS`.

    Raises
    ------
    ValueError
        It is longer, or ends before it begins.
    """
    length = _length(since, until)
    peaks: dict[tuple[str, str], NDArray[np.uint8]] = {}
    levels: dict[str, list[float | None]] = {}
    for row in _minutes(connection, since, until):
        levels.setdefault(row.source, [None] * length)[row.place] = row.level_dbfs
        for label, peak in zip(row.labels, row.peaks, strict=True):
            key = row.source, label
            if key not in peaks:
                peaks[key] = np.zeros(length, np.uint8)
            peaks[key][row.place] = peak
    page = queries.find_events(connection, EventFilter(since=since, until=until), limit=MOST)
    counts = _events_of_pairs(connection, since, until)
    nothing = np.zeros(length, np.uint8)
    lanes = tuple(
        Lane(source, label, counts.get((source, label), 0), _scores(peaks.get((source, label), nothing)))
        for source, label in sorted(peaks.keys() | counts.keys())
    )
    return Day(
        since, until, lanes, {k: tuple(v) for k, v in levels.items()}, page.rows, page.next is not None
    )


def at_thresholds(
    connection: sqlite3.Connection, label: str, *, since: float, until: float, source: str | None = None
) -> list[int]:
    """Return about how many events a label would have had at each of the thresholds 0, 0.01 ... 1.

    Minutes in a row in which enough windows agreed count as one event, so sounds that came several times
    in a minute count once.

    Raises
    ------
    ValueError
        As for `day`.
    """
    length = _length(since, until)
    heard: dict[str, NDArray[np.uint8]] = {}
    for row in _minutes(connection, since, until):
        if label in row.labels and source in {None, row.source}:
            if row.source not in heard:
                heard[row.source] = np.zeros(length, np.uint8)
            heard[row.source][row.place] = row.agreed[row.labels.index(label)]
    steps = np.maximum(1, np.arange(THRESHOLDS) * STEPS // (THRESHOLDS - 1))[:, None]  # (thresholds, 1)
    totals = np.zeros(THRESHOLDS, dtype=np.intp)
    for agreed in heard.values():
        above = agreed[None] >= steps  # (thresholds, minutes)
        totals += above[:, 0] + (above[:, 1:] & ~above[:, :-1]).sum(axis=1)
    return [int(total) for total in totals]


def _length(since: float, until: float) -> int:
    """Minutes of a stretch of time."""
    if not 0 <= until - since <= LONGEST_DAYS * 86_400:
        raise ValueError(f"from since to until it may be 0 to {LONGEST_DAYS} days")
    return max(1, int(-(-until // SECONDS)) - int(since // SECONDS))


def _minutes(connection: sqlite3.Connection, since: float, until: float) -> Iterator[_Row]:
    first, after = int(since // SECONDS), int(-(-until // SECONDS))
    sets = {
        number: tuple(json.loads(labels))
        for number, labels in connection.execute("SELECT number, labels FROM label_sets")
    }
    # One step of the index for each source: DISTINCT would read all minutes that there are.
    sources = connection.execute(
        "WITH RECURSIVE heard (source) AS (SELECT min(source) FROM minutes UNION ALL"
        " SELECT (SELECT min(source) FROM minutes WHERE source > heard.source) FROM heard"
        " WHERE source IS NOT NULL) SELECT source FROM heard WHERE source IS NOT NULL"
    ).fetchall()
    query = (
        "SELECT minute, labels, level_dbfs, peaks, agreed FROM minutes"
        " WHERE source = ? AND minute >= ? AND minute < ? ORDER BY minute"
    )
    for (source,) in sources:
        for minute, number, level, peaks, agreed in connection.execute(query, [source, first, after]):
            yield _Row(
                source,
                minute - first,
                sets[number],
                level,
                np.frombuffer(peaks, np.uint8),
                np.frombuffer(agreed, np.uint8),
            )


def _events_of_pairs(
    connection: sqlite3.Connection, since: float, until: float
) -> dict[tuple[str, str], int]:
    query = (
        "SELECT source, label, count(*) FROM events INDEXED BY events_by_series"
        " JOIN series ON series.number = series WHERE series = ? AND started_at >= ? AND started_at < ?"
    )
    found = {}
    for (number,) in connection.execute("SELECT number FROM series").fetchall():
        source, label, events = connection.execute(query, [number, since, until]).fetchone()
        if events:
            found[source, label] = events
    return found


def _scores(steps: NDArray[np.uint8]) -> tuple[float, ...]:
    return tuple((steps / STEPS).round(3).tolist())
