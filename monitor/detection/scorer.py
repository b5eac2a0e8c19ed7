"""Scorer: windows of all sources to scores, with one baseline for each source."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.audio import level
from monitor.audio.source_status import SourceStatus
from monitor.audio.turns import turn
from monitor.detection import scoring
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.calm import CalmLimits
from monitor.detection.engine import Engine
from monitor.detection.novelty_gate import NoveltyGate
from monitor.detection.pattern_finder import PatternFinder
from monitor.detection.prototypes import Prototypes
from monitor.detection.quantised import quantised, restored
from monitor.detection.source_baselines import InitialBaseline, SourceBaselines
from monitor.model.spectrogram_cache import SpectrogramCache, Spectrograms
from monitor.system.histogram import Histogram
from monitor.system.worker_thread import Worker
from monitor.types import GateReason, Scores, Window

log = logging.getLogger(__name__)
AT_ONCE = 4
"""Windows of a batch on a CPU: more are not faster; elsewhere all that are due."""

_HOUR_SECONDS = 3600

STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


_Rows = Sequence[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Windows that are embedded together."""

    windows: Sequence[Window]
    reasons: Sequence[GateReason | None]
    spectrograms: _Rows
    """Of those without a reason."""


class Scorer:
    """Scores of windows; `score` and `apply` are for one thread.

    Parameters
    ----------
    engine : Engine
    labels : ActiveLabels
        Its silence threshold and whether it is armed.
    status : mapping of str to SourceStatus
        By source name.
    gate : NoveltyGate or None
        Lets unchanged windows reuse the last embedding; None embeds every window.
    spectrograms : Spectrograms or None
        None for those of the engine's model.
    initial_baseline : callable
    """

    def __init__(
        self,
        engine: Engine,
        labels: ActiveLabels,
        status: Mapping[str, SourceStatus],
        *,
        gate: NoveltyGate | None = None,
        spectrograms: Spectrograms | None = None,
        initial_baseline: InitialBaseline = lambda _source, _prototypes: {},
    ) -> None:
        self.busy_seconds = 0.0
        self.stages = {name: Histogram(STAGE_SECONDS) for name in ("gate", "embed", "score")}
        """Seconds that each stage took for the windows of a batch."""
        self._at_once = AT_ONCE if engine.model.device == "cpu" else None
        self._embedder = Worker("embed", self._embed)
        self._engine = engine
        self._labels = labels
        self._prototypes = engine.prototypes
        self._status = status
        self._gate = gate
        self._spectrograms = spectrograms or SpectrogramCache(engine.model.mel_config)
        self._patterns = PatternFinder(engine.model.mel_config)
        self._newest: dict[str, tuple[Prototypes, Scores]] = {}
        """The newest window of each source that was scored, and with which prototypes."""
        self._repeated: dict[str, scoring.Compared] = {}
        """What the embedding that stands for unchanged windows of a source has in common with the labels."""
        self._calm_limits = CalmLimits(labels)
        self._invalid_reported = False
        self._baselines = SourceBaselines(engine, status, initial_baseline)

    def apply(self, labels: ActiveLabels, prototypes: Prototypes) -> None:
        """Use other labels from the next window on; those with the same prompts keep their baseline."""
        places = {fingerprint: place for place, fingerprint in enumerate(self._prototypes.fingerprints)}
        columns = [places.get(fingerprint) for fingerprint in prototypes.fingerprints]
        same = prototypes.labels == self._prototypes.labels and columns == list(range(len(places)))
        self._labels, self._prototypes, self._calm_limits = labels, prototypes, CalmLimits(labels)
        if not same:
            if self._gate is not None:
                self._gate.forget()
            self._baselines.carry_over(prototypes, columns)

    def baseline(self, source: str) -> dict[str, float]:
        """Baseline of a source, label to logit."""
        return dict(zip(self._prototypes.labels, self._baselines[source].values.tolist(), strict=True))

    def initial_baseline(self, source: str) -> dict[str, float]:
        """Baseline that labels without a history have at a source, label to logit."""
        initial = self._baselines.initial(source, self._prototypes)
        return dict(zip(self._prototypes.labels, initial.tolist(), strict=True))

    def score(self, windows: Sequence[Window], active: Callable[[str], frozenset[str]]) -> list[Scores]:
        """Scores of each window, at most one of each source; 0 for every label where a gate holds it back.

        Of more windows than a batch has, one batch is embedded while another is prepared or scored.
        """
        started = time.perf_counter()
        size = self._at_once or max(1, len(windows))
        batches = [windows[at : at + size] for at in range(0, len(windows), size)]
        prepared = (self._prepared(few, active) for few in batches)
        if len(batches) > 1:
            embedded = self._embedder.results(prepared)
        else:
            embedded = ((batch, self._embed(batch)) for batch in prepared)
        scores = [each for batch, rows in embedded for each in self._of_batch(batch, rows, active)]
        self.busy_seconds += time.perf_counter() - started
        return scores

    def close(self) -> None:
        """End the thread that embeds, if there is one."""
        self._embedder.close()

    def _prepared(self, windows: Sequence[Window], active: Callable[[str], frozenset[str]]) -> _Batch:
        with turn:
            started = time.perf_counter()
            reasons = [self._gate_reason(window, active(window.source)) for window in windows]
            passed = [window for window, reason in zip(windows, reasons, strict=True) if reason is None]
            self.stages["gate"].observe(time.perf_counter() - started)
            return _Batch(windows, reasons, [self._spectrograms.log_mel(window) for window in passed])

    def _embed(self, batch: _Batch) -> _Rows:
        if not batch.spectrograms:
            return ()
        started = time.perf_counter()
        rows = self._engine.encode(np.stack(batch.spectrograms))
        self.stages["embed"].observe(time.perf_counter() - started)
        return list(rows)

    def _of_batch(self, batch: _Batch, rows: _Rows, active: Callable[[str], frozenset[str]]) -> list[Scores]:
        with turn:
            started = time.perf_counter()
            embeddings, scores = iter(rows), []
            for window, reason in zip(batch.windows, batch.reasons, strict=True):
                patterns = self._find_patterns(window, reason)
                if reason is None:
                    scored = self._scored(window, next(embeddings), active(window.source))
                    if self._gate is not None and not self._calm_limits.hold(scored):
                        self._gate.heard(window)
                elif reason == GateReason.UNCHANGED:
                    scored = self._reused(window)
                else:
                    scored = self._not_scored(window, reason)
                scores.append(replace(scored, patterns=patterns) if patterns else scored)
                self._count(scores[-1])
            if rows:
                self.stages["score"].observe(time.perf_counter() - started)
            return scores

    def _count(self, scores: Scores) -> None:
        status = self._status[scores.source]
        if scores.gated is None:
            status.scored += 1
            self._newest[scores.source] = self._prototypes, scores
        else:
            status.gate(scores.gated)
        status.level_dbfs = scores.level_dbfs
        status.scored_until = scores.stop

    def _find_patterns(self, window: Window, reason: GateReason | None) -> frozenset[str]:
        """Temporal patterns up to the end of a window; a silent window counts as a pause.

        An unchanged one has no score that a pattern could confirm.
        """
        if reason in {GateReason.DISARMED, GateReason.NON_FINITE}:
            return frozenset()
        if reason == GateReason.UNCHANGED:
            self._patterns.add(window, self._spectrograms.inner(window))
            return frozenset()
        silent = reason in {GateReason.SILENCE, GateReason.DIGITAL_SILENCE}
        return self._patterns.observe(window, None if silent else self._spectrograms.inner(window))

    def _gate_reason(self, window: Window, active: frozenset[str]) -> GateReason | None:
        """Return why a window does not go through the model."""
        if not self._labels.armed:
            return GateReason.DISARMED
        reason = level.gate(window.samples, self._engine.rate, self._labels.silence_dbfs)
        if reason is not None or self._gate is None:
            return reason
        prototypes, newest = self._newest.get(window.source, (None, None))
        taken = -1 if newest is None else newest.stop
        due = self._gate.observe(window, self._spectrograms.inner(window), taken)
        reusable = (
            not due
            and newest is not None
            and prototypes is self._prototypes
            and not active
            and window.stop - newest.stop <= self._gate.reuse_samples
            and window.ended_at // _HOUR_SECONDS == newest.ended_at // _HOUR_SECONDS  # as in the memory
            and self._calm_limits.hold(newest)
        )
        return GateReason.UNCHANGED if reusable else None

    def _scored(self, window: Window, embedding: NDArray[np.float32], active: frozenset[str]) -> Scores:
        if not np.isfinite(embedding).all():
            return self._without_embedding(window)
        compared = scoring.compared(
            restored(quantised(embedding)),
            self._prototypes,
            self._engine.calibration,
            self._embedding_before(window),
        )
        return self._above_baseline(window, compared, active, None)

    def _reused(self, window: Window) -> Scores:
        """Scores of an unchanged window: it would have nearly the newest embedding again."""
        embedding = self._newest[window.source][1].embedding
        if embedding is None:  # not finite
            return self._not_scored(window, GateReason.UNCHANGED)
        known = self._repeated.get(window.source)
        if known is None or known.embedding is not embedding:
            known = scoring.compared(embedding, self._prototypes, self._engine.calibration)
            self._repeated[window.source] = known
        return self._above_baseline(window, known, frozenset(), GateReason.UNCHANGED)

    def _above_baseline(
        self, window: Window, compared: scoring.Compared, active: frozenset[str], reason: GateReason | None
    ) -> Scores:
        """Scores of a window above the baseline, of which it is then part."""
        baseline = self._baselines[window.source]
        scores = self._scores_of(
            window,
            reason,
            scoring.scores(compared.logits, baseline.values),
            without_against=scoring.scores(compared.without_against, baseline.values),
            nearest_against=compared.nearest_against,
            speech=compared.speech,
            embedding=compared.embedding,
        )
        baseline.update(compared.logits, np.array([label in active for label in self._prototypes.labels]))
        return scores

    def _without_embedding(self, window: Window) -> Scores:
        """Score 0 for every label, and log it once; the baseline does not change."""
        if not self._invalid_reported:
            self._invalid_reported = True
            log.warning(
                "source %s: the model returns no finite numbers (windows not scored: %s); "
                "set model.dtype to float32, or model.checkpoint to another one",
                window.source,
                GateReason.NO_EMBEDDING,
            )
        return self._not_scored(window, GateReason.NO_EMBEDDING)

    def _embedding_before(self, window: Window) -> NDArray[np.float32] | None:
        """Embedding of the newest window of this source, if this one overlaps it."""
        newest = self._newest.get(window.source)
        return newest[1].embedding if newest is not None and newest[1].stop > window.start else None

    def _not_scored(self, window: Window, reason: GateReason) -> Scores:
        """Score 0 for every label."""
        return self._scores_of(window, reason, np.zeros(len(self._prototypes.labels), dtype=np.float32))

    def _scores_of(
        self, window: Window, reason: GateReason | None, values: scoring.Values, **more: Any
    ) -> Scores:
        hop = window.samples[-self._engine.hop_of(window.source) :]
        return Scores(
            source=window.source,
            start=window.start,
            stop=window.stop,
            ended_at=window.ended_at,
            labels=self._prototypes.labels,
            values=values,
            level_dbfs=level.rms_dbfs(level.plausible(hop)),
            gated=reason,
            **more,
        )
