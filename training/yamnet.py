"""YAMNet, the audio teacher: class scores and the layer before them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training import geometry as g
from training.sound import LEVEL, Samples

MOST_GAIN = 300.0
"""Of samples: 50 dB, as in `augment`."""


@dataclass(frozen=True)
class Heard:
    """What the teacher makes of a recording, one row every 0.24 s."""

    scores: npt.NDArray[np.float16]
    """Probability of each class, shape (rows, CLASSES)."""
    features: npt.NDArray[np.float16]
    """The layer before the classes, shape (rows, FEATURES), never negative."""


class Yamnet:
    """The TFLite model on one thread."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._model = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
        self._model.allocate_tensors()
        self._input = self._model.get_input_details()[0]["index"]
        self._output = self._model.get_output_details()[0]["index"]
        self._layer, self._scale, self._zero = self._find_layer()

    def __call__(self, sound: Samples, *, leveled: bool = False, hop: int = g.TEACHER_HOP) -> Heard:
        """Listen to ``sound``, shape (samples,), 16 kHz; each window at one level if wished.

        The tower hears every window at one level, so that is what its teacher must judge: what it heard
        of a quiet second as it is was silence, and the tower cannot know that it was quiet.
        """
        frames = _frames(sound, hop)
        if leveled:
            frames = map(to_one_level, frames)
        heard = [self.listen(frame) for frame in frames]
        return Heard(*(np.stack(each) for each in zip(*heard, strict=True)))

    def listen(self, frame: Samples) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]:
        """Scores (CLASSES,) and features (FEATURES,) of one window, shape (TEACHER_WINDOW,)."""
        self._model.set_tensor(self._input, frame)
        self._model.invoke()
        layer = self._model.get_tensor(self._layer).reshape(-1).astype(np.float32)
        features = (layer - self._zero) * self._scale
        scores = self._model.get_tensor(self._output)[0]
        return scores.astype(np.float16), features.astype(np.float16)

    def _find_layer(self) -> tuple[int, float, int]:
        """Index, scale and zero point of the 1024 averaged features."""
        layer = [d for d in self._model.get_tensor_details() if d["name"].endswith("reduce_mean")][-1]
        scale, zero = layer["quantization"]
        return layer["index"], scale, zero


def to_one_level(frame: Samples) -> Samples:
    """The window with an RMS of `LEVEL`, amplified by at most `MOST_GAIN`."""
    gain = LEVEL / max(float(np.sqrt(np.mean(np.square(frame, dtype=np.float64)))), LEVEL / MOST_GAIN)
    return frame * np.float32(gain)


def class_names(path: Path) -> list[str]:
    """Display names of the classes, in the order of the scores."""
    with path.open() as file:
        return [row["display_name"] for row in csv.DictReader(file)]


def _frames(sound: Samples, hop: int) -> Iterator[Samples]:
    count = 1 + max(0, len(sound) - g.TEACHER_WINDOW + hop // 2) // hop
    for start in np.arange(count) * hop:
        frame = sound[start : start + g.TEACHER_WINDOW]
        yield np.pad(frame, (0, g.TEACHER_WINDOW - len(frame)))
