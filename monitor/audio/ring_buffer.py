"""Ring buffer of the newest seconds of one source, addressed by sample index.

One thread appends, any thread reads.  Positions are absolute, so a reader that comes late gets
`OverrunError` and never the wrong audio.
"""

from __future__ import annotations

import threading
from bisect import bisect_left

from monitor.audio.sample_ring import SampleRing
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
    exact : int, optional
        So many of the newest samples are kept as they came, older ones in 16 bits; None: all as they came.
    due : threading.Condition, optional
        Notified when sample `wanted` is there, and at the end; a reader can wait for several buffers that
        share one.
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
        exact: int | None = None,
        due: threading.Condition | None = None,
        lossless: bool = False,
        behind: int = 0,
    ) -> None:
        self.rate = rate
        self.lossless = lossless
        self.stop = 0
        self.closed = False
        self.due = due or threading.Condition()
        self.wanted = 0
        """Index after the newest sample for which the reader waits (writer: the reader)."""
        self._changed = threading.Condition()
        self._audio = SampleRing(capacity, capacity if exact is None else exact)
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
        return max(0, self.stop - self._audio.capacity)

    def append(self, block: AudioBlock) -> None:
        """Add the next block and wake every waiting reader.

        Raises
        ------
        ValueError
            If the block does not continue where the last one ended, or is larger than the buffer.
        """
        with self._changed:
            if block.start != self.stop:
                raise ValueError(f"expected sample {self.stop}, got {block.start}")
            if len(block.samples) > self._audio.capacity:
                raise ValueError(f"a block of {len(block.samples)} is larger than the buffer")
            if self.lossless:
                room = block.stop - self._audio.capacity
                self._changed.wait_for(lambda: self._released >= room or self.closed)
            if block.gap:
                self._gaps.append(block.start)
            self._audio.write(block.start, block.samples)
            self.stop = block.stop
            self._stops.append(block.stop)
            self._times.append(block.ended_at)
            self._forget()
            self._changed.notify_all()
        if block.stop >= self.wanted:
            self._tell_reader()

    def close(self) -> None:
        """Mark the end of the audio; waiting readers and a waiting `append` return."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        self._tell_reader()

    def release(self, index: int) -> None:
        """Declare that samples before ``index`` will not be read again; a lossless `append` may continue."""
        with self._changed:
            self._released = max(self._released, index - self._behind)
            self._changed.notify_all()

    def wait(self, index: int, seconds: float) -> bool:
        """Wait, at most this long, for the sample before ``index``; True if it is there or at the end."""
        with self._changed:
            return self._changed.wait_for(lambda: self.stop >= index or self.closed, seconds)

    def read(self, start: int, stop: int, *, exact: bool = False) -> Samples:
        """Copy of the samples in ``[start, stop)``, shape (stop - start,).

        Raises
        ------
        OverrunError
            If the oldest of them has been overwritten; if ``exact``, if it is no longer as it came.
        ValueError
            If the newest of them has not arrived yet.
        """
        with self._changed:
            oldest = max(0, self.stop - self._audio.exact) if exact else self.start
            if start < oldest:
                raise OverrunError(f"sample {start} is gone, the oldest is {oldest}")
            if stop > self.stop:
                raise ValueError(f"sample {stop} has not arrived yet, the newest is {self.stop}")
            return self._audio.read(start, stop, self.stop)

    def last_gap(self, start: int, stop: int) -> int | None:
        """Index of the newest gap strictly inside ``[start, stop)``, None if the audio is whole."""
        with self._changed:
            return next((gap for gap in reversed(self._gaps) if start < gap < stop), None)

    def time_of(self, index: int) -> float:
        """Unix time, in seconds, at which the sample before ``index`` was captured."""
        with self._changed:
            if not self._stops:
                raise ValueError("no audio has arrived yet")
            block = min(bisect_left(self._stops, index), len(self._stops) - 1)
            return self._times[block] - (self._stops[block] - index) / self.rate

    def _tell_reader(self) -> None:
        with self.due:
            self.due.notify_all()

    def _forget(self) -> None:
        """Drop gaps and times of audio that was overwritten."""
        old = bisect_left(self._stops, self.start)
        if old > len(self._stops) // 2:  # not at every block: deleting from the front of a list copies it
            del self._stops[:old], self._times[:old]
        while self._gaps and self._gaps[0] < self.start:
            del self._gaps[0]
