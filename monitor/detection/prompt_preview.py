"""Prompt preview: the scores that a prompt would have had, and the prompts it is easily confused with."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from monitor.config import LabelConfig, changed_label
from monitor.detection import scoring
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.baseline import BASELINE_SECONDS, high_quantile
from monitor.detection.engine import Engine
from monitor.detection.examples import Examples
from monitor.detection.prototypes import Prototypes, build_prototypes
from monitor.detection.recent_embeddings import RecentEmbeddings
from monitor.types import Embeddings

NEIGHBOURS = 6
"""Prompts that are named as similar."""

IDLE_SECONDS = 120.0
"""The text encoder stays loaded for this long after a new prompt."""

MOST_EMBEDDINGS = 1000
"""Prompts whose embeddings are cached; there may be 200 labels of several prompts."""

_ID = "preview"

_NO_EXAMPLES: Mapping[str, Examples] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SimilarPrompt:
    """A prompt that means nearly the same to the model."""

    text: str
    label: str | None
    """Its label; None for one of the background."""
    likeness: float
    """1: identical; 0: as alike as any two prompts."""


@dataclass(frozen=True, slots=True)
class PreviewScores:
    """Scores of the last minute at one source."""

    at: tuple[float, ...]
    """Unix seconds of the ends of the windows, oldest first."""
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """A prompt, tried on recent audio."""

    heard: dict[str, PreviewScores]
    """By source."""
    near: tuple[SimilarPrompt, ...]
    """Nearest first."""


class PromptPreview:
    """Tries prompts on the audio of the last minute; from any thread.

    Parameters
    ----------
    engine : Engine
        Its text encoder stays loaded while prompts are tried; `free_idle` frees it.
    embeddings : RecentEmbeddings
    now : callable
        Monotonic seconds.
    """

    def __init__(
        self, engine: Engine, embeddings: RecentEmbeddings, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._recent = embeddings
        self._now = now
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._used_at: float | None = None

    def preview(self, prompts: Sequence[str], against: Sequence[str], active_labels: ActiveLabels) -> Preview:
        """Try a label of these prompts beside the active labels.

        Raises
        ------
        ConfigError
            A label cannot have these prompts.
        ModelError
            The prompts cannot be embedded.
        """
        label = changed_label(None, {"id": _ID, "prompts": list(prompts), "against": list(against)})
        prototypes = self.build_prototypes([label], active_labels.background)
        near = self._similar(prototypes.directions.vectors[0], active_labels, known=frozenset(prompts))
        return Preview({source: self._scores(source, prototypes) for source in active_labels.sources}, near)

    def build_prototypes(
        self,
        labels: Sequence[LabelConfig],
        background: Sequence[str],
        examples: Mapping[str, Examples] = _NO_EXAMPLES,
    ) -> Prototypes:
        """Embed the prompts of labels that are only looked at, with the cached embeddings.

        Raises
        ------
        ModelError
            The prompts cannot be embedded.
        """
        return build_prototypes(labels, background, self.embed, self._engine.cohort_norm, examples=examples)

    def free_idle(self) -> None:
        """Free the text encoder if nothing was tried for a while; to be called now and then."""
        with self._lock:
            if self._used_at is None or self._now() - self._used_at < IDLE_SECONDS:
                return
            self._used_at = None
        self._engine.model.forget_text()

    def embed(self, prompts: Sequence[str]) -> Embeddings:
        """Return the embeddings of prompts, shape (prompts, d), cached ones where there are.

        Raises
        ------
        ModelError
            The prompts cannot be embedded.
        """
        with self._lock:
            new = [text for text in dict.fromkeys(prompts) if text not in self._cache]
            if new:
                self._used_at = self._now()
                self._cache |= zip(new, self._engine.model.embed_text(new, keep=False), strict=True)
            rows = np.stack([self._cache[text] for text in prompts])
            for text in prompts:
                self._cache.move_to_end(text)
            while len(self._cache) > MOST_EMBEDDINGS:
                self._cache.popitem(last=False)
        return rows

    def _scores(self, source: str, prototypes: Prototypes) -> PreviewScores:
        at, embeddings = self._recent.recent(source)
        if not at:
            return PreviewScores((), ())
        calibration, minute = self._engine.calibration, self._engine.windows_in(BASELINE_SECONDS)
        margins = np.stack([scoring.margins(row, prototypes) for row in embeddings])
        logits = scoring.logits(margins, calibration)[:, 0]
        missing = np.full(max(0, minute - len(logits)), calibration.baseline, np.float32)
        # As if the label had always been active: the baseline that the newest window would have.
        baseline = high_quantile(np.concatenate([logits, missing]))
        scores: NDArray[np.float32] = scoring.scores(logits, baseline)
        return PreviewScores(tuple(at), tuple(scores.round(3).tolist()))

    def _similar(
        self,
        prototype: NDArray[np.float32],
        active_labels: ActiveLabels,
        *,
        known: frozenset[str],
    ) -> tuple[SimilarPrompt, ...]:
        texts: dict[str, str | None] = dict.fromkeys(active_labels.background)
        texts |= {text: label.id for label in active_labels.enabled for text in label.prompts}
        others = [text for text in texts if text not in known]
        if not others:
            return ()
        rows = self.embed(others)
        cosines = rows @ prototype
        median = float(np.median(rows @ rows.T))
        likeness = np.clip((cosines - median) / max(1e-6, 1.0 - median), 0.0, 1.0)
        order = np.argsort(-likeness)[:NEIGHBOURS]
        return tuple(SimilarPrompt(others[i], texts[others[i]], round(float(likeness[i]), 3)) for i in order)
