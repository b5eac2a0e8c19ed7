"""Samples -> log-mel, as the checkpoint was trained on.

Everything comes from the checkpoint's own preprocessor configuration; what a configuration leaves
out has the default of ``transformers.ClapFeatureExtractor``, whose output this equals to 1e-5 dB.
Measured on one idle core: 1.6 ms instead of 4.8 for the starter's 5 s window, 3 ms instead of 18
for 10 s at the geometry of ``laion/clap-htsat-unfused``, 2 ms for 5 s.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.sparse import csr_array

from monitor.geometry import Geometry
from monitor.types import ModelError, Samples

# Rows of one Fourier transform.  Blocks that stay in the cache are three times as fast as all frames at
# once [measured: 8 to 64 rows within 20 %].
_ROWS = 32
_FLOOR = np.float32(1e-10)  # -100 dB, where the extractor clips (mel_floor of its `spectrogram`)
_KNEE = 15.0  # mel at 1000 Hz, where the slaney scale turns from linear to logarithmic


def check_window(length: int, geometry: Geometry) -> None:
    """Refuse windows that a whole number of repeats does not fill.

    The rest would be digital silence, -100 dB in every bin: on the starter one sample too many took
    the recall of a crying baby from 8 of 8 clips to 1 of 8.

    Raises
    ------
    ModelError
        The length, in samples, does not divide the checkpoint's.
    """
    if length < 1 or geometry.length % length:
        fitting = ", ".join(f"{geometry.seconds / count:g}" for count in (1, 2, 4, 5, 10))
        raise ModelError(
            f"window.seconds: {length / geometry.rate:g} s does not divide the {geometry.seconds:g} s that "
            f"the checkpoint hears at once; {fitting} s do"
        )


def log_mel(samples: Samples, geometry: Geometry) -> NDArray[np.float32]:
    """Log-mel spectrogram of one window, or of each window of a batch.

    Power spectrum of periodic Hann frames centred on multiples of the hop, both ends mirrored; mel
    filters; ``10 log10`` with a floor at -100 dB and 0 dB at power 1.  No level normalisation.

    Parameters
    ----------
    samples : NDArray[np.float32]
        Shape (n,) or (windows, n), mono at the geometry's rate, in [-1, 1]; 0 < n <= geometry.length.

    Returns
    -------
    NDArray[np.float32]
        Shape (frames, mel_bins) or (windows, frames, mel_bins), in dB.

    Raises
    ------
    ValueError
        An empty window, or one longer than the checkpoint hears (nothing is cropped here).
    """
    if samples.ndim > 1:
        return np.stack([log_mel(window, geometry) for window in samples])
    if not 0 < len(samples) <= geometry.length:
        raise ValueError(f"{len(samples)} samples: expected 1 to {geometry.length}")
    centred = np.pad(_fill(samples, geometry), geometry.fft_length // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(centred, geometry.fft_length)[:: geometry.hop]
    period, edge = _repeat(len(samples), geometry)
    if not period:
        return _decibels(frames, geometry)
    # The window is repeated whole, and so are its frames, but for those that reach over an end.
    head = _decibels(frames[: edge + period], geometry)
    tail = _decibels(frames[len(frames) - edge :], geometry)
    inner = np.arange(edge + period, len(frames) - edge)
    return np.concatenate([head, head[edge + (inner - edge) % period], tail])


def mel_bank(geometry: Geometry) -> NDArray[np.float64]:
    """Weights of the mel filters, shape (fft_length // 2 + 1, mel_bins).

    Triangles, linear in Hz, whose corners are equally spaced on a mel scale.  "htk":
    ``2595 log10(1 + f / 700)`` (HTK Book 3.4, section 5.4), peaks at 1; what torchaudio computes by
    default.  "slaney": ``3 f / 200`` up to 1000 Hz and 27 equal steps to a factor of 6.4 above, each
    triangle divided by half its width in Hz, so that all have the same area (Slaney, Auditory
    Toolbox, technical report 1998-010); what librosa computes by default.
    """
    low, high = (_to_mel(f, geometry.mel) for f in (geometry.frequency_min, geometry.frequency_max))
    corners = _to_hertz(np.linspace(low, high, geometry.mel_bins + 2), geometry.mel)
    bins = np.linspace(0, geometry.rate // 2, geometry.fft_length // 2 + 1)[:, None]
    rising = (bins - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - bins) / np.diff(corners)[1:]
    weights: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return weights * (2.0 / (corners[2:] - corners[:-2])) if geometry.mel == "slaney" else weights


def _to_mel(hertz: float, mel: str) -> float:
    if mel == "htk":
        return float(2595.0 * np.log10(1.0 + hertz / 700.0))
    linear = 3.0 * hertz / 200.0
    return linear if linear < _KNEE else _KNEE + 27.0 * math.log(hertz / 1000.0, 6.4)


def _to_hertz(mels: NDArray[np.float64], mel: str) -> NDArray[np.float64]:
    if mel == "htk":
        return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    return np.where(mels < _KNEE, 200.0 * mels / 3.0, 1000.0 * 6.4 ** ((mels - _KNEE) / 27.0))


@lru_cache(maxsize=8)
def _filters(geometry: Geometry) -> tuple[NDArray[np.float64], slice, csr_array]:
    """Hann window, range of the Fourier bins that any filter hears, filters (mel_bins, bins of the range).

    The filters are sparse: no BLAS, whose own threads would add to torch's and took 90 ms instead
    of 3 beside other work.
    """
    bank = mel_bank(geometry)
    heard = np.flatnonzero(bank.any(axis=1))
    bins = slice(int(heard[0]), int(heard[-1]) + 1) if len(heard) else slice(0, 1)
    hann = np.hanning(geometry.fft_length + 1)[:-1]
    return hann, bins, csr_array(bank[bins].T.astype(np.float32))


def _fill(samples: Samples, geometry: Geometry) -> NDArray[np.float64]:
    window = samples.astype(np.float64)
    if geometry.padding == "repeat":
        return np.resize(window, geometry.length)
    if geometry.padding == "repeatpad":
        window = np.tile(window, geometry.length // len(window))
    return np.pad(window, (0, geometry.length - len(window)))


def _repeat(length: int, geometry: Geometry) -> tuple[int, int]:
    """Frames after which the spectrogram of a repeated window repeats, and frames that reach over an end.

    (0, 0) if it does not repeat.
    """
    repeats = geometry.padding != "pad" and length < geometry.length and geometry.length % length == 0
    if not repeats or length % geometry.hop:
        return 0, 0
    return length // geometry.hop, -(-(geometry.fft_length // 2) // geometry.hop)


def _decibels(frames: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float32]:
    """Log-mel of STFT frames, (n, fft_length) -> (n, mel_bins).

    The transform is in float64 as in the extractor: in float32 its rounding, 90 dB below a loud
    tone, would show in quiet bins.
    """
    hann, bins, filters = _filters(geometry)
    power = np.empty((len(frames), geometry.mel_bins), dtype=np.float32)
    for start in range(0, len(frames), _ROWS):
        rows = slice(start, start + _ROWS)
        spectrum = scipy.fft.rfft(frames[rows] * hann, axis=1)[:, bins]
        power[rows] = (filters @ (spectrum.real**2 + spectrum.imag**2).astype(np.float32).T).T
    return np.float32(10.0) * np.log10(np.maximum(power, _FLOOR))
