"""Live spectrogram: the newest audio as columns of the log-mel that the model gets, small enough to be sent.

Streaming equals batch: whatever the steps in which audio arrives, the columns are those of the recording.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from monitor.model.log_mel import log_mel
from monitor.model.mel_config import MelConfig
from monitor.types import Samples

FLOOR_DB = -60.0
"""Level of byte 0, about that of an amplitude of 0.001."""

STEP_DB = 0.4
"""From one byte to the next: 255 is 42 dB, slightly above full scale."""

PER_SECOND = 20
"""Columns per second, about; each shows the loudest of several frames, so that no click is lost."""

Columns = NDArray[np.uint8]
"""Shape (columns, mel_bins), lowest frequency first."""


class SpectrogramColumns:
    """Spectrogram columns of one source; ``read`` returns the samples from ``start`` to ``stop``."""

    def __init__(self, mel_config: MelConfig, read: Callable[[int, int], Samples]) -> None:
        self.samples = round(mel_config.rate / self.per_second(mel_config))
        """Samples from one column to the next: a whole number of the model's frames."""
        self._mel_config = mel_config
        self._read_samples = read
        self._margin = mel_config.fft_length // 2
        self._before = -(-self._margin // mel_config.hop) * mel_config.hop
        self._next = 0
        """Index of the next column, from the opening of the source."""

    @staticmethod
    def per_second(mel_config: MelConfig) -> float:
        """Return the columns in a second, about `PER_SECOND`."""
        frames_per_second = mel_config.rate / mel_config.hop
        return frames_per_second / max(1, round(frames_per_second / PER_SECOND))

    @property
    def position(self) -> int:
        """Sample index at which the next column starts."""
        return self._next * self.samples

    def restart(self, index: int) -> None:
        """Continue with the first column that starts at or after sample ``index``."""
        self._next = -(-(index + self._margin) // self.samples)

    def read(self, stop: int) -> tuple[int, Columns]:
        """Return the new columns that are complete with the samples before ``stop``.

        Returns
        -------
        start : int
            Sample index at which the first of them starts.
        columns : array, shape (columns, mel_bins)
            Bytes of `STEP_DB` above `FLOOR_DB`.

        Raises
        ------
        OverrunError
            Samples that are needed have been overwritten; call `restart`.
        """
        first, last = self._next, max(self._next, (stop - self._margin) // self.samples)
        self._next = last
        most = max(1, (self._mel_config.length - self._before - self._margin) // self.samples)
        parts = [self._columns(at, min(at + most, last)) for at in range(first, last, most)]
        empty = np.empty((0, self._mel_config.mel_bins), dtype=np.uint8)
        return first * self.samples, np.concatenate([empty, *parts])

    def _columns(self, first: int, last: int) -> Columns:
        """Return columns ``[first, last)``, few enough for one window of the model."""
        mel_config = self._mel_config
        # Frames are centered on multiples of the hop: half a frame on each side is read as well, so that
        # nothing that the extractor mirrors at the ends is used.
        before = min(first * self.samples, self._before)
        samples = self._read_samples(first * self.samples - before, last * self.samples + self._margin)
        frames = log_mel(np.nan_to_num(samples), mel_config)[before // mel_config.hop :]
        each = self.samples // mel_config.hop
        loudest = frames[: (last - first) * each].reshape(last - first, each, -1).max(axis=1)
        return quantised(loudest)


def quantised(decibels: NDArray[np.float32]) -> Columns:
    """Return decibels as bytes of `STEP_DB` above `FLOOR_DB`."""
    steps = np.rint((decibels - np.float32(FLOOR_DB)) / np.float32(STEP_DB))
    columns: Columns = np.clip(steps, 0, 255).astype(np.uint8)
    return columns
