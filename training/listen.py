"""Listeners to compare: the exported checkpoint, its teacher, and YAMNet by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from transformers import ClapModel, ClapProcessor

from monitor.audio.level import gate, to_reference
from training import geometry as g
from training.minilm import embed
from training.sound import Samples, level, resample
from training.teacher import load_teacher
from training.yamnet import Yamnet

SILENCE_DBFS = -70.0
"""Where clap-monitor's own gate is unless it is configured."""

Vectors = npt.NDArray[np.float32]


class Listener(Protocol):
    """Puts sounds and sentences into one space, or something like it."""

    def hear(self, sound: Samples) -> Vectors:
        """Embed a clip at 48 kHz, shape (DIM,)."""
        ...

    def read(self, sentences: Sequence[str]) -> Vectors:
        """Embed sentences, shape (sentences, DIM)."""
        ...


class Checkpoint:
    """A checkpoint directory, by the library's own classes and nothing else."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self._model = ClapModel.from_pretrained(folder).eval()
        self._processor = ClapProcessor.from_pretrained(folder)
        self._seconds = {"features": 0.0, "tower": 0.0, "windows": 0.0}

    @torch.inference_mode()
    def hear(self, sound: Samples) -> Vectors:
        """Mean of the embeddings of windows half a second apart, heard as clap-monitor hears them.

        That is: windows of silence are not heard, the others are brought to one level.
        """
        windows = np.stack([to_reference(window) for window in cut(sound) if not silent(window)])
        begun = time.perf_counter()
        features = self._processor.feature_extractor(list(windows), sampling_rate=g.RATE, return_tensors="pt")
        middle = time.perf_counter()
        heard = [
            self._model.get_audio_features(features["input_features"][i : i + 1]).pooler_output
            for i in range(len(windows))
        ]
        self._seconds["features"] += middle - begun
        self._seconds["tower"] += time.perf_counter() - middle
        self._seconds["windows"] += len(windows)
        return np.asarray(torch.cat(heard).mean(0))

    @torch.inference_mode()
    def read(self, sentences: Sequence[str]) -> Vectors:
        """Unit vectors of sentences."""
        tokens = self._processor.tokenizer(list(sentences), padding=True, return_tensors="pt")
        return np.asarray(self._model.get_text_features(**tokens).pooler_output)

    def milliseconds(self) -> dict[str, float]:
        """Mean time of a window so far, of its features and of the tower."""
        windows = max(1.0, self._seconds["windows"])
        return {k: 1e3 * self._seconds[k] / windows for k in ("features", "tower")}


class TeacherClap:
    """What the checkpoint imitates: at most as good as this, roughly."""

    def __init__(self, yamnet: Path, teacher: Path) -> None:
        self._yamnet, self._teacher = Yamnet(yamnet), load_teacher(teacher)

    def hear(self, sound: Samples) -> Vectors:
        """Embed the mean features of a clip, brought to the level of training."""
        narrow = resample(level(sound, g.RATE), g.RATE, g.TEACHER_RATE)
        mean = self._yamnet(narrow).features.mean(axis=0, dtype=np.float32)
        return self._teacher.sound(torch.from_numpy(mean)).numpy()

    def read(self, sentences: Sequence[str]) -> Vectors:
        """Unit vectors of sentences."""
        vectors = torch.from_numpy(embed(sentences).astype(np.float32))
        return np.asarray(self._teacher.text(vectors))


def cut(sound: Samples) -> Samples:
    """Windows about half a second apart, shape (n, WINDOW); a short clip repeats to fill one."""
    if len(sound) < g.WINDOW:
        sound = np.tile(sound, -(-g.WINDOW // len(sound)))[: g.WINDOW]
    spare = len(sound) - g.WINDOW
    starts = np.linspace(0, spare, 1 + round(2 * spare / g.RATE)).astype(int)
    return np.stack([sound[start : start + g.WINDOW] for start in starts])


def silent(window: Samples) -> bool:
    """Whether the loudest tenth of a second is below clap-monitor's gate."""
    return gate(window, g.RATE, SILENCE_DBFS) is not None
