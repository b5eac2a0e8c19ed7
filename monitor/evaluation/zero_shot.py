"""Zero-shot classification and embeddings of sound files.

The scores are those of the transformers zero-shot-audio-classification pipeline, a softmax over the given
labels: they rank the labels, and do not say whether any fits.  The monitor itself scores differently
(`monitor.detection.scoring`).

A recording of any length is read block by block: once for its length, from which the starts of its windows
follow, and once more to embed them if it was too long to keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from monitor.audio.level import PLAUSIBLE, is_plausible
from monitor.audio.sources.ffmpeg import read_samples
from monitor.model.clap import Clap
from monitor.system.boundary import boundary, printable
from monitor.types import (
    ConfigError,
    Embeddings,
    ModelError,
    NotAudioError,
    OutputError,
    Samples,
    SourceError,
)

TEMPLATE = "This is a sound of {}."
"""The pipeline's default; ``{}`` stands for the label."""

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


def _raise(error: SourceError | ModelError) -> None:
    raise error


class LabelScore(NamedTuple):
    """Score of one label, relative to the others."""

    label: str
    score: float
    """Softmax over the labels, in [0, 1]."""


class FileEmbedding(NamedTuple):
    """Embedding of one file."""

    file: Path
    embedding: Embeddings
    """Shape (dimension,), L2 norm 1."""


class FileScores(NamedTuple):
    """Scores of one file."""

    file: Path
    scores: tuple[LabelScore, ...]
    """Best first."""


def classify(
    files: Sequence[Path],
    labels: Sequence[str],
    *,
    template: str = TEMPLATE,
    checkpoint: str = "starter",
    read: Read = read_blocks,
    refused: Refused = _raise,
) -> Iterator[FileScores]:
    """Score the labels for each file, one file after the other.

    Parameters
    ----------
    files : sequence of Path
        Sound files; the embeddings of one longer than a window are averaged, see `embed_each`.
    labels : sequence of str
        At least one; with a single one its score is always 1.
    template : str
        Sentence made of each label, which stands for its ``{}``.
    checkpoint : str
        As in the configuration.
    read : callable
        Takes a path and a rate in Hz, gives the samples at that rate: blocks, or all at once.
    refused : callable
        Takes the error of each file that cannot be used; unless it raises, the next file follows.

    Raises
    ------
    ConfigError
        No label, or a template without a place for it.
    ModelError, SourceError, NotAudioError
        The checkpoint or a file cannot be used.
    """
    sentences = _sentences(labels, template)
    clap = Clap.load(checkpoint, dtype="float32", apart=True)
    texts = clap.embed_text(sentences)
    clap.forget_text()
    for file, embedding in _each(clap, files, read, refused):
        logits = clap.logit_scale * (embedding @ texts.T)
        scores = np.exp(logits - logits.max())
        scores /= scores.sum()
        ranked = sorted(zip(labels, scores.tolist(), strict=True), key=lambda pair: -pair[1])
        yield FileScores(file, tuple(LabelScore(*pair) for pair in ranked))


def embed_each(
    files: Sequence[Path],
    *,
    checkpoint: str = "starter",
    read: Read = read_blocks,
    refused: Refused = _raise,
) -> Iterator[FileEmbedding]:
    """Audio embeddings of files, one after the other.

    A recording longer than a window is embedded in evenly spaced windows, as many as cover it, whose
    embeddings are averaged and normalised again; a shorter one is repeated.
    Parameters and errors are those of `classify`.
    """
    clap = Clap.load(checkpoint, dtype="float32")
    yield from _each(clap, files, read, refused)


def embed_files(
    files: Sequence[Path],
    *,
    checkpoint: str = "starter",
    read: Read = read_blocks,
) -> Embeddings:
    """Audio embeddings of files, shape (files, dimension), as `embed_each` makes them."""
    found = embed_each(files, checkpoint=checkpoint, read=read)
    return np.stack([embedding for _, embedding in found])


def embed_prompts(sentences: Sequence[str], *, checkpoint: str = "starter") -> Embeddings:
    """Text embeddings of sentences, shape (sentences, dimension), L2 norm 1.

    Raises
    ------
    ConfigError
        A sentence is no text.
    ModelError
        The checkpoint cannot be used.
    """
    _refuse_half_characters("--text", sentences)
    clap = Clap.load(checkpoint, dtype="float32", apart=True)
    try:
        return clap.embed_text(sentences)
    finally:
        clap.forget_text()


def refuse_unwritable(path: Path) -> None:
    """`OutputError` if `save` could surely not write a file of this name."""
    if path.is_dir():
        raise OutputError(f"{path}: cannot be written: Is a directory")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: cannot be written: No such file or directory")


def save(path: Path, rows: Sequence[Embeddings] | Embeddings) -> None:
    """Write embeddings, one a row, to an ``.npy`` file of exactly this name.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    try:
        with path.open("wb") as stream:
            np.save(stream, np.asarray(rows))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def starts(length: int, window: int) -> list[int]:
    """Return the starts of the fewest windows that cover ``length`` samples, evenly spaced."""
    count = -(-length // window)
    return [round(index * (length - window) / max(1, count - 1)) for index in range(count)]


def _each(clap: Clap, files: Sequence[Path], read: Read, refused: Refused) -> Iterator[FileEmbedding]:
    for file in files:
        try:
            embedding = _embedding(clap, file, read)
        except (SourceError, ModelError) as error:
            refused(error)
        else:
            yield FileEmbedding(file, embedding)


def _embedding(clap: Clap, file: Path, read: Read) -> Embeddings:
    """Embedding of a whole file, shape (dimension,)."""
    window = clap.mel_config.length
    kept, length = _survey(
        file, _blocks(file, clap.mel_config.rate, read), _KEPT_SECONDS * clap.mel_config.rate
    )
    blocks = kept if kept is not None else _blocks(file, clap.mel_config.rate, read)
    total = np.zeros(clap.dimension, dtype=np.float32)
    batch: list[Samples] = []
    count = 0
    for samples in _cut(blocks, starts(length, window), window):
        batch.append(samples)
        if len(batch) == _BATCH:
            total += clap.embed_audio(np.stack(batch)).sum(axis=0)
            count, batch = count + len(batch), []
    if batch:
        total += clap.embed_audio(np.stack(batch)).sum(axis=0)
    if count + len(batch) < len(starts(length, window)):
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
        raise NotAudioError(f"{file}: holds less than one sample")
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


def _sentences(labels: Sequence[str], template: str) -> list[str]:
    if not labels:
        raise ConfigError("--label: give at least one")
    _refuse_half_characters("--label", labels)
    _refuse_half_characters("--template", [template])
    try:
        sentences = [template.format(label) for label in labels]
        fixed = template.format("") == template.format("a")
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"--template: {template!r}: {{}} must stand for the label, once, and no other"
        ) from error
    if fixed:
        raise ConfigError(f"--template: {template!r} has no {{}} for the label")
    return sentences


def _refuse_half_characters(option: str, texts: Iterable[str]) -> None:
    """Refuse command line arguments that are not UTF-8: no tokenizer accepts them."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{option}: {printable(text)!r} is not UTF-8 text") from error
