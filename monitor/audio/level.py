"""Level of a window, the silence gate, and normalisation to one level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.types import GateReason, Samples

REFERENCE_DBFS = -20.0
"""RMS to which every window is normalised before the model.

CLAP depends on level: nothing in `ClapFeatureExtractor` removes it, so the gain of a microphone shifts every
log-mel value.  -20 dBFS is about the level of the recordings in its training data."""

PLAUSIBLE = 1000.0
"""Largest plausible sample: 60 dB above full scale.

Files and pipes of floats may exceed full scale; recordings do so by 6 dB, hardly ever by 20.  A larger number
is not sound: misaligned bytes or another format give any number up to 1e38, whose square, in a spectrogram,
is infinite."""

_LARGEST_GAIN = 1e15
"""Its square is finite in float32; a window that needs more is far below the noise of any converter."""

_PART_SECONDS = 0.1


def is_plausible(samples: NDArray[np.float32]) -> bool:
    """Return whether all samples are finite numbers within `PLAUSIBLE`; true for no samples."""
    # With a NaN among the samples both min and max are NaN, and no comparison holds.
    return not samples.size or bool(samples.min() >= -PLAUSIBLE and samples.max() <= PLAUSIBLE)


def plausible(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the samples with each NaN or implausible one replaced by 0; a copy if there is any."""
    if is_plausible(samples):
        return samples
    return np.where(np.abs(samples) <= PLAUSIBLE, samples, np.float32(0.0))


def marked(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the samples with each one beyond `PLAUSIBLE` made infinite; a copy if there is any."""
    if is_plausible(samples):
        return samples
    return np.where(np.abs(samples) > PLAUSIBLE, np.copysign(np.float32(np.inf), samples), samples)


def rms_dbfs(samples: Samples) -> float:
    """Return the RMS level in dB of a full-scale square wave; ``-inf`` for digital silence or no samples."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10.0 * float(np.log10(power)) if power > 0.0 else float("-inf")


def loudest_dbfs(samples: Samples, rate: int) -> float:
    """Return the level of the loudest tenth of a second.

    So a short soft sound is not averaged with the quiet around it.
    """
    loudest = float(part_powers(samples, int(_PART_SECONDS * rate)).max()) if len(samples) else 0.0
    return 10.0 * float(np.log10(loudest)) if loudest > 0.0 else float("-inf")


def part_powers(samples: Samples, length: int) -> NDArray[np.float64]:
    """Return the mean square of each whole part of a length, shape (parts,), at least one."""
    part = max(1, min(len(samples), length))
    count = max(1, len(samples) // part)
    squares = np.square(samples[: count * part], dtype=np.float64)
    powers: NDArray[np.float64] = squares.reshape(count, part).mean(axis=1)
    return powers


def gate(samples: Samples, rate: int, silence_dbfs: float) -> GateReason | None:
    """Return why this window is not worth scoring; None if it is.

    A NaN, or a number so large that it becomes one, would make every score NaN and the detector silently
    dead.  Exact zeros would give a finite and confident-looking embedding.
    """
    if not is_plausible(samples):
        return GateReason.NON_FINITE
    if not samples.any():
        return GateReason.DIGITAL_SILENCE
    return GateReason.SILENCE if loudest_dbfs(samples, rate) < silence_dbfs else None


def to_reference(samples: Samples) -> Samples:
    """Return a copy of the window with an RMS of `REFERENCE_DBFS`; not limited to [-1, 1].

    The window must have passed `gate`.
    """
    return (samples * np.float32(reference_gain(samples))).astype(np.float32)


def reference_gain(samples: Samples) -> float:
    """Return the factor that gives the window an RMS of `REFERENCE_DBFS`, at most `_LARGEST_GAIN`."""
    return min(float(10.0 ** ((REFERENCE_DBFS - rms_dbfs(samples)) / 20.0)), _LARGEST_GAIN)
