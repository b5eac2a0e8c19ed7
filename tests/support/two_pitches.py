"""An engine of two labels, a low and a high tone, and recordings of them: small, real files."""

import numpy as np
import soundfile

from monitor.config import Config, LabelConfig
from monitor.detection.calibration import Calibration
from monitor.detection.rules import rule_of
from monitor.model.mel_config import mel_config_of
from monitor.model.spectrogram_cache import SpectrogramCache
from monitor.types import Window
from tests.support.engines import engine_of, prototypes_of

RATE = 1000
LENGTH, HOP = 1000, 500
PITCH = {"low": 50, "high": 200}

LABELS = tuple(
    LabelConfig(
        id=name,
        prompts=(f"a {name} tone",),
        confirm_seconds=1.0,
        merge_gap_seconds=0.5,
        cooldown_seconds=0.0,
    )
    for name in PITCH
)
CONFIG = Config(labels=LABELS, background=(), window={"reuse_seconds": 0})
RULES = [rule_of(label, rate=RATE, hop=HOP) for label in LABELS]


MEL_CONFIG = mel_config_of(
    {"sampling_rate": RATE, "hop_length": 10, "fft_window_size": 128, "feature_size": 64, "max_length_s": 1}
    | {"frequency_min": 0, "frequency_max": 500, "truncation": "rand_trunc"}
)


def embed(spectrograms):
    """Share of a window's power near each pitch, as a unit vector."""
    power = 10.0 ** (spectrograms / 10.0)
    bands = power.mean(axis=1) / power.mean(axis=1).sum(axis=1, keepdims=True)  # (n, mel_bins)
    near = np.stack([bands[:, BAND[name] - 3 : BAND[name] + 4].sum(axis=1) for name in PITCH], axis=1)
    rows = np.concatenate([near, 1.0 - near.sum(axis=1, keepdims=True)], axis=1)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def band_of(pitch):
    """Return the loudest mel band of a tone."""
    tone = np.sin(2 * np.pi * pitch / RATE * np.arange(LENGTH)).astype(np.float32)
    window = Window("", 0, tone, 0.0)
    return int(SpectrogramCache(MEL_CONFIG).log_mel(window).mean(axis=0).argmax())


BAND = {name: band_of(pitch) for name, pitch in PITCH.items()}

ENGINE = engine_of(
    embed,
    prototypes_of(tuple(PITCH), list(np.eye(3, dtype=np.float32)[:2])),
    mel_config=MEL_CONFIG,
    length=LENGTH,
    hop=HOP,
    calibration=Calibration(scale=10.0, centre=0.5, baseline=-5.0),
)


def write(path, seconds, *tones):
    """Write noise with tones: (pitch, onset, offset) each."""
    time = np.arange(round(seconds * RATE)) / RATE
    audio = 0.01 * np.random.default_rng(0).standard_normal(len(time))
    for name, onset, offset in tones:
        audio += 0.3 * np.sin(2 * np.pi * PITCH[name] * time) * ((time >= onset) & (time < offset))
    soundfile.write(path, audio.astype(np.float32), RATE, subtype="PCM_16")
    return path
