"""Resampling: any number of channels to one, and any rate to the model's, block by block."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from monitor.audio.level import marked
from monitor.types import Samples


def mono(frames: NDArray[np.float32], channel: int | None) -> Samples:
    """Return one channel (from 1), or with None the mean of all, of frames of shape (n, channels).

    The result, shape (n,), is contiguous: a copy, or ``frames`` itself if it has only one channel.
    Implausible samples (`level.PLAUSIBLE`) become infinite: a resampler turns them into NaN, instead of a
    ringing that looks like sound.
    """
    if channel is None and frames.shape[1] > 1:
        with np.errstate(invalid="ignore"):  # infinities of both signs
            mean: Samples = marked(frames).mean(axis=1, dtype=np.float32)
        return mean
    return marked(np.ascontiguousarray(frames[:, (channel or 1) - 1]))


class Resampler:
    """Resamples a stream; blocks of any size give, sample for sample, the result of the whole array.

    Uses soxr at quality HQ, which needs to look ahead: the output of `push` ends `delay` samples before its
    input, and `finish` returns the rest.  So n samples become n * rate / input_rate, rounded.  With equal
    rates the samples pass through, without delay.  Both rates are in Hz.
    """

    def __init__(self, input_rate: int, rate: int) -> None:
        self._stream = None if input_rate == rate else soxr.ResampleStream(input_rate, rate, 1, quality="HQ")

    @property
    def delay(self) -> float:
        """Audio received and not yet returned, in samples at the output's rate."""
        return 0.0 if self._stream is None else float(self._stream.delay())

    def push(self, samples: Samples) -> Samples:
        """Return the resampled audio that is ready; may be empty."""
        return samples if self._stream is None else self._run(samples, last=False)

    def finish(self) -> Samples:
        """Return the rest of the audio; call nothing afterwards."""
        nothing = np.zeros(0, dtype=np.float32)
        return nothing if self._stream is None else self._run(nothing, last=True)

    def _run(self, samples: Samples, *, last: bool) -> Samples:
        assert self._stream is not None  # noqa: S101 - for mypy: the callers have looked
        resampled: Samples = self._stream.resample_chunk(samples, last=last)
        return resampled
