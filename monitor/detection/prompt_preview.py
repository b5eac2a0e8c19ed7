"""A sentence tried before it is listened for: what it would score, and what it is mistaken for."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.config import changed_label
from monitor.detection import scoring
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.baseline import BASELINE_SECONDS
from monitor.detection.calibration import QUANTILE
from monitor.detection.engine import Engine
from monitor.detection.prototypes import Prototypes, build_prototypes
from monitor.detection.recent_embeddings import RecentEmbeddings
from monitor.types import Embeddings

NEIGHBOURS = 6
"""Sentences that are named as near."""

IDLE_SECONDS = 120.0
"""How long the text tower stays loaded after a new sentence."""

KNOWN = 1000
"""Sentences whose embeddings are remembered; there may be 200 labels of several sentences."""

_ID = "tried"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A sentence that means nearly the same to the model."""

    text: str
    label: str | None
    """The label that it stands for; None for one of the background."""
    likeness: float
    """1: the same; 0: as alike as any two sentences."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What it would have scored at one source in the last minute."""

    at: tuple[float, ...]
    """Unix seconds of the ends of the windows, oldest first."""
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """What there is to say of a sentence."""

    heard: dict[str, Heard]
    """By source."""
    near: tuple[Neighbour, ...]
    """Nearest first."""


class PromptPreview:
    """Try sentences against what the microphones have just heard; from any thread.

    Parameters
    ----------
    engine : Engine
        Its text tower stays loaded while sentences are being tried; `rest` frees it.
    memory : RecentEmbeddings
        What was heard.
    now : callable
        Monotonic seconds.
    """

    def __init__(
        self, engine: Engine, memory: RecentEmbeddings, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._memory = memory
        self._now = now
        self._lock = threading.Lock()
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._used_at: float | None = None

    def ask(self, prompts: Sequence[str], against: Sequence[str], active_labels: ActiveLabels) -> Tried:
        """Try a label of these sentences beside what is listened for.

        Raises
        ------
        ConfigError
            They are not what the sentences of a label may be.
        ModelError
            The sentences cannot be embedded.
        """
        label = changed_label(None, {"id": _ID, "prompts": list(prompts), "against": list(against)})
        prototypes = build_prototypes(
            [label], active_labels.background, self._embed, self._engine.cohort_norm
        )
        near = self._near(prototypes.directions.vectors[0], active_labels, known=frozenset(prompts))
        return Tried({source: self._heard(source, prototypes) for source in active_labels.sources}, near)

    def rest(self) -> None:
        """Free the text tower if nothing has been tried for a while; to be called now and then."""
        with self._lock:
            if self._used_at is None or self._now() - self._used_at < IDLE_SECONDS:
                return
            self._used_at = None
        self._engine.model.forget_text()

    def _embed(self, sentences: Sequence[str]) -> Embeddings:
        with self._lock:
            new = [text for text in dict.fromkeys(sentences) if text not in self._known]
            if new:
                self._used_at = self._now()
                self._known |= zip(new, self._engine.model.embed_text(new, keep=False), strict=True)
            rows = np.stack([self._known[text] for text in sentences])
            for text in sentences:
                self._known.move_to_end(text)
            while len(self._known) > KNOWN:
                self._known.popitem(last=False)
        return rows

    def _heard(self, source: str, prototypes: Prototypes) -> Heard:
        at, embeddings = self._memory.recent(source)
        if not at:
            return Heard((), ())
        calibration, minute = self._engine.calibration, self._engine.windows_in(BASELINE_SECONDS)
        margins = np.stack([scoring.margins(row, prototypes) for row in embeddings])
        logits = scoring.logits(margins, calibration)[:, 0]
        unheard = np.full(max(0, minute - len(logits)), calibration.baseline, np.float32)
        # As if it had been listened for all along: the ambience that the newest window would find.
        baseline = np.quantile(np.concatenate([logits, unheard]), QUANTILE).astype(np.float32)
        scores: NDArray[np.float32] = scoring.scores(logits, baseline)
        return Heard(tuple(at), tuple(scores.round(3).tolist()))

    def _near(
        self,
        prototype: NDArray[np.float32],
        active_labels: ActiveLabels,
        *,
        known: frozenset[str],
    ) -> tuple[Neighbour, ...]:
        texts: dict[str, str | None] = dict.fromkeys(active_labels.background)
        texts |= {text: label.id for label in active_labels.enabled for text in label.prompts}
        others = [text for text in texts if text not in known]
        if not others:
            return ()
        rows = self._embed(others)
        cosines = rows @ prototype
        usual = float(np.median(rows @ rows.T))
        likeness = np.clip((cosines - usual) / max(1e-6, 1.0 - usual), 0.0, 1.0)
        order = np.argsort(-likeness)[:NEIGHBOURS]
        return tuple(Neighbour(others[i], texts[others[i]], round(float(likeness[i]), 3)) for i in order)
