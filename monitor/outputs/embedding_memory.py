"""Embedding memory: writes the embedding of every scored window, once a second, in its own thread.

While the disk cannot be used, windows wait; if too many wait, the oldest are dropped and counted.  The
analysis never waits.
"""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from monitor.config import MemoryConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.quantised import quantised
from monitor.detection.rules import Rule
from monitor.memory.labels_file import LabelsInForce, labels_path, write_labels
from monitor.memory.reader import memory_directory, to_ns
from monitor.memory.retention import apply_limits
from monitor.memory.segment import (
    BREAKS,
    GATES,
    HOUR_NS,
    PATTERN_FLAGS,
    SPEECH_FLAG,
    Entry,
    Header,
    Kind,
    SegmentWriter,
)
from monitor.outputs import Output
from monitor.outputs.outbox import Outbox
from monitor.system.atomic_file import identity
from monitor.system.boundary import explain
from monitor.system.directories import make_directory
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.system.wall_clock import WallClock
from monitor.types import Break, Scores

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
"""From one write to the next: what a power cut may cost."""

RETRY_SECONDS = 5.0
"""After so long a disk that could not be used is tried again."""

LIMITS_SECONDS = 60.0
"""From one deletion of old segments to the next."""

WAITING = 8_192
"""Entries that may wait for the disk: 9 MB, two hours of one source."""

_MOST_CHANGES = 100
"""Changes of labels that may wait for the disk."""

