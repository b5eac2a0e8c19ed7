"""The embeddings of the last minute of every source: what a sentence would have scored, had it been asked."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from monitor.types import Embeddings, Scores


class RecentEmbeddings:
    """Keep what windows sounded like to the model; written by the analysis, read by any thread.

    Parameters
    ----------
    sources : iterable of str
        Their names.
    windows : int
        How many of each are kept.
    """

    def __init__(self, sources: Iterable[str], windows: int) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, deque[tuple[float, NDArray[np.float32]]]] = {
            source: deque(maxlen=windows) for source in sources
        }

    def add(self, scores: Scores) -> None:
        """Keep the embedding of a window, if it has one."""
        if scores.embedding is not None:
            with self._lock:
                self._kept[scores.source].append((scores.ended_at, scores.embedding))

    def recent(self, source: str) -> tuple[list[float], Embeddings]:
        """When the windows that are kept ended, oldest first, and their embeddings, shape (windows, d)."""
        with self._lock:
            kept = list(self._kept.get(source, ()))
        rows = [embedding for _, embedding in kept]
        return [at for at, _ in kept], np.stack(rows) if rows else np.empty((0, 0), dtype=np.float32)
