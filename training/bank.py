"""The collected phrases with their sentence embeddings, by sound."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Bank:
    """All phrases; ``groups[i]`` are those of sound ``i`` (classes, then labels)."""

    phrases: list[str]
    vectors: npt.NDArray[np.float16]
    """MiniLM, unit length, shape (phrases, 384)."""
    groups: list[npt.NDArray[np.int64]]
    held_out: npt.NDArray[np.int64]
    """Phrases that only the report and the tuning may use."""

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """One phrase of every sound, shape (sounds,)."""
        return np.array([group[rng.integers(len(group))] for group in self.groups])

    def find(self, phrases: Sequence[str]) -> npt.NDArray[np.int64]:
        """Indices of phrases that are in the bank."""
        place = {phrase: i for i, phrase in enumerate(self.phrases)}
        return np.array([place[phrase] for phrase in phrases])


def load_bank(folder: Path) -> Bank:
    """What the step `phrases` wrote."""
    groups = json.loads((folder / "sounds.json").read_text())
    return Bank(
        json.loads((folder / "phrases.json").read_text()),
        np.load(folder / "embeddings.npy"),
        [np.array(group) for group in groups],
        np.array(json.loads((folder / "held_out.json").read_text())),
    )
