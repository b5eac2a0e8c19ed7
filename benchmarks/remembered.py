"""Cached audio encoder: each window is embedded once, so that what follows can be tried many times."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from monitor.model.clap import Clap
from monitor.types import Embeddings


class Remembered:
    """A `Clap` with a cache of audio embeddings by content, optionally on disk.

    Parameters
    ----------
    model : Clap
    path : Path or None
        File of earlier embeddings of the same checkpoint; `save` writes it.
    """

    def __init__(self, model: Clap, path: Path | None = None) -> None:
        self.name = model.name
        self.path = model.path
        self.mel_config, self.device = model.mel_config, model.device
        self._model = model
        self._path = path
        self._known: dict[str, npt.NDArray[np.float32]] = {}
        if path is not None and path.exists():
            with np.load(path) as stored:
                self._known = dict(zip(stored["keys"].tolist(), stored["rows"], strict=True))

    def embed_log_mel(self, spectrograms: npt.NDArray[np.float32]) -> Embeddings:
        """As `Clap.embed_log_mel`, shape (n, dimension)."""
        keys = [hashlib.blake2b(each.tobytes(), digest_size=16).hexdigest() for each in spectrograms]
        new = [index for index, key in enumerate(keys) if key not in self._known]
        if new:
            for index, row in zip(new, self._model.embed_log_mel(spectrograms[new]), strict=True):
                self._known[keys[index]] = row
        return np.stack([self._known[key] for key in keys])

    def embed_text(self, prompts: Sequence[str]) -> Embeddings:
        """As `Clap.embed_text`."""
        return self._model.embed_text(prompts)

    def rows(self) -> Embeddings:
        """All cached embeddings, shape (windows, dimension)."""
        return np.array(list(self._known.values()), dtype=np.float32)

    def save(self) -> None:
        """Write the cache."""
        if self._path is not None and self._known:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(self._path, keys=np.array(list(self._known)), rows=np.stack(list(self._known.values())))
