"""Recent embeddings of every source, for scores that a new prompt would have had, and for examples."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.types import Embeddings, Scores


@dataclass(frozen=True, slots=True, eq=False)
class RecentWindow:
    """One scored window."""

    ended_at: float
    """Unix seconds."""
    level_dbfs: float
    """Of its newest hop."""
    embedding: NDArray[np.float32]
    """Shape (d,)."""


class RecentEmbeddings:
    """The newest embeddings of each source; written by the analysis, read by any thread.

    Parameters
    ----------
    sources : iterable of str
        Their names.
    windows : int
        Windows kept of each.
    """

    def __init__(self, sources: Iterable[str], windows: int) -> None:
        self._lock = threading.Lock()
        self._windows: dict[str, deque[RecentWindow]] = {source: deque(maxlen=windows) for source in sources}

    def add(self, scores: Scores) -> None:
        """Add the embedding of a window, if it has one."""
        if scores.embedding is not None:
            window = RecentWindow(scores.ended_at, scores.level_dbfs, scores.embedding)
            with self._lock:
                self._windows[scores.source].append(window)

    def recent(self, source: str) -> tuple[list[float], Embeddings]:
        """Return the ends of the windows in Unix seconds, oldest first, and the embeddings, shape (n, d)."""
        kept = self.windows(source)
        rows = [window.embedding for window in kept]
        return [window.ended_at for window in kept], (
            np.stack(rows) if rows else np.empty((0, 0), dtype=np.float32)
        )

    def windows(self, source: str) -> list[RecentWindow]:
        """Return the newest windows of a source, oldest first."""
        with self._lock:
            return list(self._windows.get(source, ()))
