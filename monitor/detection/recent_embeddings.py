"""Recent embeddings of every source, for scores that a new prompt would have had."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from monitor.types import Embeddings, Scores


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
        self._embeddings: dict[str, deque[tuple[float, NDArray[np.float32]]]] = {
            source: deque(maxlen=windows) for source in sources
        }

    def add(self, scores: Scores) -> None:
        """Add the embedding of a window, if it has one."""
        if scores.embedding is not None:
            with self._lock:
                self._embeddings[scores.source].append((scores.ended_at, scores.embedding))

    def recent(self, source: str) -> tuple[list[float], Embeddings]:
        """Return the ends of the windows in Unix seconds, oldest first, and the embeddings, shape (n, d)."""
        with self._lock:
            kept = list(self._embeddings.get(source, ()))
        rows = [embedding for _, embedding in kept]
        return [at for at, _ in kept], np.stack(rows) if rows else np.empty((0, 0), dtype=np.float32)
