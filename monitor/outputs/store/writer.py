"""Event store writer: one thread writes all changes, so that no other thread waits for the disk.

Starts and ends of events, near misses, minutes and outcomes of clips are queued and written together.  While
the file cannot be used they wait in memory; if too many wait, the oldest are dropped and counted.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from monitor.config import LabelConfig, StoreConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.near_misses import NearMiss
from monitor.detection.rules import Rule
from monitor.outputs import Output
from monitor.outputs.live.listening import Listen
from monitor.outputs.outbox import Outbox
from monitor.outputs.store import operations
from monitor.outputs.store.database import open_for_writing
from monitor.outputs.store.minute_summary import MinuteSummaries
from monitor.outputs.store.operations import Change, RefusedChangeError, apply_change
from monitor.outputs.store.retention import Retention, newest
from monitor.outputs.store.rows import Mark, StoreError
from monitor.outputs.store.user_requests import UserRequests
from monitor.system.atomic_file import identity
from monitor.system.sqlite import BrokenDatabaseError, DatabaseError, translated
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.system.wall_clock import WallClock
from monitor.types import ClipOutcome, Event, Scores

log = logging.getLogger(__name__)

IN_MEMORY = 20_000
"""Changes that may wait for the disk; a busy day has a few thousand."""

AT_ONCE = 1000
"""Changes in one transaction."""

LATE_SECONDS = 3.0
END_SECONDS = 3.0
"""After `close`, how long transactions are still begun; changes that wait then are lost, and logged."""

LOGGED = 500
"""Characters of a refused change in the log."""

RETRY_SECONDS = 5.0


class Store(Output):
    """Store of events, near misses and minutes; `run` is the body of its thread, the rest is thread-safe.

    Indices in near misses count samples of ``rate``.  ``remove_clip`` deletes the clip with a path; it is
    called in the thread of the store.  A file that could not be used is opened again after ``retry_seconds``.
    """

    def __init__(
        self,
        path: Path,
        config: StoreConfig,
        *,
        rate: int,
        clock: WallClock | None = None,
        remove_clip: Callable[[str], object] = lambda _: None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self.path = path
        self.written = 0
        """Changes in the file."""
        self.refused = 0
        """Changes that the tables cannot hold."""
        self.trouble: str | None = None
        """Why nothing can be written now."""
        self._rate = rate
        self._retry_seconds = retry_seconds
        self._remove_clip = remove_clip
        self._minutes = MinuteSummaries()
        self._new: list[Change] = [partial(operations.end_interrupted)]
        self._outbox: Outbox[Change] = Outbox(self._new.append, IN_MEMORY)
        self._requests = UserRequests()
        self._writers = {"analysis"}
        self._wake = threading.Event()
        self._connection: sqlite3.Connection | None = None
        self._clock = clock or WallClock()
        self._retention = Retention(config, self._clock)
        self._try_at = 0.0
        self._give_up_at = math.inf
        self._was_open = False
        self._identity: tuple[int, int] | None = None
        self._broken: BrokenDatabaseError | None = None
        self._log = TroubleLog(log)

    @property
    def waiting(self) -> int:
        """Changes that wait to be written."""
        return self._outbox.waiting + len(self._new)

    @property
    def dropped(self) -> int:
        """Changes that were dropped because too many waited."""
        return self._outbox.dropped

    def start(self, threads: ThreadGroup) -> None:
        """Start the thread of `run`, which a disk may hold up."""
        threads.start("store", self.run, may_stay=True)

    def on_event(self, event: Event, _label: LabelConfig) -> None:
        """Write the start or the end of an event."""
        put_at = time.monotonic()
        self._put(partial(operations.write_event, event, lambda: time.monotonic() - put_at > LATE_SECONDS))

    def on_near_miss(self, miss: NearMiss) -> None:
        """Write a near miss."""
        self._put(partial(operations.write_near_miss, miss, (miss.stop - miss.start) / self._rate))

    def on_scores(self, scores: Scores) -> None:
        """Add the scores of a window to its minute; called by one thread."""
        minute = self._minutes.add(scores)
        if minute is not None:
            self._put(partial(operations.write_minute, minute))

    def on_listen(self, listen: Listen, _listeners: int) -> None:
        """Write that somebody begins or ends to hear a source live."""
        self._put(partial(operations.write_listen, listen))

    def on_clip_outcome(self, event_id: str, path: str | None, outcome: ClipOutcome) -> None:
        """Write the outcome of the clip of an event, with its path if there is one."""
        self._put(partial(operations.write_clip_outcome, event_id, path, outcome, self._remove_clip))

    def on_clips_found(self, found: Sequence[tuple[str, str, Event | None]]) -> None:
        """Write all clips that exist at the start: path, identifier of the event, and the event if known."""
        self._put(partial(operations.write_clips, found))

    def on_labels(self, active_labels: ActiveLabels, rules: Mapping[str, Sequence[Rule]]) -> None:
        """Write the names of the labels, and apply how many windows must agree for each."""
        every = (rule for each in rules.values() for rule in each)
        self._minutes.votes = {rule.label: (rule.hits, rule.of) for rule in every}
        labels = (active_labels.enabled, *active_labels.by_source.values())
        titles = list({label.id: (label.id, label.title) for each in labels for label in each}.values())
        self._put(partial(operations.write_titles, titles))

    def review(self, event_id: str, mark: Mark | None) -> Future[bool]:
        """Set or remove the verdict of a user; the result is False if there is no such event.

        It is a `StoreError` if the file cannot be written now.
        """
        return self._request(partial(operations.review, event_id, mark))

    def delete(self, event_id: str) -> Future[bool]:
        """Delete an event with its clip; the result is as for `review`."""
        return self._request(partial(operations.delete, event_id, self._remove_clip))

    def await_clips(self) -> None:
        """Stay open after `close` until `clips_done`: the last clips are written later."""
        self._writers.add("clips")

    def clips_done(self) -> None:
        """No more outcomes of clips come."""
        self._end("clips")

    def close(self) -> None:
        """End the analysis' part; once the clips are done too, `run` writes what waits and returns."""
        for minute in self._minutes.finish():
            self._put(partial(operations.write_minute, minute))
        self._end("analysis")

    def _end(self, writer: str) -> None:
        self._writers.discard(writer)
        if not self._writers:
            self._outbox.close()
        self._wake.set()

    def run(self) -> None:
        """Write until closed."""
        while not self._outbox.closed:
            due = self._retention.due if self.trouble is None else self._try_at
            self._wake.wait(due - time.monotonic())
            self._wake.clear()
            self._work()
        self._try_at = 0.0
        self._give_up_at = time.monotonic() + END_SECONDS
        self._work()
        self._requests.close()
        self._close()
        if self.waiting:
            log.error("store: %s: %d changes are lost: %s", self.path, self.waiting, self.trouble)

    def _put(self, change: Change) -> None:
        self._outbox.put(change)
        self._wake.set()

    def _request(self, change: Callable[[sqlite3.Connection], bool]) -> Future[bool]:
        done = self._requests.add(change)
        self._wake.set()
        return done

    def _work(self) -> None:
        """Write all changes that wait; those that cannot be written stay."""
        if self.trouble is not None and time.monotonic() < self._try_at:
            self._requests.fail(StoreError(self.trouble))
            return
        try:
            connection = self._opened()
            # Changes that could not be written stay first.
            while self._outbox.flush(max(0, AT_ONCE - len(self._new))) or self._new:
                if time.monotonic() > self._give_up_at:
                    raise DatabaseError("writing takes too long")  # noqa: TRY301
                self._write(connection)
            self._requests.apply(connection)
            with translated():
                self._retention.apply(connection)
        except BrokenDatabaseError as error:
            if self._connection is not None:
                self._broken = error  # when it is opened again, it is set aside
            self._give_up(error)
            self._try_at = 0.0
            self._wake.set()
        except DatabaseError as error:
            self._give_up(error)
        else:
            self._set_trouble(None)

    def recheck(self) -> None:
        """Check soon whether the file was removed or replaced; thread-safe."""
        self._wake.set()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and identity(self.path) != self._identity:
            # Changes written to a removed file would be lost without an error.
            log.error("store: %s: was removed or replaced while it was open; opening it again", self.path)
            self._close()
        if self._connection is None:
            broken, self._broken = self._broken, None
            self._connection = connection = open_for_writing(self.path, broken)
            if not self._was_open:  # later, rows of this run would be among them
                with translated():
                    self._clock.learn(newest(connection))
                self._was_open = True
            self._identity = identity(self.path)
        return self._connection

    def _write(self, connection: sqlite3.Connection) -> None:
        """Write the changes that were taken from the queue, all or none."""
        with translated():
            connection.execute("BEGIN IMMEDIATE")
            try:
                for change in self._new:
                    try:
                        apply_change(change, connection)
                    except RefusedChangeError as error:  # it would block all others
                        self.refused += 1
                        shown = f"{change.func.__name__}{change.args}"[:LOGGED]
                        log.error("store: %s: %s", error, shown)  # noqa: TRY400
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        self.written += len(self._new)
        self._new.clear()

    def _give_up(self, error: DatabaseError) -> None:
        """Close the file, and open it again later."""
        self._close()
        self._try_at = time.monotonic() + self._retry_seconds
        self._set_trouble(str(error))
        self._requests.fail(error)

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # such as a lock; nothing is lost
                self._connection.close()
            self._connection = None

    def _set_trouble(self, trouble: str | None) -> None:
        where, effect = f"store: {self.path}", "changes are kept in memory only"
        self.trouble = self._log.change(self.trouble, trouble, where, effect=effect, level=logging.ERROR)
