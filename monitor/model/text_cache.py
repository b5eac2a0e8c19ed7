"""Embeddings of sentences, kept on disk so that the text tower is needed once per sentence."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.system.boundary import boundary
from monitor.system.bounded_read import DamagedError, read_bytes

log = logging.getLogger(__name__)

# Raise it whenever the way a sentence is embedded changes; what older versions wrote is then ignored.
_VERSION = 1


_HEADER = 4_096
"""Bytes before the numbers of a file, at most."""

MOST = 20_000
"""Sentences that are kept; more than any configuration has."""


class TextCache:
    """One file of one embedding for each sentence; in memory only if there is no directory.

    Parameters
    ----------
    directory : Path or None
        Where the files are; made when the first one is written.
    model : sequence of str
        What the embeddings depend on besides the sentence: identity, revision and dtype of the checkpoint.
    dimension : int
        Length of an embedding.
    """

    def __init__(self, directory: Path | None, model: Sequence[str], dimension: int) -> None:
        self._directory = directory
        self._model = "\0".join([str(_VERSION), *model])
        self._dimension = dimension
        self._known: dict[str, NDArray[np.float32]] = {}
        self._writable = True

    def read(self, sentence: str) -> NDArray[np.float32] | None:
        """Embedding of a sentence, shape (dimension,), L2 norm 1; None if it is not here or broken."""
        if sentence not in self._known and self._directory is not None:
            stored = self._stored(self._path(self._directory, sentence))
            if stored is not None:
                self._known[sentence] = stored
        return self._known.get(sentence)

    def write(self, sentence: str, embedding: NDArray[np.float32]) -> None:
        """Keep an embedding; a directory that cannot be written is reported once and then left alone."""
        self._known[sentence] = embedding
        if self._directory is None or not self._writable:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            _write_whole(self._path(self._directory, sentence), embedding)
        except OSError as error:
            self._writable = False
            log.warning(
                "%s: cannot be written (%s): sentences are embedded anew at every start",
                self._directory,
                error.strerror,
            )

    def trim(self) -> None:
        """Keep `MOST` sentences, the newest: whoever may change labels may try many."""
        if len(self._known) > MOST:
            self._known.clear()
        if self._directory is None:
            return
        try:
            files = [(path.stat().st_mtime, path) for path in self._directory.glob("*.npy")]
            for _, path in sorted(files)[: max(0, len(files) - MOST)]:
                path.unlink(missing_ok=True)
        except OSError as error:  # another service may share the directory
            log.debug("%s: %s", self._directory, error.strerror)

    def _path(self, directory: Path, sentence: str) -> Path:
        name = hashlib.sha256(self._model.encode() + b"\0" + sentence.encode()).hexdigest()
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
        # The norm is the checksum: all that is read back is a unit vector of the right kind.
        with np.errstate(all="ignore"):
            whole = (
                isinstance(vector, np.ndarray)
                and vector.dtype == np.float32
                and vector.shape == (self._dimension,)
                and abs(float(np.linalg.norm(vector)) - 1) < 1e-3  # noqa: PLR2004
            )
        if not whole:
            log.warning("%s: not an embedding; it is made anew", path)
            return None
        return np.asarray(vector, dtype=np.float32)


def _write_whole(path: Path, embedding: NDArray[np.float32]) -> None:
    """Write all of a file or nothing: two services may share the directory, and power may fail."""
    handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".draft")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.save(stream, embedding)
        Path(draft).replace(path)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise
