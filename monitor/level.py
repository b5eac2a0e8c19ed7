"""How loud a window is, whether it is worth scoring, and how it is brought to one level."""

from __future__ import annotations

import numpy as np

from monitor.types import Samples

REFERENCE_DBFS = -20.0
"""RMS to which a window is brought before the model hears it.

CLAP hears level: nothing in `ClapFeatureExtractor` removes it, so a gain of the microphone shifts
every log-mel value (``clap-monitor``'s windows therefore always come at one level).  -20 dBFS is
about what recordings of its training data have."""

_PART_SECONDS = 0.1


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


def gate(samples: Samples, rate: int, silence_dbfs: float) -> str | None:
    """Why this window is not worth scoring: ``non_finite``, ``digital_silence``, ``silent``; or None.

    A NaN would make every score NaN and the detector silently dead; exact zeros give a finite and
    confident-looking embedding.
    """
    if not np.isfinite(samples).all():
        return "non_finite"
    if not samples.any():
        return "digital_silence"
    return "silent" if loudest_dbfs(samples, rate) < silence_dbfs else None


def to_reference(samples: Samples) -> Samples:
    """Copy of the window with an RMS of `REFERENCE_DBFS`; not limited to [-1, 1].

    The samples must not be all zero.
    """
    return (samples * np.float32(reference_gain(samples))).astype(np.float32)


def reference_gain(samples: Samples) -> float:
    """Factor that brings the window to an RMS of `REFERENCE_DBFS`."""
    return float(10.0 ** ((REFERENCE_DBFS - rms_dbfs(samples)) / 20.0))
