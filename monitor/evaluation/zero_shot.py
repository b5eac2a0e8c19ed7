"""Zero-shot classification and embeddings of sound files.

The scores are those of the transformers zero-shot-audio-classification pipeline, a softmax over the given
labels: they rank the labels, and do not say whether any fits.  The monitor itself scores differently
(`monitor.detection.scoring`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from monitor.evaluation.file_embedding import (
    FileEmbedding,
    Read,
    Refused,
    embed_each_file,
    raise_error,
    read_blocks,
)
from monitor.model.clap import Clap
from monitor.system.boundary import boundary, printable
from monitor.types import ConfigError, Embeddings, OutputError

TEMPLATE = "This is a sound of {}."
"""The pipeline's default; ``{}`` stands for the label."""


class LabelScore(NamedTuple):
    """Score of one label, relative to the others."""

    label: str
    score: float
    """Softmax over the labels, in [0, 1]."""


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
    refused: Refused = raise_error,
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
    for file, embedding in embed_each_file(clap, files, read, refused):
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
    refused: Refused = raise_error,
) -> Iterator[FileEmbedding]:
    """Audio embeddings of files, one after the other.

    A recording longer than a window is embedded in evenly spaced windows, as many as cover it, whose
    embeddings are averaged and normalised again; a shorter one is repeated.
    Parameters and errors are those of `classify`.
    """
    clap = Clap.load(checkpoint, dtype="float32")
    yield from embed_each_file(clap, files, read, refused)


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
    with boundary(OutputError, f"{path}: cannot be written"), path.open("wb") as stream:
        np.save(stream, np.asarray(rows))


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
            f"--template: {template!r}: write {{}} exactly once, in place of the label, and no other braces"
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
