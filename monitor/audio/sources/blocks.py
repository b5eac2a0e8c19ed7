"""Blocks: captured audio of a source, resampled and counted, with gaps marked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monitor.audio.resample import Resampler
from monitor.audio.turns import turn
from monitor.types import AudioBlock, Samples

_LONGEST_SECONDS = 0.25
"""Each block costs a thread that wakes up: on a busy machine blocks of 0.1 s cost twice as much [measured].
Longer ones would be heard and shown late."""

_RESAMPLER_SECONDS = 0.04
"""Delay of a resampler of audio of 16 kHz or more [measured: 5 to 35 ms]."""


@dataclass(frozen=True, slots=True)
class BlockLengths:
    """How long the blocks of a source are, in seconds."""

    seconds: float = 0.1
    first_seconds: float | None = None
    """Length of the first block, also after a gap; None: as all others."""

    def samples(self, rate: int, *, first: bool) -> int:
        """Return the length of the first block, or of another, at a rate in Hz; at least 1."""
        seconds = self.first_seconds if first and self.first_seconds is not None else self.seconds
        return max(1, round(seconds * rate))


def block_lengths(window_seconds: float, hop_seconds: float) -> BlockLengths:
    """Return the longest blocks with which every window of a source ends together with a block.

    The first block is longer: resamplers are late, and a window must not wait for the next block.
    """
    seconds = hop_seconds / math.ceil(hop_seconds / _LONGEST_SECONDS)
    return BlockLengths(seconds, seconds + window_seconds % seconds + _RESAMPLER_SECONDS)


class BlockMaker:
    """Makes the blocks of the source of this name, at ``rate`` in Hz.

    Positions count the samples of the blocks, so they do not jump when audio is lost: ``gap`` on the next
    block marks the loss.  No resampling filter spans a gap.
    """

    def __init__(self, source: str, rate: int) -> None:
        self._source = source
        self._rate = rate
        self._start = 0
        self._gap = False
        self._ended_at = 0.0
        self._input_rate = rate
        self._resampler = Resampler(rate, rate)

    def begin(self, input_rate: int, *, gap: bool) -> list[AudioBlock]:
        """Restart at ``input_rate`` (Hz); return the rest of the audio before.

        ``gap`` marks that audio is missing in between.
        """
        rest = self.finish()
        self._input_rate = input_rate
        self._resampler = Resampler(input_rate, self._rate)
        self._gap = self._gap or (gap and self._start > 0)
        return rest

    def push(self, samples: Samples, ended_at: float, *, gap: bool = False) -> list[AudioBlock]:
        """Return the blocks that are ready, at most two, after samples of shape (n,) at the input's rate.

        The last one was captured at ``ended_at``, in Unix seconds.  ``gap``: audio is missing before them.
        """
        rest = self.begin(self._input_rate, gap=True) if gap else []
        self._ended_at = ended_at
        with turn:
            ready = self._resampler.push(samples)
        return rest + self._block(ready, ended_at - self._resampler.delay / self._rate)

    def finish(self) -> list[AudioBlock]:
        """Return what the resampler still holds."""
        rest = self._block(self._resampler.finish(), self._ended_at)
        self._resampler = Resampler(self._rate, self._rate)
        return rest

    def at_rate(self, count: int) -> int:
        """Convert a number of samples from the input's rate to that of the blocks."""
        return round(count * self._rate / self._input_rate)

    def _block(self, samples: Samples, ended_at: float) -> list[AudioBlock]:
        if not len(samples):
            return []
        # The reader may keep a block: it must not be a view of a larger array.
        samples = samples if samples.base is None else np.array(samples)
        block = AudioBlock(self._source, self._start, samples, ended_at, gap=self._gap)
        self._start, self._gap = block.stop, False
        return [block]
