"""Store of what `prepare` and `mix` wrote, over memory maps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training import geometry as g

STEPS_PER_DB = 2.0
"""Log-mel is kept as bytes: half decibels above `geometry.FLOOR_DB`, up to 27 dB."""


@dataclass(frozen=True)
class Clip:
    """A recording with its label, empty where nobody named it."""

    label: str
    source: str
    wave: npt.NDArray[np.int16]
    """Shape (samples,), 48 kHz, full scale at 32768."""
    heard: int = -1
    """What the teacher takes it for, on the whole; -1 where nobody asked."""


@dataclass(frozen=True)
class HeldBack:
    """A recording of the tuning set, and what the teacher heard in it."""

    label: str
    source: str
    mel: npt.NDArray[np.float32]
    """Log-mel in dB, shape (frames, MELS)."""
    features: npt.NDArray[np.float16]
    """Shape (rows, FEATURES), one row every `TEACHER_HOP`."""


@dataclass(frozen=True)
class Soundscapes:
    """Mixtures, with what the teacher heard in each of their seconds.

    Row ``i`` of ``scores``, ``features`` and ``labels`` is about the second that begins at frame
    ``starts[i]`` of ``mel``.
    """

    mel: npt.NDArray[np.uint8]
    """Shape (frames, MELS), see `to_bytes`."""
    starts: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float16]
    """Shape (rows, CLASSES)."""
    features: npt.NDArray[np.float16]
    """Shape (rows, FEATURES)."""
    labels: npt.NDArray[np.int16]
    """Label that stands out, as an index into the labels; -1 if none does.  Shape (rows,)."""
    leads: npt.NDArray[np.float32]
    """Decibels of the loudest event above the rest, `soundscape.NO_LEAD` without one.  Shape (rows,)."""
    alone_scores: npt.NDArray[np.float16]
    alone_features: npt.NDArray[np.float16]
    """As ``scores`` and ``features``, of the loudest event without the rest; zeros without one."""


def load_clips(folder: Path) -> list[Clip]:
    """Recordings to train on; the samples are read from disk when touched."""
    clips = []
    for part in sorted(folder.glob("[0-9]*.json")):
        wave = np.load(folder / f"wave{part.stem}.npy", mmap_mode="r")
        at = 0
        for entry in json.loads(part.read_text()):
            own = wave[at : (at := at + entry["samples"])]
            clips.append(Clip(entry["label"], entry["source"], own, entry.get("heard", -1)))
    return clips


def write_clips(
    folder: Path,
    part: int,
    waves: Sequence[npt.NDArray[np.int16]],
    entries: Sequence[Mapping[str, str | int]],
) -> None:
    """Write a part of what `load_clips` reads, the table last: it tells that the part is whole."""
    np.save(folder / f"wave{part}.npy", np.concatenate([np.zeros(0, np.int16), *waves]))
    (folder / f"{part}.json").write_text(json.dumps(entries))


def to_int16(wave: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Samples as they are kept."""
    return np.rint(wave * 32767).astype(np.int16)


def to_float32(wave: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """Samples of those kept, full scale at 1."""
    return wave.astype(np.float32) / np.float32(32768)


def load_held_back(folder: Path) -> list[HeldBack]:
    """The tuning set."""
    with np.load(folder / "held_back.npz") as arrays:
        mel, features = arrays["mel"], arrays["features"]
    clips = []
    frame = row = 0
    for entry in json.loads((folder / "held_back.json").read_text()):
        frames = slice(frame, frame := frame + entry["frames"])
        rows = slice(row, row := row + entry["rows"])
        clips.append(HeldBack(entry["label"], entry["source"], mel[frames], features[rows]))
    return clips


def load_soundscapes(folder: Path) -> list[Soundscapes]:
    """All mixtures that are finished, part by part, in order; read from disk when touched."""
    names = [field.name for field in fields(Soundscapes)]
    parts = sorted((path.stem.removeprefix("labels") for path in folder.glob("labels*.npy")), key=int)
    return [
        Soundscapes(*(np.load(folder / f"{name}{part}.npy", mmap_mode="r") for name in names))
        for part in parts
    ]


def to_bytes(decibels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Log-mel as bytes; loses at most a quarter of a decibel between the limits."""
    steps = np.rint((decibels - g.FLOOR_DB) * STEPS_PER_DB)
    return np.clip(steps, 0, 255).astype(np.uint8)


def to_decibels(steps: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Log-mel of bytes."""
    return steps.astype(np.float32) / np.float32(STEPS_PER_DB) + np.float32(g.FLOOR_DB)
