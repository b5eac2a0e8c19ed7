"""Embedding memory: writes the embedding of every scored window, twice a second, in its own thread.

While the disk cannot be used, windows wait; if too many wait, the oldest are dropped and counted.  The
analysis never waits.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from monitor.config import MemoryConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.rules import Rule
from monitor.memory.entries import entry_of, entry_of_break, joined
from monitor.memory.labels_file import LabelsInForce, labels_path, write_labels
from monitor.memory.memory_reader import memory_directory
from monitor.memory.segment import BREAKS, Entry, Header, Kind
from monitor.memory.segment_retention import apply_limits
from monitor.memory.source_writer import SourceWriter
from monitor.outputs import Output
from monitor.outputs.outbox import Outbox
from monitor.system.boundary import explain
from monitor.system.directories import make_directory
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.system.wall_clock import WallClock
from monitor.types import Break, EndReason, Scores

log = logging.getLogger(__name__)

EVERY_SECONDS = 0.5
"""From one write to the next; a kill or a power cut costs less than a second even on a busy machine."""

RETRY_SECONDS = 5.0
"""After so long a disk that could not be used is tried again."""

LIMITS_SECONDS = 60.0
"""From one deletion of old segments to the next."""

WAITING = 8_192
"""Entries that may wait for the disk: 9 MB, two hours of one source."""

_AT_ONCE = 512
"""Entries in one write."""

_MOST_CHANGES = 100
"""Changes of labels from one window to the next that are kept."""

_Change = tuple[int, LabelsInForce]
"""Number of a labels file, and its content."""


class EmbeddingMemory(Output):
    """Memory of embeddings; `run` is the body of its thread, the rest is thread-safe.

    Parameters
    ----------
    state : Path
        The state directory.
    config : MemoryConfig
    model : str
        Identity of the checkpoint.
    headers : mapping of str to Header
        By source.
    baselines : callable
        Returns, for a source, the logit of labels without a history, by label.
    clock : WallClock
    """

    def __init__(
        self,
        state: Path,
        config: MemoryConfig,
        model: str,
        headers: Mapping[str, Header],
        *,
        baselines: Callable[[str], Mapping[str, float]] = lambda _: {},
        clock: WallClock | None = None,
    ) -> None:
        self.directory = memory_directory(state, model)
        self.written = 0
        """Windows in the files."""
        self.bytes = 0
        """Of all segments, at the last deletion of old ones, and what was written since."""
        self.trouble: str | None = None
        """Why nothing can be written now."""
        self._state, self._config, self._headers = state, config, headers
        self._baselines = baselines
        self._clock = clock or WallClock()
        self._in_force: tuple[_Change, ...] = ()
        """The labels in force, none or one (writer: analyse)."""
        self._changes: dict[str, deque[_Change]] = {}
        """Changes since the newest entry, by source (writer: analyse)."""
        self._outbox: Outbox[tuple[str, Entry, tuple[_Change, ...]]] = Outbox(self._take, WAITING)
        self._taken: dict[str, list[Entry]] = {source: [] for source in headers}
        self._noted: dict[str, _Change | None] = dict.fromkeys(headers)
        """In force at the newest entry that was taken, by source."""
        self._unwritten: dict[int, LabelsInForce] = {}
        """Labels files that are to be written, by number."""
        self._writers = {
            source: SourceWriter(self.directory / source, header, partial(self._prepare, source))
            for source, header in headers.items()
        }
        self._last: dict[str, Entry] = {}
        """Newest entry, by source (writer: analyse)."""
        self._wake = threading.Event()
        self._try_at = self._limits_at = 0.0
        self._log = TroubleLog(log)

    @property
    def waiting(self) -> int:
        """Entries that wait to be written."""
        return self._outbox.waiting + sum(map(len, self._taken.values()))

    @property
    def dropped(self) -> int:
        """Entries that were dropped because too many waited, or because the disk took only half of them."""
        return self._outbox.dropped + sum(writer.lost for writer in self._writers.values())

    def start(self, threads: ThreadGroup) -> None:
        """Start the thread of `run`, which a disk may hold up."""
        threads.start("memory", self.run, may_stay=True)

    def on_scores(self, scores: Scores) -> None:
        """Keep the embedding of a window, or count one that was not scored."""
        self._put(scores.source, entry_of(scores))

    def on_break(self, at: Break) -> None:
        """Keep that the audio is interrupted."""
        self._put(at.source, entry_of_break(at))

    def on_labels(self, active_labels: ActiveLabels, rules: Mapping[str, Sequence[Rule]]) -> None:
        """Keep which labels are in force from here on."""
        number = time.time_ns()
        labels = LabelsInForce(
            active_labels.enabled,
            active_labels.background,
            active_labels.armed,
            {source: tuple(each) for source, each in rules.items()},
            {source: self._baselines(source) for source in rules},
        )
        self._in_force = ((number, labels),)
        for source in rules:
            self._changes.setdefault(source, deque(maxlen=_MOST_CHANGES)).append((number, labels))

    def close(self) -> None:
        """Nothing more comes; `run` writes what waits and returns."""
        if not self._outbox.closed:
            for source, last in list(self._last.items()):
                stopped = Entry(
                    last.ended_ns, last.stop, kind=Kind.BREAK, reason=BREAKS.index(EndReason.SHUTDOWN)
                )
                self._put(source, stopped)
        self._outbox.close()
        self._wake.set()

    def recheck(self) -> None:
        """Check soon whether the files were removed or replaced; thread-safe."""
        self._wake.set()

    def run(self) -> None:
        """Write until closed."""
        while not self._outbox.closed:
            self._wake.wait(EVERY_SECONDS)
            self._wake.clear()
            self._work()
        self._try_at = 0.0
        self._work()
        for writer in self._writers.values():
            writer.close()
        if self.waiting:
            log.error("memory: %s: %d entries are lost: %s", self.directory, self.waiting, self.trouble)

    def _put(self, source: str, entry: Entry) -> None:
        if entry.ended_ns <= 0:  # before any audio, or the clock has never been set
            return
        self._last[source] = entry
        self._outbox.put((source, entry, (*self._changes.pop(source, ()), *self._in_force)))

    def _take(self, item: tuple[str, Entry, tuple[_Change, ...]]) -> None:
        source, entry, changes = item
        entries = self._taken[source]
        for change in changes:
            if change != self._noted[source]:
                self._noted[source] = change
                number, self._unwritten[number] = change
                entries.append(Entry(entry.ended_ns, number, kind=Kind.LABELS))
        if entries and (longer := joined(entries[-1], entry, self._headers[source].hop)) is not None:
            entries[-1] = longer
        else:
            entries.append(entry)

    def _work(self) -> None:
        """Write what waits; what cannot be written stays, within the size of the outbox."""
        now = time.monotonic()
        if self.trouble is not None and now < self._try_at:
            return
        try:
            if now >= self._limits_at:
                self._apply_limits()
                self._limits_at = now + LIMITS_SECONDS
            self._write()
            while self._outbox.flush(_AT_ONCE):
                self._write()
        except OSError as error:
            self._try_at = time.monotonic() + RETRY_SECONDS
            self._set_trouble(explain(error))
        else:
            self._set_trouble(None)

    def _write(self) -> None:
        for number, labels in list(self._unwritten.items()):
            self._make(self.directory)
            write_labels(labels_path(self.directory, number), labels)
            del self._unwritten[number]
        for source, entries in self._taken.items():
            while entries:
                windows = _windows(entries)
                self.bytes += self._writers[source].append(entries)
                self.written += windows - _windows(entries)

    def _prepare(self, source: str) -> None:
        """Make the directory of a source, and its labels file again if it was removed."""
        self._make(self.directory / source)
        noted = self._noted[source]
        if noted is not None and not labels_path(self.directory, noted[0]).exists():
            write_labels(labels_path(self.directory, noted[0]), noted[1])

    def _make(self, directory: Path) -> None:
        """Make a directory and those above it, each for its owner alone."""
        for each in reversed((directory, *directory.parents)):
            if each.is_relative_to(self._state):
                make_directory(each)

    def _apply_limits(self) -> None:
        kept = apply_limits(
            self._state,
            self._config,
            in_use={writer.in_use for writer in self._writers.values() if writer.in_use is not None},
            now=self._clock.now() if self._clock.may_delete() else None,
            free=lambda: shutil.disk_usage(self._existing()).free,
        )
        self.bytes = kept.bytes
        if not kept.enough_room:
            raise OSError(0, f"the disk has less than {self._config.free_megabytes} MB free")

    def _existing(self) -> Path:
        return next(place for place in (self.directory, *self.directory.absolute().parents) if place.exists())

    def _set_trouble(self, trouble: str | None) -> None:
        effect = "windows wait in memory only"
        where = f"memory: {self.directory}"
        self.trouble = self._log.change(self.trouble, trouble, where, effect=effect, level=logging.ERROR)


def _windows(entries: Sequence[Entry]) -> int:
    return sum(entry.kind == Kind.WINDOW for entry in entries)
