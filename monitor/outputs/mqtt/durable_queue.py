"""What the broker has not acknowledged: in a file, and in memory while the file cannot be used."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from monitor.outputs.mqtt.queue_file import BrokenJournalError, JournalError, QueuedMessage, QueueFile
from monitor.outputs.payload import interrupted
from monitor.system.sqlite import set_aside
from monitor.system.trouble_log import TroubleLog
from monitor.system.wall_clock import WallClock

log = logging.getLogger(__name__)

T = TypeVar("T")


class DurableQueue:
    """Keep letters until they have arrived; a context manager that holds the file, for one thread.

    A letter is in the file before `take` hands it out, and leaves it by `remove`.  If the file cannot be
    used, because the disk is full or another process has it, letters are handed out all the same: up
    to ``size`` of them wait in memory, and go into the file once it can be used.  A broken file is set
    aside.  Whatever is too much or too old is dropped, oldest first, and counted.

    Parameters
    ----------
    path : Path or None
        Of the file; None keeps everything in memory.
    size : int
        Letters in memory.
    most_bytes : int
        Size of all letters in the file.
    most_seconds : float
        Age of a letter in the file.
    now : callable
        Returns Unix seconds.
    clock : WallClock or None
        Says whether the time of day may decide what is too old; without one it may.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        size: int,
        most_bytes: int,
        most_seconds: float,
        now: Callable[[], float] = time.time,
        clock: WallClock | None = None,
    ) -> None:
        self.dropped = 0
        """Letters that had to make room, were too old, or were in a file that broke."""
        self.written = 0
        """Number of the newest letter that has been in the file."""
        self.waiting = 0
        """Letters that have not arrived."""
        self._path = path
        self._size = size
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds
        self._now = now
        self._clock = clock
        self._queue_file: QueueFile | None = None
        self._memory: list[QueuedMessage] = []
        self._taken: set[int] = set()
        self._looked_to = -math.inf
        """Number of the newest letter that `take` has looked at; up to it, all are on their way or held."""
        self._newest = -math.inf
        self._arrived: set[int] = set()
        self._trouble: str | None = None
        self._log = TroubleLog(log)
        self._was_open = False

    def __enter__(self) -> Self:
        """Open the file, and put into it the ends of the events during which an earlier run broke off."""
        self._keep()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; what waits in memory only is lost when the process ends."""
        self._close()

    def limit(self, *, most_bytes: int, most_seconds: float) -> None:
        """Keep less or more from now on."""
        self._most_bytes, self._most_seconds = most_bytes, most_seconds

    def add(self, letters: Sequence[QueuedMessage]) -> None:
        """Keep letters that are newer than all others."""
        if letters:
            self._newest = letters[-1].number
            self._memory.extend(letters)
            self._keep()

    @property
    def safe(self) -> bool:
        """Whether all that waits is in the file, where the next run finds it."""
        return self._path is not None and not self._memory

    def take(
        self, most: int, blocks: Callable[[QueuedMessage], bool] = lambda _letter: False
    ) -> list[QueuedMessage]:
        """Return the oldest letters that are not on their way; from now on they are.

        Parameters
        ----------
        most : int
        blocks : callable
            Tells of a letter whether it is held back; it is looked at again after `rewind`.
        """
        found: list[QueuedMessage] = []
        spare = self._taken | self._arrived
        while len(found) < most and self.waiting > len(self._taken) and (letters := self._next(most)):
            for letter in letters:
                if len(found) == most:
                    break
                self._looked_to = letter.number
                if letter.number not in spare and not blocks(letter):
                    found.append(letter)
        self._taken.update(letter.number for letter in found)
        return found

    def _next(self, most: int) -> list[QueuedMessage]:
        """Return the oldest letters that have not been looked at."""
        # What is in memory is newer than all that is in the file: see `_write`.
        after = self._looked_to
        read = self._on_file(lambda queue_file: queue_file.read(most, after)) if self._queue_file else None
        return [*(read or ()), *(letter for letter in self._memory if letter.number > after)]

    def give_back(self, numbers: Collection[int]) -> None:
        """Note that letters were refused: they wait, and are taken again after `rewind`."""
        self._taken.difference_update(numbers)

    def rewind(self) -> None:
        """Look at all letters again that are not on their way."""
        self._looked_to = -math.inf

    @property
    def held_back(self) -> bool:
        """True if something waits, and all of it is held back."""
        return bool(self.waiting) and not self._taken and self._looked_to >= self._newest

    def remove(self, numbers: Collection[int]) -> None:
        """Forget letters that have arrived."""
        arrived = self._taken.intersection(numbers)
        if arrived:
            self._taken -= arrived
            self._arrived |= arrived - self._in_memory()
            self._memory = [letter for letter in self._memory if letter.number not in arrived]
            self._keep()

    def take_back(self) -> None:
        """Note that nothing is on its way any more; what has not arrived will be taken once more."""
        self._taken.clear()
        self.rewind()
        self._keep()

    def _keep(self) -> None:
        """Bring the file up to date with what is in memory, and drop what is too much."""
        if self._on_file(self._write):
            self._set_trouble(None)
        surplus = len(self._memory) - self._size
        if surplus > 0:
            doomed = sorted(self._in_memory() - self._taken)[:surplus]
            self._memory = [letter for letter in self._memory if letter.number not in doomed]
            self.dropped += len(doomed)
        self._count()

    def _count(self) -> None:
        in_file = self._queue_file.count if self._queue_file is not None else 0
        self.waiting = in_file - len(self._arrived) + len(self._memory)

    def _in_memory(self) -> set[int]:
        return {letter.number for letter in self._memory}

    def _write(self, queue_file: QueueFile) -> bool:
        """Write all of what is new, or nothing, so that the newest is in memory; True if there was any."""
        news = bool(self._memory or self._arrived)
        if news:
            queue_file.write(self._memory, self._arrived)
        self.written = max([self.written, *(letter.number for letter in self._memory)])
        self._memory.clear()
        self._arrived.clear()
        may_delete = self._clock is None or self._clock.may_delete()
        put_after = self._now() - self._most_seconds if may_delete else -math.inf
        self.dropped += queue_file.trim(most_bytes=self._most_bytes, put_after=put_after, spare=self._taken)
        return news

    def _on_file(self, work: Callable[[QueueFile], T]) -> T | None:
        """Do something with the file; None if it cannot be used."""
        if self._path is None:
            return None
        try:
            try:
                return work(self._opened(self._path))
            except BrokenJournalError as error:
                self._set_aside(self._path, error)
                return work(self._opened(self._path))
        except JournalError as error:
            self._set_trouble(str(error))
            return None

    def _leave(self, path: Path, queue_file: QueueFile) -> None:
        """Take the letters out of a file that was removed or replaced, for the one that is there now."""
        log.error("mqtt: %s: was removed or replaced while it was open: it is opened anew", path)
        known = self._in_memory() | self._arrived
        letters = [letter for letter in queue_file.read(self._size) if letter.number not in known]
        self._close()
        self._arrived.clear()
        queue_file = self._queue_file = QueueFile(path)
        if queue_file.count:  # numbers of earlier runs are taken there
            self.dropped += sum(letter.number <= 0 for letter in letters)
            letters = [letter for letter in letters if letter.number > 0]
        self._memory[:0] = letters
        self.rewind()

    def _opened(self, path: Path) -> QueueFile:
        if self._queue_file is not None and not self._queue_file.is_in_place:
            self._leave(path, self._queue_file)
        if self._queue_file is None:
            self._queue_file = queue_file = QueueFile(path)
            self.rewind()  # letters of earlier runs come before all of ours
            if queue_file.count or queue_file.lasting:
                self._newest = max(self._newest, 0)
            # Opened again in the midst of a run, it has the starts of events that still go on.
            self._memory[:0] = [
                replace(start, payload=interrupted(start.payload), happened_at=None, put_at=self._now())
                for start in (() if self._was_open else queue_file.lasting)
            ]
            if self._clock is not None and not self._was_open:
                self._clock.learn(queue_file.newest)
            self._was_open = True
        return self._queue_file

    def _set_aside(self, path: Path, error: BrokenJournalError) -> None:
        waited = None if self._queue_file is None else self._queue_file.count - len(self._arrived)
        self._close()
        self._arrived.clear()
        self._taken &= self._in_memory()
        self._count()
        aside = set_aside(path)
        log.warning("mqtt: %s: %s; set aside as %s", path, error, aside)
        with closing(QueueFile(path)) as queue_file:
            saved = queue_file.save_from(aside)
            self.dropped += saved.lost if waited is None else max(0, waited - queue_file.count)
        log.warning("mqtt: %s: %s", path, saved)
        self._opened(path)
        self._count()

    def _close(self) -> None:
        if self._queue_file is not None:
            self._queue_file.close()
            self._queue_file = None

    def _set_trouble(self, trouble: str | None) -> None:
        effect = "events wait in memory only"
        self._trouble = self._log.change(self._trouble, trouble, f"mqtt: {self._path}", effect=effect)
