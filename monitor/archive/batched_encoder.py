"""Batched encoder: the windows of several recordings through the model at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detection.engine import AudioEncoder
from monitor.types import Embeddings


@dataclass(slots=True, eq=False)
class _Request:
    spectrograms: NDArray[np.float32]
    rows: Embeddings | None = None


class BatchedEncoder:
    """Audio encoder for several threads: what they ask for at about the same time is one batch.

    Parameters
    ----------
    encode : callable
        The model's audio encoder, for one thread.
    most : int
        Requests in a batch.
    patience_seconds : float
        Longest time that a request waits for those of the other recordings.  On a processor it is worth the
        wait: meanwhile the others use the core.  With 0, what comes while the encoder is busy is a batch.
    """

    def __init__(self, encode: AudioEncoder, most: int, patience_seconds: float = 0.0) -> None:
        self._encode, self._most, self._patience = encode, most, patience_seconds
        self._recordings = 0
        self._busy = threading.Lock()
        self._changed = threading.Condition()
        self._waiting: deque[_Request] = deque()

    @contextmanager
    def taking_part(self) -> Iterator[None]:
        """Count a recording among those for whose windows a batch waits."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def __call__(self, spectrograms: NDArray[np.float32]) -> Embeddings:
        """Embed spectrograms, shape (n, frames, mel_bins); raises what the encoder raises."""
        request = _Request(spectrograms)
        with self._changed:
            self._waiting.append(request)
            self._changed.notify_all()
            self._changed.wait_for(lambda: request.rows is not None or self._is_complete, self._patience)
        while request.rows is None:
            with self._busy:
                if request.rows is None:
                    self._run([self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))])
        return request.rows

    @property
    def _is_complete(self) -> bool:
        """Whether no other recording can add to the next batch."""
        return len(self._waiting) >= min(self._most, self._recordings)

    def _count(self, more: int) -> None:
        with self._changed:
            self._recordings += more
            self._changed.notify_all()

    def _run(self, batch: list[_Request]) -> None:
        rows = None
        try:
            rows = self._encode(np.concatenate([request.spectrograms for request in batch]))
        finally:
            if rows is None:  # each of the others meets the error itself
                self._waiting.extendleft(reversed(batch))
        first = 0
        for request in batch:
            request.rows = rows[first : first + len(request.spectrograms)]
            first += len(request.spectrograms)
        with self._changed:
            self._changed.notify_all()
