"""Example recordings: sound files of one sound, each as one embedding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.audio.level import is_plausible
from monitor.detection.example_stretch import loudest_stretch
from monitor.evaluation.kit_windows import WindowEmbedder
from monitor.system.boundary import boundary
from monitor.types import Embeddings, NotAudioError, Samples

MOST_SECONDS = 60.0
"""Length of a recording: a longer one is not an example of one sound."""

ROOM_DB = -20.0
"""Level of the room below a sound that is shorter than a window: microphones hear no digital silence."""

_SILENT = 1e-5
"""RMS, -100 dB of full scale."""


@dataclass(frozen=True, slots=True, eq=False)
class ExampleRecording:
    """One example, with its audio for the self-check."""

    origin: str
    embedding: Embeddings
    """Shape (d,), a unit vector."""
    samples: Samples
    """At the model's rate, of any length."""


def read_recording(path: Path, rate: int) -> Samples:
    """Read a sound file of at most `MOST_SECONDS`.

    Raises
    ------
    SourceError, NotAudioError
        It cannot be read, is silent, or is longer.
    """
    from monitor.audio.sources.ffmpeg import read_samples  # takes 16 MB

    blocks: list[Samples] = []
    length = 0
    with boundary(NotAudioError, str(path)):
        for block in read_samples(path, rate):
            blocks.append(block)
            length += len(block)
            if length > MOST_SECONDS * rate:
                break
    if length > MOST_SECONDS * rate:
        raise NotAudioError(
            f"{path}: is longer than {MOST_SECONDS:g} s: cut out the sound that is to be learned"
        )
    samples = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
    if not is_plausible(samples):
        raise NotAudioError(f"{path}: holds samples that are not finite numbers")
    if len(samples) < rate // 20 or _rms(samples) < _SILENT:
        raise NotAudioError(f"{path}: holds no sound")
    return samples


def example_of(
    origin: str, samples: Samples, embedder: WindowEmbedder, hop: int, room: Samples
) -> ExampleRecording:
    """Embed the loudest stretch of a recording.

    Parameters
    ----------
    origin : str
        What it is called in lists.
    samples : Samples
        At the model's rate.
    embedder : WindowEmbedder
    hop : int
        Samples between two windows.
    room : Samples
        Noise of a quiet room: a recording shorter than a window stands in it.
    """
    if len(samples) < embedder.length:
        samples = in_room(samples, room, embedder.length)
    windows = [
        samples[start : start + embedder.length] for start in _starts(len(samples), embedder.length, hop)
    ]
    levels = 20.0 * np.log10(np.maximum([_rms(window) for window in windows], 1e-9))
    embedding = loudest_stretch(embedder.embed(windows), np.asarray(levels, dtype=np.float32))
    return ExampleRecording(origin, embedding, samples)


def in_room(sound: Samples, room: Samples, length: int) -> Samples:
    """Return a window of a quiet room with the sound in its middle, shape (length,)."""
    window = np.resize(room, length).astype(np.float32)
    window *= np.float32(_rms(sound) * 10.0 ** (ROOM_DB / 20.0) / max(_rms(window), _SILENT))
    start = (length - len(sound)) // 2
    window[start : start + len(sound)] += sound
    return window


def _starts(samples: int, length: int, hop: int) -> Iterable[int]:
    """Starts of windows, the last at the end of the recording."""
    return sorted({*range(0, samples - length + 1, hop), samples - length})


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
