"""Durable queue of unacknowledged events: in a file, and in memory while the file cannot be used."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from monitor.outputs.mqtt.queue_file import QueuedMessage, QueueFile
from monitor.outputs.payload import interrupted
from monitor.system.sqlite import BrokenDatabaseError, DatabaseError, set_aside
from monitor.system.trouble_log import TroubleLog
from monitor.system.wall_clock import WallClock

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Limits beyond which the oldest messages are dropped."""

    bytes: int
    """Size of all messages in the file."""
    seconds: float
    """Age of a message in the file."""


class DurableQueue:
    """Keep messages until they are acknowledged; a context manager that holds the file, for one thread.

    A message is in the file before `take` returns it, and leaves it by `remove`.  If the file cannot be
    used, because the disk is full or another process has it open, messages are sent all the same: up to
    ``size`` of them wait in memory, and go into the file as soon as possible.  A broken file is set aside.
    What exceeds the limits is dropped, oldest first, and counted.  Without a path there is only memory.  The
    clock decides whether the time of day is reliable enough to drop messages by age; None: it is.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        size: int,
        limits: QueueLimits,
        now: Callable[[], float] = time.time,
        clock: WallClock | None = None,
    ) -> None:
        self.limits = limits
        self.dropped = 0
        """Messages beyond a limit, or lost with a broken file."""
        self.written = 0
        """Number of the newest message that has been in the file."""
        self.waiting = 0
        """Messages without an acknowledgement."""
        self._path = path
        self._size = size
        self._now = now
        self._clock = clock
        self._file: QueueFile | None = None
        self._memory: list[QueuedMessage] = []
        self._taken: set[int] = set()
        self._scanned_to = -math.inf
        """Number of the newest message that `take` has seen; up to it, all are in flight or blocked."""
        self._newest = -math.inf
        self._acknowledged: set[int] = set()
        """Messages that are still to be removed from the file."""
        self._trouble: str | None = None
        self._log = TroubleLog(log)
        self._was_open = False

    def __enter__(self) -> Self:
        """Open the file, and add the ends of the events that an earlier run did not end."""
        self._sync()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; messages that are only in memory are lost when the process ends."""
        self._close()

    def add(self, messages: Sequence[QueuedMessage]) -> None:
        """Add messages that are newer than all others."""
        if messages:
            self._newest = messages[-1].number
            self._memory.extend(messages)
            self._sync()

    @property
    def is_safe(self) -> bool:
        """Whether all messages are in the file, where the next run finds them."""
        return self._path is not None and not self._memory

    def take(
        self, limit: int, blocks: Callable[[QueuedMessage], bool] = lambda _message: False
    ) -> list[QueuedMessage]:
        """Return the oldest messages that are not in flight; from now on they are.

        ``blocks`` returns whether a message must wait; it is asked again after `rewind`.
        """
        found: list[QueuedMessage] = []
        skip = self._taken | self._acknowledged
        while len(found) < limit and self.waiting > len(self._taken) and (messages := self._next(limit)):
            for message in messages:
                if len(found) == limit:
                    break
                self._scanned_to = message.number
                if message.number not in skip and not blocks(message):
                    found.append(message)
        self._taken.update(message.number for message in found)
        return found

    def _next(self, limit: int) -> list[QueuedMessage]:
        """Return the oldest messages that have not been scanned."""
        # Messages in memory are newer than all in the file: see `_write`.
        after = self._scanned_to
        read = self._with_file(lambda file: file.read(limit, after)) if self._file else None
        return [*(read or ()), *(message for message in self._memory if message.number > after)]

    def give_back(self, numbers: Collection[int]) -> None:
        """Let refused messages wait; they are taken again after `rewind`."""
        self._taken.difference_update(numbers)

    def rewind(self) -> None:
        """Scan all messages again that are not in flight."""
        self._scanned_to = -math.inf

    @property
    def is_blocked(self) -> bool:
        """Whether messages wait and all of them are blocked."""
        return bool(self.waiting) and not self._taken and self._scanned_to >= self._newest

    def remove(self, numbers: Collection[int]) -> None:
        """Remove acknowledged messages."""
        acknowledged = self._taken.intersection(numbers)
        if acknowledged:
            self._taken -= acknowledged
            self._acknowledged |= acknowledged - self._in_memory()
            self._memory = [message for message in self._memory if message.number not in acknowledged]
            self._sync()

    def take_back(self) -> None:
        """Forget what is in flight, after a disconnect; unacknowledged messages are taken again."""
        self._taken.clear()
        self.rewind()
        self._sync()

    def _sync(self) -> None:
        """Bring the file up to date with memory, and drop what exceeds the limits."""
        if self._with_file(self._write):
            self._set_trouble(None)
        surplus = len(self._memory) - self._size
        if surplus > 0:
            oldest = sorted(self._in_memory() - self._taken)[:surplus]
            self._memory = [message for message in self._memory if message.number not in oldest]
            self.dropped += len(oldest)
        self._count()

    def _count(self) -> None:
        in_file = self._file.count if self._file is not None else 0
        self.waiting = in_file - len(self._acknowledged) + len(self._memory)

    def _in_memory(self) -> set[int]:
        return {message.number for message in self._memory}

    def _write(self, file: QueueFile) -> bool:
        """Write everything new or nothing, so that memory holds the newest; True if there was anything."""
        changed = bool(self._memory or self._acknowledged)
        if changed:
            file.write(self._memory, self._acknowledged)
        self.written = max([self.written, *(message.number for message in self._memory)])
        self._memory.clear()
        self._acknowledged.clear()
        may_delete = self._clock is None or self._clock.may_delete()
        queued_after = self._now() - self.limits.seconds if may_delete else -math.inf
        self.dropped += file.trim(max_bytes=self.limits.bytes, queued_after=queued_after, keep=self._taken)
        return changed

    def _with_file(self, work: Callable[[QueueFile], T]) -> T | None:
        """Call a function with the file; None if it cannot be used."""
        if self._path is None:
            return None
        try:
            try:
                return work(self._opened(self._path))
            except BrokenDatabaseError as error:
                self._replace_broken(self._path, error)
                return work(self._opened(self._path))
        except DatabaseError as error:
            self._set_trouble(str(error))
            return None

    def _opened(self, path: Path) -> QueueFile:
        if self._file is not None and not self._file.is_in_place:
            self._reopen(path, self._file)
        if self._file is None:
            self._file = file = QueueFile(path)
            self.rewind()  # messages of earlier runs come before all of this run
            if file.count or file.unfinished:
                self._newest = max(self._newest, 0)
            # Opened again during a run, the file has the starts of events that still go on.
            self._memory[:0] = [
                replace(start, payload=interrupted(start.payload), happened_at=None, queued_at=self._now())
                for start in (() if self._was_open else file.unfinished)
            ]
            if self._clock is not None and not self._was_open:
                self._clock.learn(file.newest_at)
            self._was_open = True
        return self._file

    def _reopen(self, path: Path, file: QueueFile) -> None:
        """Move the messages of a file that was removed or replaced into the file at its path now."""
        log.error("mqtt: %s: was removed or replaced while it was open; opening it again", path)
        known = self._in_memory() | self._acknowledged
        messages = [message for message in file.read(self._size) if message.number not in known]
        self._close()
        self._acknowledged.clear()
        file = self._file = QueueFile(path)
        if file.count:  # the numbers of earlier runs are in use there
            self.dropped += sum(message.number <= 0 for message in messages)
            messages = [message for message in messages if message.number > 0]
        self._memory[:0] = messages
        self.rewind()

    def _replace_broken(self, path: Path, error: BrokenDatabaseError) -> None:
        waited = None if self._file is None else self._file.count - len(self._acknowledged)
        self._close()
        self._acknowledged.clear()
        self._taken &= self._in_memory()
        self._count()
        aside = set_aside(path)
        log.warning("mqtt: %s: %s; it was renamed to %s", path, error, aside)
        with closing(QueueFile(path)) as file:
            salvaged = file.salvage_from(aside)
            self.dropped += salvaged.lost if waited is None else max(0, waited - file.count)
        log.warning("mqtt: %s: %s", path, salvaged)
        self._opened(path)
        self._count()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _set_trouble(self, trouble: str | None) -> None:
        effect = "events wait in memory only"
        self._trouble = self._log.change(self._trouble, trouble, f"mqtt: {self._path}", effect=effect)
