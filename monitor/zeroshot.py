"""One-off questions about files: which label, what embedding.

The scores are those of the transformers zero-shot-audio-classification pipeline, softmax over the
labels that were given: they say which label fits best, not whether any fits.  The monitor itself
scores differently (`monitor.scoring`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from monitor.capture.media import decode
from monitor.model import Clap
from monitor.types import ConfigError, Embeddings, NotAudioError, OutputError, Samples

TEMPLATE = "This is a sound of {}."
"""The pipeline's own sentence; ``{}`` stands for the label."""

# Windows of a long recording that go through the model at once: more are no faster.
_BATCH = 4

Decode = Callable[[Path, int], Samples]


class LabelScore(NamedTuple):
    """How well one of the labels fits, compared with the others."""

    label: str
    score: float
    """Softmax over the labels, in [0, 1]."""


class FileScores(NamedTuple):
    """What one file sounds like."""

    file: Path
    scores: tuple[LabelScore, ...]
    """Best first."""


def classify(
    files: Sequence[Path],
    labels: Sequence[str],
    *,
    template: str = TEMPLATE,
    checkpoint: str = "starter",
    revision: str | None = None,
    read: Decode = decode,
) -> Iterator[FileScores]:
    """Say which of the labels each file sounds like, one file after the other.

    Parameters
    ----------
    files : sequence of Path
        Sound files; one longer than the model hears at once is averaged as `embed_files` says.
    labels : sequence of str
        At least one; with a single one its score is always 1.
    template : str
        Sentence made of each label, which stands for its ``{}``.
    checkpoint, revision
        As in the configuration.
    read : callable
        Takes a path and a rate in Hz, gives the samples at that rate.

    Raises
    ------
    ConfigError
        No label, or a template without a place for it.
    ModelError, SourceError, NotAudioError
        The checkpoint or a file cannot be used.
    """
    sentences = _sentences(labels, template)
    clap = Clap.load(checkpoint, revision=revision, dtype="float32", apart=True)
    texts = clap.embed_text(sentences)
    clap.forget_text()
    for file in files:
        logits = clap.logit_scale * (_embedding(clap, file, read) @ texts.T)
        scores = np.exp(logits - logits.max())
        scores /= scores.sum()
        ranked = sorted(zip(labels, scores.tolist(), strict=True), key=lambda pair: -pair[1])
        yield FileScores(file, tuple(LabelScore(*pair) for pair in ranked))


def embed_files(
    files: Sequence[Path], *, checkpoint: str = "starter", revision: str | None = None, read: Decode = decode
) -> Embeddings:
    """Audio embeddings of files, shape (files, dimension), L2 norm 1.

    A recording longer than the model hears at once is heard in evenly spaced windows, as many as
    cover it, whose embeddings are averaged and normalised again; a shorter one is repeated.
    Raises as `classify` does.
    """
    clap = Clap.load(checkpoint, revision=revision, dtype="float32")
    return np.stack([_embedding(clap, file, read) for file in files])


def embed_sentences(
    sentences: Sequence[str], *, checkpoint: str = "starter", revision: str | None = None
) -> Embeddings:
    """Text embeddings of sentences, shape (sentences, dimension), L2 norm 1."""
    clap = Clap.load(checkpoint, revision=revision, dtype="float32", apart=True)
    try:
        return clap.embed_text(sentences)
    finally:
        clap.forget_text()


def save(path: Path, rows: Embeddings) -> None:
    """Write embeddings to an ``.npy`` file of exactly this name.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    try:
        with path.open("wb") as stream:
            np.save(stream, rows)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def starts(length: int, window: int) -> list[int]:
    """Say where the fewest windows that cover ``length`` samples start, evenly spaced; one if it fits."""
    count = -(-length // window)
    return [round(index * (length - window) / max(1, count - 1)) for index in range(count)]


def _embedding(clap: Clap, file: Path, read: Decode) -> Embeddings:
    """Embedding of a whole file, shape (dimension,)."""
    samples = read(file, clap.geometry.rate)
    broken = np.count_nonzero(~np.isfinite(samples))
    if broken:
        raise NotAudioError(f"{file}: {broken} of {len(samples)} samples are not finite numbers")
    window = clap.geometry.length
    total = np.zeros(clap.dimension, dtype=np.float32)
    begins = starts(len(samples), window)
    for first in range(0, len(begins), _BATCH):
        windows = np.stack([samples[start : start + window] for start in begins[first : first + _BATCH]])
        total += clap.embed_audio(windows).sum(axis=0)
    return total / np.linalg.norm(total)


def _sentences(labels: Sequence[str], template: str) -> list[str]:
    if not labels:
        raise ConfigError("--label: give at least one")
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
