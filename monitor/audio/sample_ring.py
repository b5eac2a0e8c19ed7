"""Sample ring: the newest samples of a source as they came, and older ones in 16 bits, in half the memory.

Windows are recent, so they are exact.  What looks further back is a clip, which a file keeps in 16 bits
anyway.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.types import Samples

T = TypeVar("T", bound=np.generic)

_FULL_SCALE = np.float32(32768.0)
"""Of a sample of 1 in 16 bits, as libsndfile writes FLAC."""

_LARGEST = 32767.0


class SampleRing:
    """Fixed store of the newest samples, addressed by sample index.

    Parameters
    ----------
    capacity : int
        Number of samples kept.
    exact : int
        So many of the newest are kept as they came; all of them if that takes less memory.  Of the others,
        those beyond full scale become full scale, and those that are not numbers 0.
    """

    def __init__(self, capacity: int, exact: int) -> None:
        self.capacity = capacity
        all_exact = 2 * exact >= capacity
        self._exact = np.zeros(capacity if all_exact else exact, dtype=np.float32)
        self._rounded = None if all_exact else np.zeros(capacity, dtype=np.int16)

    @property
    def exact(self) -> int:
        """Number of samples that are kept as they came."""
        return len(self._exact)

    def write(self, start: int, samples: Samples) -> None:
        """Write samples that begin at an index, at most `capacity`."""
        if self._rounded is not None:
            _write(self._rounded, start, _rounded(samples))
        newest = samples[-len(self._exact) :]
        _write(self._exact, start + len(samples) - len(newest), newest)

    def read(self, start: int, stop: int, newest: int) -> Samples:
        """Copy of the samples in ``[start, stop)``; as they came, if within `exact` of ``newest``."""
        if self._rounded is None or start >= newest - len(self._exact):
            return _read(self._exact, start, stop)
        return _read(self._rounded, start, stop).astype(np.float32) / _FULL_SCALE


def _rounded(samples: Samples) -> NDArray[np.int16]:
    scaled = np.clip(samples * _FULL_SCALE, -_FULL_SCALE, _LARGEST)
    np.rint(scaled, out=scaled)
    scaled[np.isnan(scaled)] = 0.0
    rounded: NDArray[np.int16] = scaled.astype(np.int16)
    return rounded


def _write(ring: NDArray[T], start: int, samples: NDArray[T]) -> None:
    first = start % len(ring)
    head = samples[: len(ring) - first]
    tail = samples[len(head) :]
    ring[first : first + len(head)] = head
    ring[: len(tail)] = tail


def _read(ring: NDArray[T], start: int, stop: int) -> NDArray[T]:
    first = start % len(ring)
    head = ring[first : first + stop - start]
    return np.concatenate([head, ring[: stop - start - len(head)]])
