"""Batched encoder: the windows of several recordings through the model at once."""

from __future__ import annotations

import threading
from collections import deque
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
    """Audio encoder for several threads: what they ask for while it is busy becomes the next batch.

    Parameters
    ----------
    encode : callable
        The model's audio encoder, for one thread.
    most : int
        Requests in a batch.
    """

    def __init__(self, encode: AudioEncoder, most: int) -> None:
        self._encode, self._most = encode, most
        self._busy = threading.Lock()
        self._waiting: deque[_Request] = deque()

    def __call__(self, spectrograms: NDArray[np.float32]) -> Embeddings:
        """Embed spectrograms, shape (n, frames, mel_bins); raises what the encoder raises."""
        request = _Request(spectrograms)
        self._waiting.append(request)
        while request.rows is None:
            with self._busy:
                if request.rows is None:
                    self._run([self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))])
        return request.rows

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
