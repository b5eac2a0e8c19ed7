"""Embeddings of sound files of any length, read block by block.

A file is read once to find its length, which determines where its windows start.  If it was too long to keep
in memory, it is read once more to embed them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from monitor.audio.level import PLAUSIBLE, is_plausible
from monitor.audio.sources.ffmpeg import read_samples
from monitor.model.clap import Clap
from monitor.system.boundary import boundary
from monitor.types import Embeddings, ModelError, NotAudioError, Samples, SourceError

# Windows of a long recording that go through the model at once: more are no faster.
_BATCH = 4

_KEPT_SECONDS = 60.0
"""Of a recording that need not be decoded twice."""

Read = Callable[[Path, int], Iterable[Samples]]
"""Path and rate in Hz to the samples at that rate, block by block."""

Refused = Callable[[SourceError | ModelError], None]
"""Takes the error of a file that is left out."""


def read_blocks(path: Path, rate: int) -> Iterator[Samples]:
    """Read a sound file block by block, as sources do; never more of it is in memory.

    Raises
    ------
    SourceError, NotAudioError
        It cannot be read, or holds no audio.
    """
    with boundary(NotAudioError, str(path)):
        yield from read_samples(path, rate)


def raise_error(error: SourceError | ModelError) -> None:
    """Raise the error of a file, instead of leaving the file out."""
    raise error


class FileEmbedding(NamedTuple):
    """Embedding of one file."""

    file: Path
    embedding: Embeddings
    """Shape (dimension,), L2 norm 1."""


def window_starts(length: int, window: int) -> list[int]:
    """Return the starts of the fewest windows that cover ``length`` samples, evenly spaced."""
    count = -(-length // window)
    return [round(index * (length - window) / max(1, count - 1)) for index in range(count)]


def embed_each_file(
    clap: Clap, files: Sequence[Path], read: Read, refused: Refused
) -> Iterator[FileEmbedding]:
    """Embed one file after the other; ``refused`` takes the error of one that cannot be used."""
    for file in files:
        try:
            embedding = _embedding(clap, file, read)
        except (SourceError, ModelError) as error:
            refused(error)
        else:
            yield FileEmbedding(file, embedding)


def _embedding(clap: Clap, file: Path, read: Read) -> Embeddings:
    window = clap.mel_config.length
    kept, length = _survey(
        file, _blocks(file, clap.mel_config.rate, read), _KEPT_SECONDS * clap.mel_config.rate
    )
    blocks = kept if kept is not None else _blocks(file, clap.mel_config.rate, read)
    total = np.zeros(clap.dimension, dtype=np.float32)
    batch: list[Samples] = []
    count = 0
    for samples in _cut(blocks, window_starts(length, window), window):
        batch.append(samples)
        if len(batch) == _BATCH:
            total += clap.embed_audio(np.stack(batch)).sum(axis=0)
            count, batch = count + len(batch), []
    if batch:
        total += clap.embed_audio(np.stack(batch)).sum(axis=0)
    if count + len(batch) < len(window_starts(length, window)):
        raise NotAudioError(f"{file}: has become shorter while it was read")
    norm = np.linalg.norm(total)
    if not (np.isfinite(norm) and norm > 0.0):
        raise ModelError(f"{file}: {clap.name} returns no finite numbers; is the checkpoint complete?")
    return total / norm


def _blocks(file: Path, rate: int, read: Read) -> Iterable[Samples]:
    samples = read(file, rate)
    return [samples] if isinstance(samples, np.ndarray) else samples


def _survey(file: Path, blocks: Iterable[Samples], most: float) -> tuple[list[Samples] | None, int]:
    """Count the samples of a file; keep them if there are no more than ``most``, else None.

    Raises
    ------
    NotAudioError
        There are none, or some that no sound can have.
    """
    kept: list[Samples] | None = []
    length = broken = 0
    for block in blocks:
        length += len(block)
        if not is_plausible(block):
            broken += int(np.count_nonzero(~(np.abs(block) <= PLAUSIBLE)))
        if kept is not None:
            kept.append(block)
            kept = kept if length <= most else None
    if not length:
        raise NotAudioError(f"{file}: contains less than one sample")
    if broken:
        raise NotAudioError(f"{file}: {broken} of {length} samples are not finite numbers")
    return kept, length


def _cut(blocks: Iterable[Samples], begins: Sequence[int], length: int) -> Iterator[Samples]:
    """Windows that begin at these samples, in order; the last is shorter if there is no more."""
    held, at, due = np.zeros(0, dtype=np.float32), 0, 0
    for block in blocks:
        held = np.concatenate([held, block])
        while due < len(begins) and begins[due] + length <= at + len(held):
            yield held[begins[due] - at : begins[due] - at + length]
            due += 1
        if due == len(begins):
            return
        gone = max(0, begins[due] - at)
        held, at = held[gone:], at + min(gone, len(held))
    if due < len(begins) and len(begins) == 1 and len(held):
        yield held


def loudest_window(clap: Clap, file: Path, length: int, hop: int) -> Embeddings:
    """Embed the loudest window of a sound file, shape (1, d); of a shorter one, all of it.

    Parameters
    ----------
    clap : Clap
    file : Path
    length, hop : int
        Samples in a window, and from one to the next.

    Raises
    ------
    SourceError, NotAudioError
        It cannot be read, or holds no audio.
    ModelError
        The model returns no finite numbers.
    """
    rate = clap.mel_config.rate
    loudest, power, held = None, -1.0, np.zeros(0, dtype=np.float32)
    for block in read_blocks(file, rate):
        held = np.concatenate([held, block])
        while len(held) >= length:
            found = float(np.mean(np.square(held[:length], dtype=np.float64)))
            if found > power and is_plausible(held[:length]):
                loudest, power = held[:length].copy(), found
            held = held[hop:]
    if loudest is None:
        if not len(held) or not is_plausible(held):
            raise NotAudioError(f"{file}: contains no window of usable samples")
        loudest = held[:length]
    embedding: Embeddings = clap.embed_audio(loudest[None])
    if not np.isfinite(embedding).all():
        raise ModelError(f"{file}: {clap.name} returns no finite numbers; is the checkpoint complete?")
    return embedding
