"""Towers: what every engine offers, torch or ONNX Runtime: an audio encoder and a text encoder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.types import Embeddings

EngineName = Literal["torch", "onnx"]

Sandbox = Callable[[], AbstractContextManager[None]]
"""Makes the context manager within which the tokenizer runs."""

text_log = logging.getLogger("monitor.model.text")
"""Takes the warnings about prompts, which a child process passes on."""

_LEAST_NORM = 1e-12


class AudioTower(Protocol):
    """Audio encoder of a checkpoint, in one engine."""

    @property
    def engine(self) -> EngineName:
        """Name in the configuration."""

    @property
    def device(self) -> str:
        """Device that runs it, such as ``cpu``."""

    @property
    def dtype(self) -> str:
        """Number format, such as ``float32``."""

    @property
    def largest_batch(self) -> int:
        """Windows that go through it at once; of more, this many at a time."""

    @property
    def logit_scale(self) -> float:
        """Learnt factor from cosine to logit."""

    def embed(self, spectrograms: NDArray[np.float32]) -> Embeddings:
        """Log-mel spectrograms, shape (n, frames, mel_bins), n > 0, to unit vectors, shape (n, d)."""

    def use_threads(self, threads: int) -> None:
        """Use this many CPU threads from now on."""


class TextTower(Protocol):
    """Text encoder of a checkpoint, in one engine; loaded when it is first needed."""

    def embed(self, prompts: Sequence[str]) -> Embeddings:
        """Embed at least one prompt, shape (n, d)."""

    def close(self) -> None:
        """Free the memory; `embed` loads the encoder again."""


@dataclass(frozen=True, slots=True)
class TextPlace:
    """Where and how prompts are embedded; plain text, because it is passed to a child process."""

    engine: EngineName
    device: str = "cpu"
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Towers:
    """Both encoders of a checkpoint."""

    audio: AudioTower
    text: TextTower
    text_place: TextPlace


def unit(rows: NDArray[Any]) -> Embeddings:
    """Rows with L2 norm 1, in float32; shape (n, d)."""
    exact: NDArray[np.float32] = rows.astype(np.float32)
    norms = np.sqrt(np.square(exact).sum(axis=-1, keepdims=True))
    vectors: Embeddings = (exact / np.maximum(norms, _LEAST_NORM)).astype(np.float32)
    return vectors
