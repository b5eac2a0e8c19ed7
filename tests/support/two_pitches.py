"""A monitor that hears two pitches, and recordings of them: small, real files through the real parts."""

from types import SimpleNamespace

import numpy as np
import soundfile

from monitor.config import Config, LabelConfig
from monitor.detection.calibration import Calibration
from monitor.detection.engine import Engine
from monitor.detection.events import rule_of
from monitor.detection.prototypes import Directions, Prototypes

RATE = 1000
LENGTH, HOP = 1000, 500
PITCH = {"low": 50, "high": 200}
NEITHER = np.array([0.0, 0.0, 1.0], np.float32)

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


def embed(windows):
    """Share of a window's power at each pitch, as a unit vector."""
    rows = []
    for window in windows:
        power = np.abs(np.fft.rfft(window)) ** 2
        near = [power[pitch - 2 : pitch + 3].sum() / power.sum() for pitch in PITCH.values()]
        rows.append(np.array([*near, max(0.0, 1.0 - sum(near))], np.float32))
    rows = np.stack(rows)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


HEARING = Engine(
    model=SimpleNamespace(name="two pitches", mel_config=SimpleNamespace(rate=RATE), embed_audio=embed),
    encode=embed,
    prototypes=Prototypes(
        labels=tuple(PITCH),
        directions=Directions(np.eye(3, dtype=np.float32)[:2]),
        against=Directions(np.zeros((0, 3), np.float32)),
        is_against=np.zeros((2, 0), bool),
        fingerprints=("l", "h"),
    ),
    calibration=Calibration(scale=10.0, centre=0.5, baseline=-5.0),
    length=LENGTH,
    hop=HOP,
)


def write(path, seconds, *tones):
    """Write noise with tones: (pitch, onset, offset) each."""
    time = np.arange(round(seconds * RATE)) / RATE
    audio = 0.01 * np.random.default_rng(0).standard_normal(len(time))
    for name, onset, offset in tones:
        audio += 0.3 * np.sin(2 * np.pi * PITCH[name] * time) * ((time >= onset) & (time < offset))
    soundfile.write(path, audio.astype(np.float32), RATE, subtype="PCM_16")
    return path