_BACK_NS = 10**9
"""A clock that goes back by more begins a new segment."""


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
        self._outbox: Outbox[tuple[str, Entry] | tuple[int, LabelsInForce]] = Outbox(self._take, WAITING)
        self._taken: dict[str, list[Entry]] = {source: [] for source in headers}
        self._labels: list[tuple[int, LabelsInForce]] = []
        self._changed: dict[str, int] = {}
        """Number of the labels file that holds from the next entry of a source on."""
        self._segments: dict[str, SegmentWriter] = {}
        self._started: set[str] = set()
        """Sources that have a segment of this run."""
        self._wake = threading.Event()
        self._try_at = self._limits_at = 0.0
        self._lost = 0
        self._log = TroubleLog(log)

    @property
    def waiting(self) -> int:
        """Entries that wait to be written."""
        return self._outbox.waiting + sum(map(len, self._taken.values()))

    @property
    def dropped(self) -> int:
        """Entries that were dropped because too many waited, or because the disk took only half of them."""
        return self._outbox.dropped + self._lost

    def start(self, threads: ThreadGroup) -> None:
        """Start the thread of `run`, which a disk may hold up."""
        threads.start("memory", self.run, may_stay=True)

    def on_scores(self, scores: Scores) -> None:
        """Keep the embedding of a window, or count one that was not scored."""
        entry = Entry(to_ns(scores.ended_at), scores.stop, level=_finite(scores.level_dbfs))
        if scores.embedding is not None:
            flags = sum(PATTERN_FLAGS[name] for name in scores.patterns) + SPEECH_FLAG * scores.speech
            entry = replace(entry, flags=flags, vector=quantised(scores.embedding).astype("<i2").tobytes())
        elif scores.gated is not None:
            entry = replace(entry, kind=Kind.GATED, reason=GATES.index(scores.gated))
        self._outbox.put((scores.source, entry))

    def on_break(self, at: Break) -> None:
        """Keep that the audio is interrupted."""
        if at.at <= 0:  # nothing came before it
            return
        entry = Entry(to_ns(at.at), at.index, kind=Kind.BREAK, reason=BREAKS.index(at.reason))
        self._outbox.put((at.source, entry))

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
        self._outbox.put((number, labels))

    def close(self) -> None:
        """Nothing more comes; `run` writes what waits and returns."""
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
        for source in list(self._segments):
            self._close(source)
        if self.waiting:
            log.error("memory: %s: %d entries are lost: %s", self.directory, self.waiting, self.trouble)

    def _take(self, item: tuple[str, Entry] | tuple[int, LabelsInForce]) -> None:
        match item:
            case (str(source), Entry() as entry):
                entries = self._taken[source]
                changed = self._changed.pop(source, None)
                if changed is not None:  # at the time of the first window for which they hold
                    entries.append(Entry(entry.ended_ns, changed, kind=Kind.LABELS))
                if entries and (longer := _joined(entries[-1], entry, self._headers[source].hop)) is not None:
                    entries[-1] = longer
                else:
                    entries.append(entry)
            case (int(number), LabelsInForce() as labels):
                self._labels = [*self._labels[1 - _MOST_CHANGES :], (number, labels)]
                self._changed = dict.fromkeys(labels.rules, number)

    def _work(self) -> None:
        """Write what waits; what cannot be written stays, within the size of the outbox."""
        now = time.monotonic()
        if self.trouble is not None and now < self._try_at:
            return
        try:
            if now >= self._limits_at:
                self._apply_limits()
                self._limits_at = now + LIMITS_SECONDS
            while self._outbox.waiting or self._labels or any(self._taken.values()):
                self._outbox.flush(max(0, WAITING - sum(map(len, self._taken.values()))))
                self._write()
        except OSError as error:
            self._try_at = time.monotonic() + RETRY_SECONDS
            self._set_trouble(explain(error))
        else:
            self._set_trouble(None)

    def _write(self) -> None:
        while self._labels:
            number, labels = self._labels[0]
            make_directory(self.directory)
            write_labels(labels_path(self.directory, number), labels)
            self._labels.pop(0)
        for source, entries in self._taken.items():
            while entries:
                self._append(source, entries)

    def _append(self, source: str, entries: list[Entry]) -> None:
        """Append the entries that belong into one segment, and take them off the list."""
        segment = self._segment_for(source, entries[0])
        most = next(
            (place for place, entry in enumerate(entries) if place and not _fits(segment, entry)),
            len(entries),
        )
        several = entries[:most]
        try:
            written = segment.append(several)
        except OSError:
            # Half of them may be in the files: they are counted as lost, and a new segment begins.
            self._lost += len(several)
            del entries[:most]
            self._close(source)
            raise
        del entries[:most]
        self.written += sum(entry.kind == Kind.WINDOW for entry in several)
        self.bytes += written

    def _segment_for(self, source: str, entry: Entry) -> SegmentWriter:
        segment = self._segments.get(source)
        follows = segment is not None
        if segment is not None and not _fits(segment, entry):
            follows = entry.ended_ns >= segment.last_ns - _BACK_NS
            self._close(source)
            segment = None
        elif segment is not None and identity(segment.index_path) is None:
            log.error("memory: %s: was removed while it was open; beginning a new one", segment.index_path)
            self._close(source)
            segment, follows = None, False
        if segment is None:
            directory = self.directory / source
            make_directory(directory)
            follows = follows and source in self._started
            header = replace(self._headers[source], follows=follows)
            segment = self._segments[source] = SegmentWriter(directory, entry.ended_ns, header)
            self._started.add(source)
        return segment

    def _close(self, source: str) -> None:
        with contextlib.suppress(OSError):  # what was written is on the disk already
            self._segments.pop(source).close()

    def _apply_limits(self) -> None:
        kept = apply_limits(
            self._state,
            self._config,
            in_use={segment.index_path for segment in self._segments.values()},
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


def _fits(segment: SegmentWriter, entry: Entry) -> bool:
    """Return whether an entry belongs into a segment: the same hour, and no clock that went back."""
    same_hour = entry.ended_ns // HOUR_NS <= segment.first_ns // HOUR_NS
    return same_hour and entry.ended_ns >= segment.last_ns - _BACK_NS


def _joined(last: Entry, entry: Entry, hop: int) -> Entry | None:
    """Return one entry for two windows in a row that were not scored for the same reason; None otherwise."""
    alike = last.kind == entry.kind == Kind.GATED and last.reason == entry.reason
    if not alike or entry.stop != last.stop + hop or last.ended_ns // HOUR_NS != entry.ended_ns // HOUR_NS:
        return None
    return replace(entry, count=last.count + entry.count)


def _finite(level: float) -> float:
    return level if math.isfinite(level) else -999.0
