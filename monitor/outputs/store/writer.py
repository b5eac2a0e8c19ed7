"""Everything that happens -> the file; one thread writes, nobody waits for the disk.

Starts and ends of events, near misses, minutes and what became of clips are left in a box and written
together.  While the file cannot be used they wait in memory, the oldest make room, and it is said once.
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
from typing import TypeVar

from monitor.config import LabelConfig, StoreConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.events import Rule
from monitor.outputs import Output
from monitor.outputs.outbox import Outbox
from monitor.outputs.store.database import open_for_writing
from monitor.outputs.store.minute_summary import MinuteSummaries
from monitor.outputs.store.operations import (
    BrokenOff,
    Change,
    ClipDecided,
    ClipsFound,
    Deleted,
    EventChanged,
    MinuteOver,
    NearMissHappened,
    Reviewed,
    Titled,
)
from monitor.outputs.store.retention import Retention, newest
from monitor.outputs.store.rows import Mark, StoreError
from monitor.system.atomic_file import identity
from monitor.system.boundary import boundary
from monitor.system.sqlite import BrokenDatabaseError, DatabaseError, is_refusal, translated
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.system.wall_clock import WallClock
from monitor.types import ClipOutcome, Event, NearMiss, Scores

log = logging.getLogger(__name__)

IN_MEMORY = 20_000
"""Changes that wait for the disk; a busy house has a few thousand a day."""

AT_ONCE = 1000
"""Changes in one transaction."""

LATE_SECONDS = 3.0
END_SECONDS = 3.0
"""So long after the end of the run the last transaction is begun: what still waits is lost, and counted."""

LOGGED = 500
"""Characters of a change that is refused."""

RETRY_SECONDS = 5.0
ASKS = 100
"""People who may wait for an answer at once."""


T = TypeVar("T")


class RefusedChangeError(StoreError):
    """The tables cannot take it, and never will."""


class Store(Output):
    """Write what happens; `run` is the body of its thread, all else may be called from any.

    Parameters
    ----------
    path : Path
        Of the file; see `StoreReader` for reading it.
    config : StoreConfig
    rate : int
        Samples per second of the indices in near misses.
    clock : WallClock
    remove_clip : callable
        Deletes the clip with a path; called in the store's thread.
    retry_seconds : float
        How long a file that could not be used is left alone.
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
        """Changes that are in the file."""
        self.refused = 0
        """Changes that the tables cannot take."""
        self.trouble: str | None = None
        """Why nothing can be written at the moment."""
        self._rate = rate
        self._retry_seconds = retry_seconds
        self._remove_clip = remove_clip
        self._minutes = MinuteSummaries()
        self._new: list[Change] = [BrokenOff()]
        self._outbox: Outbox[Change] = Outbox(self._new.append, IN_MEMORY)
        self._asks: list[Reviewed | Deleted] = []
        self._asking = threading.Lock()
        self._over = False
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
        """Changes that are not in the file yet."""
        return self._outbox.waiting + len(self._new)

    @property
    def dropped(self) -> int:
        """Changes that were lost because too many waited for the disk."""
        return self._outbox.dropped

    def start(self, threads: ThreadGroup) -> None:
        """Start the thread of `run`, which a disk may hold up."""
        threads.start("store", self.run, may_stay=True)

    def on_event(self, event: Event, _label: LabelConfig) -> None:
        """Keep the start or the end of an event."""
        put_at = time.monotonic()
        self._put(EventChanged(event, lambda: time.monotonic() - put_at > LATE_SECONDS))

    def on_near_miss(self, miss: NearMiss) -> None:
        """Keep a near miss."""
        self._put(NearMissHappened(miss, (miss.stop - miss.start) / self._rate))

    def on_scores(self, scores: Scores) -> None:
        """Keep the scores of a window in those of its minute; from one thread."""
        over = self._minutes.add(scores)
        if over is not None:
            self._put(MinuteOver(over))

    def on_clip_outcome(self, event_id: str, path: str | None, outcome: ClipOutcome) -> None:
        """Note what became of the clip of an event: kept, with its path, or why it was not."""
        self._put(ClipDecided(event_id, path, outcome, self._remove_clip))

    def on_clips_found(self, found: Sequence[tuple[str, str, Event | None]]) -> None:
        """Take all clips that are there at the beginning: path, event, and what is known of the event."""
        self._put(ClipsFound(found))

    def on_labels(self, active_labels: ActiveLabels, rules: Mapping[str, Sequence[Rule]]) -> None:
        """Keep the titles of the labels, and how many windows must agree for each."""
        every = (rule for each in rules.values() for rule in each)
        self._minutes.votes = {rule.label: (rule.hits, rule.of) for rule in every}
        self._put(Titled([(label.id, label.title) for label in active_labels.enabled]))

    def review(self, event_id: str, mark: Mark | None) -> Future[bool]:
        """Note what a person says of an event, or forget it; the answer is False if there is no such event.

        It is a `StoreError` if the file cannot be written now.
        """
        return self._ask(partial(Reviewed, event_id, mark))

    def delete(self, event_id: str) -> Future[bool]:
        """Delete an event with its clip; the answer is as for `review`."""
        return self._ask(partial(Deleted, event_id, self._remove_clip))

    def await_clips(self) -> None:
        """Stay open after `close` until `clips_done`: the last clips are decided later."""
        self._writers.add("clips")

    def clips_done(self) -> None:
        """No more outcomes of clips come."""
        self._end("clips")

    def close(self) -> None:
        """No more comes from the analysis; `run` writes what is left, or tries to, and returns."""
        for minute in self._minutes.finish():
            self._put(MinuteOver(minute))
        self._end("analysis")

    def _end(self, writer: str) -> None:
        self._writers.discard(writer)
        if not self._writers:
            self._outbox.close()
        self._wake.set()

    def run(self) -> None:
        """Write until closed."""
        while not self._outbox.closed:
            self._wake.wait(self._due() - time.monotonic())
            self._wake.clear()
            self._work()
        self._try_at = 0.0
        self._give_up_at = time.monotonic() + END_SECONDS
        self._work()
        with self._asking:
            self._over = True
        self._answer_all(StoreError("the monitor is ending"))
        self._close()
        if self.waiting:
            log.error("store: %s: %d changes are lost: %s", self.path, self.waiting, self.trouble)

    def _put(self, change: Change) -> None:
        self._outbox.put(change)
        self._wake.set()

    def _ask(self, make: Callable[[Future[bool]], Reviewed | Deleted]) -> Future[bool]:
        done: Future[bool] = Future()
        done.set_running_or_notify_cancel()  # whoever waits may go away, but not take it back
        with self._asking:
            if self._over or len(self._asks) >= ASKS:
                done.set_exception(StoreError("too many wait" if not self._over else "the monitor is ending"))
                return done
            self._asks.append(make(done))
        self._wake.set()
        return done

    def _due(self) -> float:
        return self._try_at if self.trouble is not None else self._retention.due

    def _work(self) -> None:
        """Write everything that waits; what cannot be written goes on waiting."""
        if self.trouble is not None and time.monotonic() < self._try_at:
            self._answer_all(StoreError(self.trouble))
            return
        try:
            connection = self._opened()
            while self._fill():
                if time.monotonic() > self._give_up_at:
                    raise DatabaseError("takes too long")  # noqa: TRY301
                self._write(connection)
            self._answer(connection)
            with translated():
                self._retention.apply(connection)
        except BrokenDatabaseError as error:
            if self._connection is not None:
                self._broken = error  # in use: opened anew it is set aside
            self._give_up(error)
            self._try_at = 0.0
            self._wake.set()
        except DatabaseError as error:
            self._give_up(error)
        else:
            self._set_trouble(None)

    def recheck(self) -> None:
        """See soon whether the file is still where it was; from any thread."""
        self._wake.set()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and identity(self.path) != self._identity:
            # What is written to a file that nobody can find is lost without an error.
            log.error("store: %s: was removed or replaced while it was open: it is opened anew", self.path)
            self._close()
        if self._connection is None:
            broken, self._broken = self._broken, None
            self._connection = connection = open_for_writing(self.path, broken)
            if not self._was_open:  # later, rows of this run are among them, stamped by the same clock
                with translated():
                    self._clock.learn(newest(connection))
                self._was_open = True
            self._identity = identity(self.path)
        return self._connection

    def _fill(self) -> bool:
        """Take what is next out of the box; what could not be written before stays first."""
        self._outbox.flush(max(0, AT_ONCE - len(self._new)))
        return bool(self._new)

    def _write(self, connection: sqlite3.Connection) -> None:
        """Write what has been taken out of the box, all of it or nothing."""
        with translated():
            connection.execute("BEGIN IMMEDIATE")
            try:
                for change in self._new:
                    self._apply(change, connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        self.written += len(self._new)
        self._new.clear()

    def _apply(self, change: Change, connection: sqlite3.Connection) -> None:
        try:
            _made(change, connection)
        except RefusedChangeError as error:  # it would be refused for ever, and all others with it
            self.refused += 1
            log.error("store: %s: %s", error, repr(change)[:LOGGED])  # noqa: TRY400

    def _answer(self, connection: sqlite3.Connection) -> None:
        while self._asks:
            ask = self._asks[0]
            try:
                with translated():
                    answer = _made(ask, connection)
            except RefusedChangeError as error:
                self._asks.pop(0)
                ask.done.set_exception(error)
                continue
            self._asks.pop(0)
            ask.done.set_result(answer)

    def _answer_all(self, error: StoreError) -> None:
        with self._asking:
            asks, self._asks = self._asks, []
        for ask in asks:
            ask.done.set_exception(error)

    def _give_up(self, error: DatabaseError) -> None:
        """Leave the file alone for a while."""
        self._close()
        self._try_at = time.monotonic() + self._retry_seconds
        self._set_trouble(str(error))
        self._answer_all(error)

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # a lock at the last moment; nothing is lost by it
                self._connection.close()
            self._connection = None

    def _set_trouble(self, trouble: str | None) -> None:
        self.trouble = self._log.change(
            self.trouble,
            trouble,
            f"store: {self.path}",
            effect="what happens is kept in memory only",
            level=logging.ERROR,
        )


def _made(change: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
    """Make a change; what is wrong with the file is told apart from what is wrong with the change."""
    with boundary(RefusedChangeError, "refused"):
        try:
            return change(connection)
        except sqlite3.Error as error:
            if is_refusal(error):
                raise
            trouble = error
    raise trouble
