"""Source writer: the entries of one source, hour after hour, in segments that go on from one another."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from monitor.memory.segment import BACK_NS, HOUR_NS, Entry, Header, Kind
from monitor.memory.segment_writer import SegmentWriter

log = logging.getLogger(__name__)


class SourceWriter:
    """Appends entries; for one thread.

    Parameters
    ----------
    directory : Path
    header : Header
        Of each segment, but for the one that it goes on from.
    prepare : callable
        Makes the directory, and whatever else a new segment needs; may raise `OSError`.
    """

    def __init__(self, directory: Path, header: Header, prepare: Callable[[], None]) -> None:
        self.lost = 0
        """Entries that may be only half written."""
        self._directory, self._header, self._prepare = directory, header, prepare
        self._segment: SegmentWriter | None = None
        self._newest = 0
        """Number of the newest segment of this run."""
        self._labels: int | None = None
        """Number of the labels file that holds at the newest entry."""

    @property
    def in_use(self) -> Path | None:
        """Index of the segment that is open."""
        return None if self._segment is None else self._segment.index_path

    def append(self, entries: list[Entry]) -> int:
        """Append entries that belong into one segment, and take them off the list; return the bytes written.

        Parameters
        ----------
        entries : list of Entry
            At least one.

        Raises
        ------
        OSError
            They cannot be written; they stay on the list unless half of them may be in the files.
        """
        segment = self._fitting(entries)
        others = (place for place, entry in enumerate(entries) if place and not _fits(segment, entry))
        most = next(others, len(entries))
        try:
            written = segment.append(entries[:most])
        except OSError:
            self.close()
            if segment.torn:  # another segment would have them a second time
                self.lost += most
                del entries[:most]
            raise
        self._newest = segment.number
        for entry in entries[:most]:
            if entry.kind == Kind.LABELS:
                self._labels = entry.stop
        del entries[:most]
        return written

    def close(self) -> None:
        """Close the files."""
        segment, self._segment = self._segment, None
        if segment is not None:
            with contextlib.suppress(OSError):  # what was written is on the disk already
                segment.close()

    def _fitting(self, entries: list[Entry]) -> SegmentWriter:
        """Return the segment into which the first entry belongs."""
        segment = self._segment
        if segment is not None and not segment.is_there:
            where = segment.index_path
            log.error("memory: %s: was removed or replaced while it was open; beginning a new one", where)
            self.close()
        elif segment is not None and not _fits(segment, entries[0]):
            self.close()
        if self._segment is None:
            self._segment = self._begin(entries)
        return self._segment

    def _begin(self, entries: list[Entry]) -> SegmentWriter:
        """Begin a segment, with the number of the labels in force as its first entry."""
        self._prepare()
        first_ns = entries[0].ended_ns
        segment = SegmentWriter(self._directory, first_ns, replace(self._header, after=self._newest))
        if entries[0].kind != Kind.LABELS and self._labels is not None:
            entries.insert(0, Entry(first_ns, self._labels, kind=Kind.LABELS))
        return segment


def _fits(segment: SegmentWriter, entry: Entry) -> bool:
    """Return whether an entry belongs into a segment: the same hour, and no clock that went back."""
    same_hour = entry.ended_ns // HOUR_NS <= segment.first_ns // HOUR_NS
    return same_hour and entry.ended_ns >= segment.last_ns - BACK_NS
