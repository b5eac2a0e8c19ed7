"""Reader of the event store: queries from any number of threads at once."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from monitor.outputs.store import queries, timeline
from monitor.outputs.store.rows import (
    MAX_ROWS,
    Day,
    EventFilter,
    MissFilter,
    Page,
    QuestionError,
    StoredEvent,
    StoredListen,
    StoredNearMiss,
)
from monitor.system.boundary import boundary
from monitor.system.sqlite import BrokenDatabaseError, DatabaseError, limit_cache, translated

T = TypeVar("T")

ALL_EVENTS = EventFilter()
ALL_MISSES = MissFilter()

BUSY_SECONDS = 2.0
"""How long a query waits for a lock of another program."""

LONGEST_SECONDS = 3_600.0
"""An event of more is found only near its start."""

IDLE = 8
"""Idle connections that stay open."""


class StoreReader:
    """Query the file that a `Store` writes; every method may be called from any thread.

    All of them raise a `StoreError` if the file cannot be read now, does not exist yet, or is damaged; and a
    `QuestionError` if the question is invalid.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: list[tuple[int, sqlite3.Connection]] = []
        self._lock = threading.Lock()

    def events(
        self, wanted: EventFilter = ALL_EVENTS, *, after: str | None = None, limit: int = 50
    ) -> Page[StoredEvent]:
        """Return the newest events that match, at most 500, or those after a page."""
        return self._ask(lambda c: queries.find_events(c, wanted, after=after, limit=limit))

    def event(self, event_id: str) -> StoredEvent | None:
        """Return one event; None if the identifier is unknown."""
        return self._ask(lambda c: queries.find_event(c, event_id))

    def every_event(self, wanted: EventFilter = ALL_EVENTS) -> Iterator[StoredEvent]:
        """Yield all events that match, newest first."""
        after = None
        while True:
            page = self.events(wanted, after=after, limit=MAX_ROWS)
            yield from page.rows
            after = page.next
            if after is None:
                return

    def overlapping(self, source: str, since: float, until: float) -> tuple[StoredEvent, ...]:
        """Return events that overlap a stretch of time and began at most an hour before it."""
        wanted = EventFilter(since=since - LONGEST_SECONDS, until=until, sources=(source,))
        found = self.events(wanted, limit=MAX_ROWS).rows
        return tuple(event for event in found if event.ended_at is None or event.ended_at >= since)

    def misses(
        self, wanted: MissFilter = ALL_MISSES, *, after: str | None = None, limit: int = 50
    ) -> Page[StoredNearMiss]:
        """Return the newest near misses that match, at most 500, or those after a page."""
        return self._ask(lambda c: queries.find_misses(c, wanted, after=after, limit=limit))

    def listens(self, limit: int = 50) -> tuple[StoredListen, ...]:
        """Return the newest times that somebody heard a source live, newest first."""
        return self._ask(lambda c: queries.newest_listens(c, limit))

    def day(self, since: float, until: float) -> Day:
        """Return an overview of some time: events, and the highest scores and levels of each minute."""
        return self._ask(lambda c: timeline.day(c, since, until))

    def at_thresholds(
        self, label: str, *, since: float, until: float, source: str | None = None
    ) -> list[int]:
        """Estimate how many events a label would have had at the thresholds 0, 0.01 ... 1."""
        return self._ask(lambda c: timeline.at_thresholds(c, label, since=since, until=until, source=source))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        with translated(), self._connected() as connection:
            connection.execute("BEGIN")  # all parts of an answer see the same state
            try:
                return _answered(question, connection)
            finally:
                connection.rollback()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to the present file: a damaged one may have been set aside."""
        try:
            file = self.path.stat().st_ino
        except FileNotFoundError:
            raise DatabaseError("nothing is stored yet") from None
        with self._lock:
            known, connection = self._idle.pop() if self._idle else (file, None)
        if connection is not None and known != file:
            connection.close()
            connection = None
        if connection is None:
            uri = f"file:{quote(str(self.path.absolute()))}?mode=ro"
            connection = sqlite3.connect(
                uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            limit_cache(connection)
        try:
            yield connection
        except sqlite3.Error:
            connection.close()
            raise
        with self._lock:
            keep = len(self._idle) < IDLE
            if keep:
                self._idle.append((file, connection))
        if not keep:
            connection.close()


def _answered(question: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
    """Run a query; rows that cannot be converted are damage of the file."""
    with boundary(BrokenDatabaseError, "is damaged"):
        try:
            return question(connection)
        except (QuestionError, sqlite3.Error) as error:
            known = error
    raise known
