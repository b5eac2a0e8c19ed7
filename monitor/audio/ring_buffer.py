"""Ring buffer of the newest seconds of one source, addressed by sample index.

One thread appends, any thread reads.  Positions are absolute, so a reader that comes late gets
`OverrunError` and never the wrong audio.
"""

from __future__ import annotations

import threading
from bisect import bisect_left

import numpy as np

from monitor.types import AudioBlock, Samples


class OverrunError(Exception):
    """The requested audio has already been overwritten."""


class RingBuffer:
    """A fixed store of the newest samples.

    Parameters
    ----------
    capacity : int
        Number of samples kept.
    rate : int
        Samples per second.
    changed : threading.Condition, optional
        Notified at every change; a reader can wait for several buffers that share one.
    lossless : bool
        `append` waits until the reader has released enough, instead of overwriting.  This is how a
        file is replayed as fast as the model allows without leaving out a window.
    behind : int
        Samples that a lossless buffer keeps after their release, for readers that look back.
    """

    def __init__(
        self,
        capacity: int,
        rate: int,
        *,
        changed: threading.Condition | None = None,
        lossless: bool = False,
        behind: int = 0,
    ) -> None:
        self.rate = rate
        self.lossless = lossless
        self.stop = 0
        self.closed = False
        self.changed = changed or threading.Condition()
        self._audio = np.zeros(capacity, dtype=np.float32)
        self._released = 0
        self._behind = behind
        self._gaps: list[int] = []
        # Where every block held ended, and when: time is looked up per block, so neither a gap nor
        # the drift of the sound card's clock moves the time of older samples.
        self._stops: list[int] = []
        self._times: list[float] = []

    @property
    def start(self) -> int:
        """Index of the oldest sample still held."""
        return max(0, self.stop - len(self._audio))

    def append(self, block: AudioBlock) -> None:
        """Add the next block and wake every waiting reader.

        Raises
        ------
        ValueError
            If the block does not continue where the last one ended, or is larger than the buffer.
        """
        with self.changed:
            if block.start != self.stop:
                raise ValueError(f"expected sample {self.stop}, got {block.start}")
            if len(block.samples) > len(self._audio):
                raise ValueError(f"a block of {len(block.samples)} is larger than the buffer")
            if self.lossless:
                room = block.stop - len(self._audio)
                self.changed.wait_for(lambda: self._released >= room or self.closed)
            if block.gap:
                self._gaps.append(block.start)
            self._write(block.samples)
            self._stops.append(block.stop)
            self._times.append(block.ended_at)
            self._forget()
            self.changed.notify_all()

    def close(self) -> None:
        """Mark the end of the audio; waiting readers and a waiting `append` return."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def release(self, index: int) -> None:
        """Declare that samples before ``index`` will not be read again; a lossless `append` may continue."""
        with self.changed:
            self._released = max(self._released, index - self._behind)
            self.changed.notify_all()

    def read(self, start: int, stop: int) -> Samples:
        """Copy of the samples in ``[start, stop)``, shape (stop - start,).

        Raises
        ------
        OverrunError
            If the oldest of them has been overwritten.
        ValueError
            If the newest of them is not here yet.
        """
        with self.changed:
            if start < self.start:
                raise OverrunError(f"sample {start} is gone, the oldest is {self.start}")
            if stop > self.stop:
                raise ValueError(f"sample {stop} is not here yet, the newest is {self.stop}")
            first = start % len(self._audio)
            head = self._audio[first : first + stop - start]
            tail = self._audio[: stop - start - len(head)]
            return np.concatenate([head, tail])

    def last_gap(self, start: int, stop: int) -> int | None:
        """Index of the newest gap strictly inside ``[start, stop)``, None if the audio is whole."""
        with self.changed:
            return next((gap for gap in reversed(self._gaps) if start < gap < stop), None)

    def time_of(self, index: int) -> float:
        """Unix time, in seconds, at which the sample before ``index`` was captured."""
        with self.changed:
            if not self._stops:
                raise ValueError("no audio has arrived yet")
            block = min(bisect_left(self._stops, index), len(self._stops) - 1)
            return self._times[block] - (self._stops[block] - index) / self.rate

    def _write(self, samples: Samples) -> None:
        first = self.stop % len(self._audio)
        head = samples[: len(self._audio) - first]
        tail = samples[len(head) :]
        self._audio[first : first + len(head)] = head
        self._audio[: len(tail)] = tail
        self.stop += len(samples)

    def _forget(self) -> None:
        """Drop gaps and times of audio that was overwritten."""
        old = bisect_left(self._stops, self.start)
        if old > len(self._stops) // 2:  # not at every block: deleting from the front of a list copies it
            del self._stops[:old], self._times[:old]
        while self._gaps and self._gaps[0] < self.start:
            del self._gaps[0]
