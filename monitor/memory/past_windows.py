"""Past windows of a source, from the memory, for examples of what was heard some time ago."""

from __future__ import annotations

from collections.abc import Callable

from monitor.detection.quantised import restored
from monitor.detection.recent_embeddings import RecentWindow
from monitor.memory.memory_reader import MemoryReader

MOST = 3_600
"""Windows: an event lasts minutes, not hours."""


def past_windows(reader: MemoryReader) -> Callable[[str, float, float], list[RecentWindow]]:
    """Return a function of a source and two times, in Unix seconds, that finds the windows ending between.

    At most `MOST`, oldest first; none if the memory does not reach back so far.
    """

    def find(source: str, since: float, until: float) -> list[RecentWindow]:
        found: list[RecentWindow] = []
        for chunk in reader.chunks(source, since, until):
            rows = restored(chunk.vectors)
            for at, level, row in zip(chunk.ended_at.tolist(), chunk.levels.tolist(), rows, strict=True):
                if since <= at <= until:
                    found.append(RecentWindow(at, level, row))
            if len(found) >= MOST:
                break
        return found[:MOST]

    return find
