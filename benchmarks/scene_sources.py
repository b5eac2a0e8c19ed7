"""The dev clips, split in two: what decisions are tuned on, and what they are tested on.

A half never holds a clip, a bed or a recording of the other.  The split is made within each label
from the seed, by recording: two clips cut from one file stay together.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly

RATE = 48_000
"""Hz, of the dev clips and of everything made from them."""

Half = Literal["tuning", "test"]

Samples = npt.NDArray[np.float32]
"""Mono, shape (n,)."""

COUNTED = (
    "alarm_beep",
    "car_horn",
    "cat_meow",
    "cough",
    "dog_bark",
    "door",
    "doorbell",
    "footsteps",
    "glass_break",
    "gunshot",
    "helicopter",
    "laughter",
    "rooster",
    "scream",
    "siren",
    "telephone_ring",
    "thunder",
)
"""Labels that are looked for: what people want a monitor to hear, in no bed, two clips or more."""

DISTRACTING = (
    "airplane",
    "clock_tick",
    "cow_moo",
    "duck_goose",
    "fire_crackle",
    "frog",
    "hen",
    "horse_neigh",
    "keyboard_typing",
    "sheep_goat",
    "train",
)
"""Sounds that occur in the scenes too, and that nobody has asked for."""

BED_LABELS = {
    "rain": ("bed_rain", "rain"),
    "wind": ("bed_wind", "wind"),
    "crowd": ("bed_crowd", "applause_cheering"),
    "speech": ("speech",),
    "music": ("music",),
    "keyboard": ("keyboard_typing",),
}
"""What each kind of bed is made of."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One dev clip."""

    path: Path
    label: str
    prompt: str
    recording: str
    """The file it was cut from."""
    caption: str


def read_clips(data: Path) -> list[Clip]:
    """Every dev clip and bed in ``data/eval-dev``, in the order of ``clips.csv``."""
    folder = data / "eval-dev"
    with (folder / "clips.csv").open(newline="") as file:
        return [
            Clip(folder / row["file"], row["label"], row["prompt"], row["source_path"], row["caption"])
            for row in csv.DictReader(file)
        ]


def split(clips: Sequence[Clip], half: Half, seed: int) -> dict[str, list[Clip]]:
    """The clips of one half, by label; bed material by the kind of bed as well.

    Ringtones are left out of the music: a telephone is one of the sounds looked for.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    kinds = {label: kind for kind, labels in BED_LABELS.items() for label in labels}
    for clip in clips:
        group = groups[kinds.get(clip.label, clip.label)]
        if clip.recording not in group:
            group.append(clip.recording)
    ours: set[str] = set()
    for index, group in enumerate(groups.values()):
        order = np.random.default_rng([seed, index]).permutation(len(group))
        # Of an odd number the spare one goes to either half in turn.
        first = (len(group) + index % 2) // 2
        ours |= {group[i] for i in (order[:first] if half == "tuning" else order[first:])}
    chosen: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.recording in ours and "ringtone" not in clip.caption:
            chosen[clip.label].append(clip)
            if clip.label in kinds:
                chosen[f"bed {kinds[clip.label]}"].append(clip)
    return dict(chosen)


def read_mono(path: Path) -> Samples:
    """Samples of a sound file as one channel at `RATE`."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return mono if rate == RATE else resample_poly(mono, RATE, rate).astype(np.float32)


def load(clip: Clip) -> Samples:
    """Samples of a clip at `RATE`, without the near-silence at its ends, RMS 0.1."""
    mono = read_mono(clip.path)
    loud = np.flatnonzero(np.abs(mono) > 0.02 * np.abs(mono).max())
    mono = mono[loud[0] : loud[-1] + 1]
    return faded(at_rms(mono, 0.1), RATE // 200)


def at_rms(samples: npt.NDArray[np.floating], rms: float) -> Samples:
    """Bring samples to an RMS."""
    now = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return (samples * (rms / max(now, 1e-9))).astype(np.float32)


def faded(samples: Samples, length: int) -> Samples:
    """Copy that rises and falls over ``length`` samples, or over half of what there is."""
    length = min(length, len(samples) // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, length, dtype=np.float32))
    out = samples.copy()
    out[:length] *= ramp
    out[len(out) - length :] *= ramp[::-1]
    return out
