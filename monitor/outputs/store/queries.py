"""Queries of events and near misses, each answered from an index, page by page.

A query of some labels or sources is made for each series (a pair of a source and a label) and the answers
are merged: each reads one piece of an index, however rare the series is.
"""

from __future__ import annotations

import heapq
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.outputs.payload import event_payload
from monitor.outputs.store.rows import (
    MAX_ROWS,
    EventFilter,
    Filter,
    MissFilter,
    Page,
    QuestionError,
    StoredEvent,
    StoredListen,
    StoredNearMiss,
)
from monitor.types import Event

MAX_SERIES = 64
"""Series that are queried one by one; more of them are looked up in the index of all."""

FEW = 2000
"""Events with a high score that are read one by one; more of them lie close enough together in time."""

_EVENT = (
    "coalesce(title, series.label), late, review, like_sentences, id, source, series.label, started_at,"
    " ended_at, score, peak, windows, level_dbfs, uncertainty, reason, clip, fate"
)
_EVENT_FIELDS = (
    "id", "source", "label", "started_at", "ended_at", "score", "peak_score", "windows", "level_dbfs",
    "uncertainty_seconds", "reason", "clip", "clip_outcome",
)  # fmt: skip
_MISS = "misses.number, source, label, at, seconds, score, threshold, reason, rival, hits, needed, level_dbfs"

_CURSOR = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)-(\d{1,18})")


@dataclass(frozen=True, slots=True)
class _Search:
    """Rows of a table: which, and where to look for them."""

    table: str
    column: str
    """Of the time."""
    conditions: Sequence[str]
    values: Sequence[Any]
    """Of the conditions."""
    series: Sequence[int] | None
    """None for all."""
    indices: tuple[str, str]
    """Among all rows, and among those of one series."""


def find_events(
    connection: sqlite3.Connection, wanted: EventFilter, *, after: str | None = None, limit: int = 50
) -> Page[StoredEvent]:
    """Return the newest events that match, or those after a page.

    Raises
    ------
    QuestionError
        ``after`` is not the ``next`` of a page.
    """
    conditions, values = _range("started_at", wanted, after)
    if wanted.min_score > 0:
        conditions.append("peak >= ?")
        values.append(wanted.min_score)
    if wanted.review is not None:
        conditions.append("review IS NULL" if wanted.review == "none" else f"review = '{wanted.review}'")
    if wanted.with_clip:
        conditions.append("clip IS NOT NULL")
    series = _series(connection, wanted, wanted.text)
    indices = _indices(connection, wanted)
    search = _Search("events", "started_at", conditions, values, series, indices)
    numbers, following = _page(connection, search, limit)
    return Page(tuple(_events(connection, numbers)), following)


def find_event(connection: sqlite3.Connection, event_id: str) -> StoredEvent | None:
    """Return one event."""
    found = connection.execute("SELECT number FROM events WHERE id = ?", [event_id]).fetchone()
    return None if found is None else next(iter(_events(connection, [found[0]])), None)


def find_misses(
    connection: sqlite3.Connection, wanted: MissFilter, *, after: str | None = None, limit: int = 50
) -> Page[StoredNearMiss]:
    """Return the newest near misses that match, or those after a page; raises as `find_events`."""
    conditions, values = _range("at", wanted, after)
    if wanted.reasons:
        conditions.append(f"reason IN ({_marks(wanted.reasons)})")
        values.extend(wanted.reasons)
    indices = ("misses_by_time", "misses_by_series")
    search = _Search("misses", "at", conditions, values, _series(connection, wanted), indices)
    numbers, following = _page(connection, search, limit)
    query = (
        f"SELECT {_MISS} FROM misses JOIN series ON series.number = series "  # noqa: S608
        f"WHERE misses.number IN ({_marks(numbers)}) ORDER BY at DESC, misses.number DESC"
    )
    return Page(tuple(StoredNearMiss(*row) for row in connection.execute(query, numbers)), following)


def newest_listens(connection: sqlite3.Connection, limit: int) -> tuple[StoredListen, ...]:
    """Return the newest times that somebody listened, newest first; an ``id`` sorts by time."""
    query = (
        "SELECT id, source, client, started_at, ended_at, reason, lost_seconds FROM listens"
        " ORDER BY id DESC LIMIT ?"
    )
    rows = connection.execute(query, [max(1, min(limit, MAX_ROWS))])
    return tuple(StoredListen(*row) for row in rows)


