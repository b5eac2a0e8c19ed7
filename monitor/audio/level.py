"""How loud a window is, whether it is worth scoring, and how it is brought to one level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.types import GateReason, Samples

REFERENCE_DBFS = -20.0
"""RMS to which a window is brought before the model hears it.

CLAP hears level: nothing in `ClapFeatureExtractor` removes it, so a gain of the microphone shifts
every log-mel value (``clap-monitor``'s windows therefore always come at one level).  -20 dBFS is
about what recordings of its training data have."""

PLAUSIBLE = 1000.0
"""No sample of any sound is larger: 60 dB above full scale.

Files and pipes of floats may exceed full scale, and are heard; recordings do so by 6 dB, hardly ever by 20.
A larger number is no sound: bytes that are out of step or of another format give any number up to 1e38,
and its square, in a spectrogram, none at all."""

_LARGEST_GAIN = 1e15
"""Its square still is a number in float32; what is so soft is far below the noise of any converter."""

_PART_SECONDS = 0.1


def is_plausible(samples: NDArray[np.float32]) -> bool:
    """Tell whether all samples are finite numbers within `PLAUSIBLE`; true of none."""
    # A NaN is the lowest and the highest of whatever it stands among, and no comparison holds for it.
    return not samples.size or bool(samples.min() >= -PLAUSIBLE and samples.max() <= PLAUSIBLE)


def plausible(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples with 0 in place of each that is no number or beyond `PLAUSIBLE`; a copy if any is."""
    if is_plausible(samples):
        return samples
    return np.where(np.abs(samples) <= PLAUSIBLE, samples, np.float32(0.0))


def marked(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples in which each that is beyond `PLAUSIBLE` is infinite; a copy if any is."""
    if is_plausible(samples):
        return samples
    return np.where(np.abs(samples) > PLAUSIBLE, np.copysign(np.float32(np.inf), samples), samples)


def rms_dbfs(samples: Samples) -> float:
    """Level of the samples in dB of a full-scale square wave; ``-inf`` for digital silence or none."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10.0 * float(np.log10(power)) if power > 0.0 else float("-inf")


def loudest_dbfs(samples: Samples, rate: int) -> float:
    """Level of the loudest tenth of a second.

    A short soft sound in a quiet window counts as what it is, not averaged with the quiet around it.
    """
    part = max(1, min(len(samples), int(_PART_SECONDS * rate)))
    count = max(1, len(samples) // part)
    power = np.square(samples[: count * part], dtype=np.float64).reshape(count, -1).mean(axis=1)
    loudest = float(power.max()) if len(samples) else 0.0
    return 10.0 * float(np.log10(loudest)) if loudest > 0.0 else float("-inf")


def gate(samples: Samples, rate: int, silence_dbfs: float) -> GateReason | None:
    """Return why this window is not worth scoring; None if it is.

    A NaN, or a number so large that it becomes one, would make every score NaN and the detector silently
    dead; exact zeros give a finite and confident-looking embedding.
    """
    if not is_plausible(samples):
        return GateReason.NON_FINITE
    if not samples.any():
        return GateReason.DIGITAL_SILENCE
    return GateReason.SILENCE if loudest_dbfs(samples, rate) < silence_dbfs else None


def to_reference(samples: Samples) -> Samples:
    """Copy of the window with an RMS of `REFERENCE_DBFS`; not limited to [-1, 1].

    They are to have passed `gate`.
    """
    return (samples * np.float32(reference_gain(samples))).astype(np.float32)


def reference_gain(samples: Samples) -> float:
    """Factor that brings the window to an RMS of `REFERENCE_DBFS`, as far as `_LARGEST_GAIN` does."""
    return min(float(10.0 ** ((REFERENCE_DBFS - rms_dbfs(samples)) / 20.0)), _LARGEST_GAIN)
