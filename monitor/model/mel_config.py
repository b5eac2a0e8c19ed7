"""Mel configuration: the parameters of a checkpoint's log-mel spectrograms, from its preprocessor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from monitor.model.config_ranges import Range, check, shown
from monitor.types import ModelError

# Defaults of ClapFeatureExtractor for absent keys; no published checkpoint relies on them.
_DEFAULTS: dict[str, Any] = {
    "sampling_rate": 48_000,
    "max_length_s": 10,
    "fft_window_size": 1024,
    "hop_length": 480,
    "feature_size": 64,
    "frequency_min": 0,
    "frequency_max": 14_000,
    "truncation": "fusion",
    "padding": "repeatpad",
}
_CHOICES = {"truncation": ("rand_trunc", "fusion"), "padding": ("repeatpad", "repeat", "pad")}
_RANGES = {
    "sampling_rate": Range(1_000, 384_000),
    "max_length_s": Range(0, 60, whole=False, above=True),
    "fft_window_size": Range(2, 65_536),
    "hop_length": Range(1, 65_536),
    "feature_size": Range(1, 1_024),
    "frequency_min": Range(0, 192_000, whole=False),
    "frequency_max": Range(0, 192_000, whole=False, above=True),
}
_MOST_NUMBERS = 2**26
"""Numbers in all STFT frames of a window; published CLAP models have a million."""

USUAL_WINDOW_SECONDS = 5.0
"""Default length of a window; less if the checkpoint's own length is shorter."""


@dataclass(frozen=True, slots=True)
class MelConfig:
    """Parameters of a log-mel spectrogram."""

    rate: int
    """Hz"""
    length: int
    """Samples of the model's input; shorter windows are filled up to it."""
    fft_length: int
    """Samples of one STFT frame."""
    hop: int
    """Samples from one STFT frame to the next."""
    mel_bins: int
    frequency_min: float
    """Hz"""
    frequency_max: float
    """Hz"""
    mel: Literal["slaney", "htk"]
    """The mel scale; with "slaney" every filter also has the same area."""
    padding: Literal["repeatpad", "repeat", "pad"]
    """How a shorter window is filled: whole repeats then zeros, truncated repeats, or zeros."""
    channels: int
    """Equal copies of the spectrogram that the model takes: 4 for a fused checkpoint, else 1."""

    @property
    def seconds(self) -> float:
        """Length of the model's input, in seconds."""
        return self.length / self.rate

    @property
    def usual_window(self) -> int:
        """Default length of a window, in samples: 5 s, or `length` if that is shorter."""
        return min(round(USUAL_WINDOW_SECONDS * self.rate), self.length)

    @property
    def frames(self) -> int:
        """STFT frames in `length` samples."""
        return 1 + (self.length + 2 * (self.fft_length // 2) - self.fft_length) // self.hop


def mel_config_of(preprocessor: Mapping[str, Any], origin: str = "preprocessor_config.json") -> MelConfig:
    """Parameters that a preprocessor configuration describes.

    Parameters
    ----------
    preprocessor : Mapping
        Keys of ``ClapFeatureExtractor``; absent keys have its defaults.  ``truncation`` also selects
        the mel bank: "rand_trunc" means slaney, "fusion" means htk.  ``nb_max_samples`` is ignored, as
        ``ClapFeatureExtractor`` does: the length is ``max_length_s * sampling_rate``.
    origin : str
        Path of the file, for error messages.

    Raises
    ------
    ModelError
        A value is unusable; names file, key and value.
    """
    keys = {key: preprocessor.get(key, default) for key, default in _DEFAULTS.items()}
    for key, allowed in _RANGES.items():
        check(keys[key], allowed, f"{origin}: {key}")
    for key, choices in _CHOICES.items():
        if keys[key] not in choices:
            raise ModelError(f"{origin}: {key}: {shown(keys[key])} is none of {', '.join(choices)}")
    fused = keys["truncation"] == "fusion"
    mel_config = MelConfig(
        rate=keys["sampling_rate"],
        length=round(keys["max_length_s"] * keys["sampling_rate"]),
        fft_length=keys["fft_window_size"],
        hop=keys["hop_length"],
        mel_bins=keys["feature_size"],
        frequency_min=float(keys["frequency_min"]),
        frequency_max=float(keys["frequency_max"]),
        mel="htk" if fused else "slaney",
        padding=keys["padding"],
        channels=4 if fused else 1,
    )
    if not mel_config.frequency_min < mel_config.frequency_max <= mel_config.rate / 2:
        raise ModelError(
            f"{origin}: frequency_min {mel_config.frequency_min:g}, "
            f"frequency_max {mel_config.frequency_max:g} "
            f"and half the sampling_rate {mel_config.rate / 2:g} Hz must be in rising order"
        )
    if not 1 < mel_config.fft_length < mel_config.length:
        raise ModelError(
            f"{origin}: fft_window_size {mel_config.fft_length} must be at least 2 and less than the "
            f"{mel_config.length} samples of max_length_s"
        )
    if mel_config.frames * mel_config.fft_length > _MOST_NUMBERS:
        raise ModelError(
            f"{origin}: hop_length {mel_config.hop} and fft_window_size {mel_config.fft_length} make "
            f"{mel_config.frames * mel_config.fft_length:,} numbers of {mel_config.seconds:g} s; at most "
            f"{_MOST_NUMBERS:,} are allowed"
        )
    return mel_config
