"""Decode recordings and turn sound into log-mel, as ClapFeatureExtractor does."""

from __future__ import annotations

import functools
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.fft

from training import geometry as g

Samples = npt.NDArray[np.float32]
"""Mono sound, shape (samples,), full scale at 1."""

LEVEL = 0.1
"""RMS (-20 dBFS) to which the loudest second of every recording is brought."""

PEAK = 0.99


def read_sound(path: Path, longest_s: float = np.inf) -> tuple[Samples, int]:
    """Mono samples and their rate; a long recording is cut at a place fixed by its name."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        wanted = int(min(len(file), longest_s * file.samplerate))
        spare = len(file) - wanted
        file.seek(zlib.crc32(path.name.encode()) % spare if spare else 0)
        sound = file.read(wanted, dtype="float32", always_2d=True).mean(axis=1)
        return sound, file.samplerate


def write_sound(path: Path, sound: Samples, rate: int) -> None:
    """Write 16-bit samples in the format that the name says."""
    import soundfile

    soundfile.write(path, sound, rate, subtype="PCM_16")


def resample(sound: Samples, old: int, new: int) -> Samples:
    """Samples at another rate."""
    import soxr

    return sound if old == new else soxr.resample(sound, old, new).astype(np.float32)


def level(sound: Samples, rate: int) -> Samples:
    """Bring the loudest second to `LEVEL`, or less where that would clip."""
    starts = range(0, max(1, len(sound) - rate + 1), rate // 2)
    loudest = max(float(np.mean(sound[i : i + rate] ** 2)) for i in starts) ** 0.5
    peak = float(np.abs(sound).max())
    return sound * np.float32(min(LEVEL / max(loudest, 1e-6), PEAK / max(peak, 1e-6)))


def log_mel(sound: Samples) -> npt.NDArray[np.float32]:
    """Log-mel power in dB, shape (1 + samples // HOP, MELS), at 48 kHz."""
    padded = np.pad(sound, g.FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, g.FFT)[:: g.HOP]
    spectrum = scipy.fft.rfft(frames * _window(), axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    return (10 * np.log10(np.maximum(power @ _mel_bank(), 1e-10))).astype(np.float32)


@functools.cache
def band_widths() -> Samples:
    """Bins of a spectrum for which each mel band stands, shape (MELS,).

    The bank has unit area in Hz, so a band's value is a mean over its bins, per Hz; times the
    distance of its neighbours' centres, halved, it is the power of its share of the spectrum.
    """
    from transformers.audio_utils import hertz_to_mel, mel_to_hertz

    low, high = (hertz_to_mel(edge, mel_scale="slaney") for edge in (g.LOWEST_HZ, g.HIGHEST_HZ))
    edges = np.asarray(mel_to_hertz(np.linspace(low, high, g.MELS + 2), mel_scale="slaney"))
    return ((edges[2:] - edges[:-2]) / 2).astype(np.float32)


@functools.cache
def _window() -> Samples:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(g.FFT) / g.FFT)).astype(np.float32)


@functools.cache
def _mel_bank() -> npt.NDArray[np.float32]:
    """Slaney bank, which the extractor uses when ``truncation="rand_trunc"``."""
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(
        num_frequency_bins=g.FFT // 2 + 1,
        num_mel_filters=g.MELS,
        min_frequency=g.LOWEST_HZ,
        max_frequency=g.HIGHEST_HZ,
        sampling_rate=g.RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    return np.asarray(bank, dtype=np.float32)
