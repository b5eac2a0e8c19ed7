"""Audio encoding: samples to the bytes of a sound file, in memory; only `library` writes them to the disk."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import soxr

from monitor.types import Samples

_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)


def playable(samples: Samples) -> Samples:
    """Return a copy in [-1, 1], with silence instead of non-finite samples."""
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)


def encode(samples: Samples, rate: int, kind: str) -> bytes:
    """Encode samples, all in [-1, 1], as ``flac``, ``wav`` or ``opus``."""
    if kind == "opus":
        samples, rate = _for_opus(samples, rate)
    formats = {"flac": ("FLAC", "PCM_16"), "wav": ("WAV", "PCM_16"), "opus": ("OGG", "OPUS")}
    container, subtype = formats[kind]
    content = io.BytesIO()
    soundfile.write(content, np.clip(samples, -1.0, 1.0), rate, format=container, subtype=subtype)
    return content.getvalue()


def _for_opus(samples: Samples, rate: int) -> tuple[Samples, int]:
    """Resample to the next rate that Opus supports."""
    wished = next((known for known in _OPUS_RATES if known >= rate), _OPUS_RATES[-1])
    if wished == rate or not len(samples):
        return samples, wished
    resampled: Samples = soxr.resample(samples, rate, wished, quality="HQ").astype(np.float32)
    return resampled, wished
