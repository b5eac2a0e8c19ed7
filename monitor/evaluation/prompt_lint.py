"""Prompt lint: pairs of prompts that the model can hardly tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np

from monitor.config import Config, LabelConfig
from monitor.model.clap import Clap
from monitor.types import Embeddings

NEAR = 0.8
"""Cosine from which two prompts are the same to the model; paraphrases of one sound lie below it."""

OVERLAP = 0.6
"""Cosine from which a prompt against a label suppresses the label itself."""


def too_close(config: Config) -> list[str]:
    """Return one warning for each pair of prompts that the model can hardly tell apart.

    Loads the text encoder of the configured checkpoint.

    Raises
    ------
    ModelError
        It is not in the cache or cannot be loaded.
    """
    settings = config.model.model_copy(update={"device": "cpu", "dtype": "float32"})
    model = Clap.configured(settings, config.state / "prompts")
    labels = [(f"labels[{i}]", label) for i, label in enumerate(config.labels) if label.enabled]
    try:
        return _found(model, labels)
    finally:
        model.forget_text()


def _found(model: Clap, labels: Sequence[tuple[str, LabelConfig]]) -> list[str]:
    prompts = {path: (label.prompts, model.embed_text(label.prompts)) for path, label in labels}
    found = []
    for (one, (texts, rows)), (other, (other_texts, other_rows)) in combinations(prompts.items(), 2):
        found += [
            f"{one}.prompts: {texts[i]!r} and {other}.prompts: {other_texts[j]!r} are nearly the same "
            f"to the model ({cosine:.2f})"
            for i, j, cosine in _pairs(rows, other_rows, NEAR)
        ]
    for path, label in labels:
        found += _overlaps(path, label, *prompts[path], model)
    return found


def _overlaps(
    path: str, label: LabelConfig, texts: tuple[str, ...], rows: Embeddings, model: Clap
) -> list[str]:
    if not label.against:
        return []
    return [
        f"{path}.against: {label.against[j]!r} is so close to {texts[i]!r} ({cosine:.2f}) that the label "
        "would hardly be detected"
        for i, j, cosine in _pairs(rows, model.embed_text(label.against), OVERLAP)
    ]


def _pairs(rows: Embeddings, columns: Embeddings, least: float) -> list[tuple[int, int, float]]:
    cosines = np.asarray(rows @ columns.T)
    pairs = product(range(len(rows)), range(len(columns)))
    return [(i, j, float(cosines[i, j])) for i, j in pairs if cosines[i, j] >= least]
