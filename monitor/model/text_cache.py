"""Text cache: embeddings of prompts on disk, so that the text encoder runs once per prompt."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import boundary
from monitor.system.bounded_read import DamagedError, read_bytes

log = logging.getLogger(__name__)

_VERSION = 1
"""Increase it when prompts are embedded differently; files of older versions are then ignored."""

_HEADER = 4_096
"""Maximum size of a file's header, in bytes."""

MOST = 20_000
"""Prompts in the cache; more than any configuration has."""


class TextCache:
    """One file per embedding; without a directory, only in memory.

    The first embedding creates the directory.  ``model`` is everything else that embeddings depend on:
    identity, revision and dtype of the checkpoint.
    """

    def __init__(self, directory: Path | None, model: Sequence[str], dimension: int) -> None:
        self._directory = directory
        self._model = "\0".join([str(_VERSION), *model])
        self._dimension = dimension
        self._known: dict[str, NDArray[np.float32]] = {}
        self._writable = True

    def read(self, prompt: str) -> NDArray[np.float32] | None:
        """Embedding of a prompt, shape (dimension,), L2 norm 1; None if it is missing or damaged."""
        if prompt not in self._known and self._directory is not None:
            stored = self._stored(self._path(self._directory, prompt))
            if stored is not None:
                self._known[prompt] = stored
        return self._known.get(prompt)

    def write(self, prompt: str, embedding: NDArray[np.float32]) -> None:
        """Store an embedding; a directory that is not writable is logged once and not tried again."""
        self._known[prompt] = embedding
        if self._directory is None or not self._writable:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with io.BytesIO() as content:
                np.save(content, embedding)
                write_atomic(self._path(self._directory, prompt), content.getvalue())
        except FileNotFoundError:
            log.debug("%s: another process has just written the same embedding", self._directory)
        except OSError as error:
            self._writable = False
            log.warning(
                "%s: cannot be written (%s): prompts are embedded again at every start",
                self._directory,
                error.strerror,
            )

    def trim(self) -> None:
        """Keep the newest `MOST` prompts: trying out labels may add many."""
        if len(self._known) > MOST:
            self._known.clear()
        if self._directory is None:
            return
        try:
            files = [(path.stat().st_mtime, path) for path in self._directory.glob("*.npy")]
            for _, path in sorted(files)[: max(0, len(files) - MOST)]:
                path.unlink(missing_ok=True)
        except OSError as error:  # another process may share the directory
            log.debug("%s: %s", self._directory, error.strerror)

    def _path(self, directory: Path, prompt: str) -> Path:
        name = hashlib.sha256(self._model.encode() + b"\0" + prompt.encode()).hexdigest()
        return directory / f"{name}.npy"

    def _stored(self, path: Path) -> NDArray[np.float32] | None:
        try:
            content = read_bytes(path, 4 * self._dimension + _HEADER)
            with boundary(DamagedError, "not an array"):
                vector = np.load(io.BytesIO(content), allow_pickle=False)
        except FileNotFoundError:
            return None
        except (OSError, DamagedError):
            vector = None
        # The norm serves as the checksum: only unit vectors are stored.
        with np.errstate(all="ignore"):
            valid = (
                isinstance(vector, np.ndarray)
                and vector.dtype == np.float32
                and vector.shape == (self._dimension,)
                and abs(float(np.linalg.norm(vector)) - 1) < 1e-3  # noqa: PLR2004
            )
        if not valid:
            log.warning("%s: not an embedding; embedding the prompt again", path)
            return None
        return np.asarray(vector, dtype=np.float32)