def _indices(connection: sqlite3.Connection, wanted: EventFilter) -> tuple[str, str]:
    """Return the index of all events to use, and that of one series."""
    if wanted.review in {"right", "wrong"}:
        return "events_by_review", "events_by_review"
    if wanted.min_score > 0:
        some_rows = "SELECT 1 FROM events INDEXED BY events_by_peak WHERE peak >= ? LIMIT ?"
        query = f"SELECT count(*) FROM ({some_rows})"  # noqa: S608 - no user input
        (some,) = connection.execute(query, [wanted.min_score, FEW + 1]).fetchone()
        if some <= FEW:
            return "events_by_peak", "events_by_peak"
    return "events_by_time", "events_by_series"


def _series(connection: sqlite3.Connection, wanted: Filter, text: str = "") -> list[int] | None:
    """Return the numbers of the series that match; None for all of them."""
    words = text.casefold().split()
    if not (wanted.sources or wanted.labels or words):
        return None
    titles = dict(connection.execute("SELECT label, title FROM titles").fetchall()) if words else {}
    return [
        number
        for number, source, label in connection.execute("SELECT number, source, label FROM series")
        if (not wanted.sources or source in wanted.sources)
        and (not wanted.labels or label in wanted.labels)
        and all(word in f"{source} {label} {titles.get(label, '')}".casefold() for word in words)
    ]


def _range(column: str, wanted: Filter, after: str | None) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if wanted.since is not None:
        conditions.append(f"{column} >= ?")
        values.append(wanted.since)
    if wanted.until is not None:
        conditions.append(f"{column} < ?")
        values.append(wanted.until)
    if after is not None:
        last = _CURSOR.fullmatch(after)
        if last is None:
            raise QuestionError(f"{after[:50]!r} is not the `next` value of a page")
        conditions.append(f"({column}, number) < (?, ?)")
        values += [float(last[1]), int(last[2])]
    return conditions, values


def _page(connection: sqlite3.Connection, search: _Search, limit: int) -> tuple[list[int], str | None]:
    """Return the numbers of the newest rows, at most ``limit``, and the cursor of the next page."""
    limit = max(1, min(limit, MAX_ROWS))
    found = _newest(connection, search, limit + 1)
    rows = found[:limit]
    cursor = f"{rows[-1][0]:.6f}-{rows[-1][1]}" if len(found) > limit else None
    return [number for _, number in rows], cursor


def _newest(connection: sqlite3.Connection, search: _Search, limit: int) -> list[tuple[float, int]]:
    """Return time and number of the newest rows."""

    def ask(index: str, more: Sequence[str], series: Sequence[int]) -> list[tuple[float, int]]:
        where = " AND ".join([*more, *search.conditions]) or "1"
        query = (
            f"SELECT {search.column}, number FROM {search.table} INDEXED BY {index} WHERE {where}"  # noqa: S608 - no user input
            f" ORDER BY {search.column} DESC, number DESC LIMIT ?"
        )
        return connection.execute(query, [*series, *search.values, limit]).fetchall()

    of_all, of_one = search.indices
    if search.series is None:
        return ask(of_all, [], [])
    if not search.series:  # SQLite refuses the partial index for an empty list
        return []
    if len(search.series) > MAX_SERIES or of_all == of_one:
        return ask(of_all, [f"series IN ({_marks(search.series)})"], search.series)
    answers = [ask(of_one, ["series = ?"], [number]) for number in search.series]
    return heapq.nlargest(limit, (row for answer in answers for row in answer))


def _events(connection: sqlite3.Connection, numbers: Sequence[int]) -> Iterator[StoredEvent]:
    query = (
        f"SELECT {_EVENT} FROM events JOIN series ON series.number = series"  # noqa: S608
        " LEFT JOIN titles ON titles.label = series.label"
        f" WHERE events.number IN ({_marks(numbers)}) ORDER BY started_at DESC, events.number DESC"
    )
    for label_name, late, review, like, *values in connection.execute(query, numbers):
        fields = dict(zip(_EVENT_FIELDS, values, strict=True))
        event = Event(**fields, start=0, stop=None, like=tuple((like or "").splitlines()))
        payload: dict[str, Any] = event_payload(event, label_name) | {"like": event.like}
        yield StoredEvent(**payload, late=bool(late), review=review)


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
