"""Questions about events and near misses, each answered by an index; pages are found by the last row seen.

A question about some labels or sources is asked of each pair of them by itself, and the answers are merged:
each of these is a piece of one index, however rare the pair is.
"""

from __future__ import annotations

import heapq
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from monitor.outputs.store.rows import MOST, EventFilter, KeptEvent, KeptMiss, Page, QuestionError

PAIRS = 64
"""Pairs that are asked one by one; more of them are looked for in the index of all."""

FEW = 2000
"""Events with a high score that are looked at one by one; more of them lie close enough together in time."""

_EVENT = (
    "id, source, label, started_at, ended_at, score, peak, windows, level_dbfs, uncertainty, reason, late,"
    " clip, fate, review"
)
_MISS = "misses.number, source, label, at, seconds, score, threshold, reason, rival, hits, needed, level_dbfs"

_CURSOR = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)-(\d{1,18})")


@dataclass(frozen=True, slots=True)
class _Series:
    number: int
    source: str
    label: str


def find_events(
    connection: sqlite3.Connection, wanted: EventFilter, *, after: str | None = None, limit: int = 50
) -> Page[KeptEvent]:
    """Return the newest events that are wanted, or those after a page.

    Raises
    ------
    QuestionError
        ``after`` is not the ``next`` of a page.
    """
    limit = max(1, min(limit, MOST))
    series = _series(connection, wanted.sources, wanted.labels, wanted.text)
    conditions, values = _range("started_at", wanted.since, wanted.until, after)
    if wanted.min_score > 0:
        conditions.append("peak >= ?")
        values.append(wanted.min_score)
    if wanted.review is not None:
        conditions.append("review IS NULL" if wanted.review == "none" else f"review = '{wanted.review}'")
    if wanted.with_clip:
        conditions.append("clip IS NOT NULL")
    found = _newest(
        connection,
        "events",
        "started_at",
        conditions,
        values,
        series=series,
        indices=_indices(connection, wanted),
        limit=limit,
    )
    rows, following = _cut(found, limit)
    return Page(tuple(_events(connection, [number for _, number in rows])), following)


def find_event(connection: sqlite3.Connection, event_id: str) -> KeptEvent | None:
    """Return one event."""
    found = connection.execute("SELECT number FROM events WHERE id = ?", [event_id]).fetchone()
    return None if found is None else next(iter(_events(connection, [found[0]])), None)


def find_misses(
    connection: sqlite3.Connection,
    *,
    since: float | None = None,
    until: float | None = None,
    sources: Sequence[str] = (),
    labels: Sequence[str] = (),
    reasons: Sequence[str] = (),
    after: str | None = None,
    limit: int = 50,
) -> Page[KeptMiss]:
    """Return the newest near misses that are wanted, or those after a page; raises as `find_events`."""
    limit = max(1, min(limit, MOST))
    series = _series(connection, sources, labels, "")
    conditions, values = _range("at", since, until, after)
    if reasons:
        conditions.append(f"reason IN ({_marks(reasons)})")
        values.extend(reasons)
    indices = ("misses_by_time", "misses_by_series")
    found = _newest(
        connection, "misses", "at", conditions, values, series=series, indices=indices, limit=limit
    )
    rows, following = _cut(found, limit)
    numbers = [number for _, number in rows]
    query = (
        f"SELECT {_MISS} FROM misses JOIN series ON series.number = series "  # noqa: S608
        f"WHERE misses.number IN ({_marks(numbers)}) ORDER BY at DESC, misses.number DESC"
    )
    return Page(tuple(KeptMiss(*row) for row in connection.execute(query, numbers)), following)


def _indices(connection: sqlite3.Connection, wanted: EventFilter) -> tuple[str, str]:
    """Where to look: among all events, and among those of one pair."""
    if wanted.review in {"right", "wrong"}:
        return "events_by_review", "events_by_review"
    if wanted.min_score > 0:
        query = (
            "SELECT count(*) FROM (SELECT 1 FROM events INDEXED BY events_by_peak WHERE peak >= ? LIMIT ?)"
        )
        (some,) = connection.execute(query, [wanted.min_score, FEW + 1]).fetchone()
        if some <= FEW:
            return "events_by_peak", "events_by_peak"
    return "events_by_time", "events_by_series"


def _all_series(connection: sqlite3.Connection) -> list[_Series]:
    query = "SELECT number, source, label FROM series ORDER BY source, label"
    return [_Series(*row) for row in connection.execute(query)]


def _series(
    connection: sqlite3.Connection, sources: Sequence[str], labels: Sequence[str], text: str
) -> list[int] | None:
    """Return the pairs that are meant; None for all of them."""
    words = text.casefold().split()
    if not (sources or labels or words):
        return None
    titles = dict(connection.execute("SELECT label, title FROM titles").fetchall()) if words else {}
    return [
        each.number
        for each in _all_series(connection)
        if (not sources or each.source in sources)
        and (not labels or each.label in labels)
        and _contains(f"{each.source} {each.label} {titles.get(each.label, '')}".casefold(), words)
    ]


def _contains(text: str, words: Iterable[str]) -> bool:
    return all(word in text for word in words)


def _range(
    column: str, since: float | None, until: float | None, after: str | None
) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if since is not None:
        conditions.append(f"{column} >= ?")
        values.append(since)
    if until is not None:
        conditions.append(f"{column} < ?")
        values.append(until)
    if after is not None:
        last = _CURSOR.fullmatch(after)
        if last is None:
            raise QuestionError(f"{after[:50]!r} is not the next of a page")
        conditions.append(f"({column}, number) < (?, ?)")
        values += [float(last[1]), int(last[2])]
    return conditions, values


def _newest(
    connection: sqlite3.Connection,
    table: str,
    column: str,
    conditions: Sequence[str],
    values: Sequence[Any],
    *,
    series: Sequence[int] | None,
    indices: tuple[str, str],
    limit: int,
) -> list[tuple[float, int]]:
    """Time and number of the newest rows, one more than asked for if there are more."""

    def ask(index: str, more: Sequence[str], series: Sequence[int]) -> list[tuple[float, int]]:
        where = " AND ".join([*more, *conditions]) or "1"
        query = (
            f"SELECT {column}, number FROM {table} INDEXED BY {index} WHERE {where}"  # noqa: S608 - no word of a user
            f" ORDER BY {column} DESC, number DESC LIMIT ?"
        )
        return connection.execute(query, [*series, *values, limit + 1]).fetchall()

    if series is None:
        return ask(indices[0], [], [])
    if len(series) > PAIRS or indices[0] == indices[1]:
        return ask(indices[0], [f"series IN ({_marks(series)})"], series)
    answers = [ask(indices[1], ["series = ?"], [number]) for number in series]
    return heapq.nlargest(limit + 1, (row for answer in answers for row in answer))


def _cut(found: Sequence[tuple[float, int]], limit: int) -> tuple[Sequence[tuple[float, int]], str | None]:
    rows = found[:limit]
    return rows, f"{rows[-1][0]:.6f}-{rows[-1][1]}" if len(found) > limit else None


def _events(connection: sqlite3.Connection, numbers: Sequence[int]) -> Iterable[KeptEvent]:
    query = (
        f"SELECT {_EVENT} FROM events JOIN series ON series.number = series"  # noqa: S608
        f" WHERE events.number IN ({_marks(numbers)}) ORDER BY started_at DESC, events.number DESC"
    )
    for row in connection.execute(query, numbers):
        event = KeptEvent(*row)
        yield replace(event, late=bool(event.late))


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
