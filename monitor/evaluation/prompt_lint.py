"""Prompt lint: pairs of prompts that the model can hardly tell apart.

Two prompts are alike as far as their similarities rise and fall together over all kinds of sound: their
correlation over the checkpoint's cohort.  Two texts may be close in the embedding space and yet be told apart
by sounds; and how close any two texts are differs from checkpoint to checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from monitor.config import Config, LabelConfig
from monitor.detection.cohort_norm import CohortNorm, read_cohort_norm
from monitor.detection.engine import window_samples
from monitor.evaluation.calibration_kit import read_kit
from monitor.evaluation.qualified_engine import known_qualification, setup_of
from monitor.model.clap import Clap
from monitor.types import Embeddings

ALIKE = 0.95
"""Correlation from which two prompts are the same to the model.

With the starter a rooster and a hen have 0.94, as have a kitchen timer and a smoke alarm; half of the
phrasings of one sound in the prompt packs have 0.9 or more."""

OVERLAP = 0.9
"""Correlation from which a prompt against a label suppresses the label itself."""

ALIKE_TEXTS, OVERLAPPING_TEXTS = 0.8, 0.6
"""The same as cosines of the texts, for a checkpoint that is not calibrated yet."""


def too_close(config: Config) -> list[str]:
    """Return one warning for each pair of prompts that the model can hardly tell apart.

    Loads the text encoder of the configured checkpoint.

    Raises
    ------
    ConfigError
        A hop is longer than the window.
    ModelError
        The checkpoint is not in the cache or cannot be loaded.
    """
    settings = config.model.model_copy(update={"device": "cpu", "dtype": "float32"})
    model = Clap.configured(settings, config.state / "prompts")
    labels = [(f"labels[{i}]", label) for i, label in enumerate(config.labels) if label.enabled]
    try:
        return _Lint(model, _cohort_norm(config, model)).found(labels)
    finally:
        model.forget_text()


def _cohort_norm(config: Config, model: Clap) -> CohortNorm | None:
    """Return the distribution of sounds that `run` uses; None if the checkpoint is not qualified yet."""
    length, hop = window_samples(config, model)
    known = known_qualification(config.state, setup_of(model, length, hop, read_kit()), model)
    return read_cohort_norm(model.path, model.dimension) if known is None else known.cohort.norm()


@dataclass(frozen=True, slots=True)
class _Lint:
    model: Clap
    cohort_norm: CohortNorm | None

    def found(self, labels: Sequence[tuple[str, LabelConfig]]) -> list[str]:
        """Return the warnings about labels, each with its place in the configuration."""
        prompts = {path: (label.prompts, self.model.embed_text(label.prompts)) for path, label in labels}
        least = ALIKE_TEXTS if self.cohort_norm is None else ALIKE
        found = []
        for (one, (texts, rows)), (other, (other_texts, other_rows)) in combinations(prompts.items(), 2):
            found += [
                f"{one}.prompts: {texts[i]!r} and {other}.prompts: {other_texts[j]!r} are nearly the same "
                f"to the model ({likeness:.2f})"
                for i, j, likeness in self._pairs(rows, other_rows, least)
            ]
        for path, label in labels:
            found += self._overlaps(path, label, *prompts[path])
        return found

    def _overlaps(self, path: str, label: LabelConfig, texts: tuple[str, ...], rows: Embeddings) -> list[str]:
        if not label.against or not len(rows):
            return []
        least = OVERLAPPING_TEXTS if self.cohort_norm is None else OVERLAP
        return [
            f"{path}.against: {label.against[j]!r} is so close to {texts[i]!r} ({likeness:.2f}) that the "
            "label would hardly be detected"
            for i, j, likeness in self._pairs(rows, self.model.embed_text(label.against), least)
        ]

    def _pairs(self, rows: Embeddings, columns: Embeddings, least: float) -> list[tuple[int, int, float]]:
        likeness = self._directions(rows) @ self._directions(columns).T
        pairs = product(range(len(rows)), range(len(columns)))
        return [(i, j, float(likeness[i, j])) for i, j in pairs if likeness[i, j] >= least]

    def _directions(self, rows: Embeddings) -> NDArray[np.float32]:
        """Unit vectors whose products are the correlations over the cohort; or the rows themselves."""
        if self.cohort_norm is None or not len(rows):
            return rows
        seen = rows @ self.cohort_norm.directions.T
        lengths = np.linalg.norm(seen, axis=1, keepdims=True)
        directions: NDArray[np.float32] = seen / np.maximum(lengths, np.float32(1e-9))
        return directions
