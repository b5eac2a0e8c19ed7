"""The whole flow, in the order in which audio passes through it.

    capture -> buffer -> windows -> features -> model -> scoring -> events -> outputs

Each loop ends when its input ends and then closes what it feeds, so shutdown is end-of-file: stop
the source, and everything behind it drains and finishes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monitor.audio import level
from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.source_status import SourceStatus
from monitor.detection import scoring
from monitor.detection.baseline import BASELINE_SECONDS, Baseline
from monitor.detection.calibration import LARGEST_LOGIT, Calibration
from monitor.detection.events import Detector
from monitor.detection.novelty_gate import NoveltyGate
from monitor.detection.prototypes import Prototypes
from monitor.model.spectrogram_cache import SpectrogramCache
from monitor.system.histogram import Histogram
from monitor.types import AudioBlock, Break, Embeddings, Event, GateReason, NearMiss, Scores, Window

log = logging.getLogger(__name__)

AudioTower = Callable[[NDArray[np.float32]], Embeddings]
"""Windows, shape (n, length), to unit vectors, shape (n, d); of `Scorer.share` also their spectrograms."""

CALM = 0.1
"""Scores are used again only if none of them is higher: what may become an event is listened to."""


def listen(blocks: Iterable[AudioBlock], buffer: RingBuffer, status: SourceStatus) -> None:
    """Move audio from the source into the buffer until the source ends."""
    try:
        for block in blocks:
            status.gaps += block.gap
            buffer.append(block)
            status.captured = block.stop
    finally:
        status.ended = True
        buffer.close()


def analyse(
    steps: Iterable[Sequence[Window | Break]],
    scorer: Scorer,
    detector: Detector,
    *,
    on_scores: Callable[[Scores], None],
    on_event: Callable[[Event], None],
    on_miss: Callable[[NearMiss], None] = lambda _: None,
    between: Callable[[], object] = lambda: None,
) -> None:
    """Score every window; hand on the scores, every event as it starts and as it ends, and near misses.

    ``between`` is called between two windows, also while none is due: there may change what is listened for.
    """
    for step in steps:
        between()
        events = [event for at in step if isinstance(at, Break) for event in detector.interrupt(at)]
        for every in scorer.score([at for at in step if isinstance(at, Window)], detector.active):
            scores = only(every, detector.labels(every.source))
            on_scores(scores)
            events += detector.update(scores)
        for event in events:
            on_event(event)
        for miss in detector.missed():
            on_miss(miss)
    for event in detector.finish():
        on_event(event)
    for miss in detector.missed():
        on_miss(miss)


def only(scores: Scores, labels: Collection[str]) -> Scores:
    """Return the scores of some labels: those that are listened for at this source."""
    places = [place for place, label in enumerate(scores.labels) if label in labels]
    if len(places) == len(scores.labels):
        return scores
    return replace(
        scores,
        labels=tuple(scores.labels[place] for place in places),
        values=scores.values[places],
        alone=None if scores.alone is None else scores.alone[places],
        nearer=tuple(scores.nearer[place] for place in places) if scores.nearer else (),
    )


STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Scorer:
    """Windows in, scores out; remembers each source's ambience.

    Parameters
    ----------
    embed : callable
        The audio tower.
    prototypes : Prototypes
        May be replaced between two windows (`listen`).
    calibration : Calibration
        The checkpoint's.
    status : mapping of str to SourceStatus
        By source name.
    rate : int
        Hz.
    hop : int or mapping of str to int
        Samples between two windows; by source name if they differ.
    silence_dbfs : float
        Windows without anything louder are not scored.
    known : callable
        Source name and prototypes to what is known of its ambience from an earlier run: label to logit.
    """

    def __init__(
        self,
        embed: AudioTower,
        prototypes: Prototypes,
        calibration: Calibration,
        *,
        status: Mapping[str, SourceStatus],
        rate: int,
        hop: int | Mapping[str, int],
        silence_dbfs: float,
        known: Callable[[str, Prototypes], Mapping[str, float]] = lambda _source, _prototypes: {},
    ) -> None:
        self.busy_seconds = 0.0
        self.stages = {name: Histogram(STAGE_SECONDS) for name in ("gate", "embed", "score")}
        """Seconds that each stage took for the windows that were due together."""
        self._armed = True
        self._said = False
        self._spectrograms: SpectrogramCache | None = None
        self._changes: NoveltyGate | None = None
        self._reuse = 0
        self._fresh: dict[str, tuple[Prototypes, Scores]] = {}
        self._embed = embed
        self._prototypes = prototypes
        self._calibration = calibration
        self._status = status
        self._rate = rate
        self._hops = dict.fromkeys(status, hop) if isinstance(hop, int) else hop
        self._silence_dbfs = silence_dbfs
        self._known = known
        memory = {name: round(BASELINE_SECONDS * rate / own) for name, own in self._hops.items()}
        self._baseline = {
            name: Baseline(self._initial(known(name, prototypes)), memory[name]) for name in status
        }

    def listen(self, prototypes: Prototypes, *, armed: bool, silence_dbfs: float) -> None:
        """Listen for something else from now on; the ambience of labels whose sentences stay is kept.

        Parameters
        ----------
        prototypes : Prototypes
        armed : bool
            False: no window is scored until it is armed again.
        silence_dbfs : float
        """
        before = {print_: at for at, print_ in enumerate(self._prototypes.fingerprints)}
        columns = [before.get(print_) for print_ in prototypes.fingerprints]
        stays = prototypes.labels == self._prototypes.labels and columns == list(range(len(before)))
        self._prototypes, self._armed, self._silence_dbfs = prototypes, armed, silence_dbfs
        if not stays:
            for name, baseline in self._baseline.items():
                self._baseline[name] = baseline.carried_over(
                    self._initial(self._known(name, prototypes)), columns
                )

    def share(self, spectrograms: SpectrogramCache) -> None:
        """Give the tower spectrograms, shape (n, frames, mel_bins), whose frames windows share."""
        self._spectrograms = spectrograms

    def spare(self, changes: NoveltyGate, reuse: int) -> None:
        """Use the last scores again, for so many samples, while nothing new is heard and nothing goes on."""
        self._changes, self._reuse = (changes, reuse) if reuse else (None, 0)

    def score(self, windows: Sequence[Window], active: Callable[[str], frozenset[str]]) -> list[Scores]:
        """Scores of each window; 0 for every label where there is nothing to score."""
        started = time.perf_counter()
        reasons = [self._gate(window, active(window.source)) for window in windows]
        heard = [window for window, reason in zip(windows, reasons, strict=True) if reason is None]
        gated = time.perf_counter()
        embeddings = iter(self._embed(np.stack([self._levelled(w) for w in heard])) if heard else ())
        embedded = time.perf_counter()
        scores = []
        for window, reason in zip(windows, reasons, strict=True):
            status = self._status[window.source]
            if reason is None:
                scores.append(self._heard(window, next(embeddings), active(window.source)))
            else:
                scores.append(self._unheard(window, reason))
            if scores[-1].gated is None:
                status.scored += 1
                self._fresh[window.source] = self._prototypes, scores[-1]
            else:
                status.gate(scores[-1].gated)
            status.level_dbfs = scores[-1].level_dbfs
            status.scored_until = window.stop
        done = time.perf_counter()
        self.busy_seconds += done - started
        if windows:
            self.stages["gate"].observe(gated - started)
        if heard:
            self.stages["embed"].observe(embedded - gated)
            self.stages["score"].observe(done - embedded)
        return scores

    def baseline(self, source: str) -> dict[str, float]:
        """What is known of a source's ambience, by label; to be given back as ``known``."""
        return dict(zip(self._prototypes.labels, self._baseline[source].values.tolist(), strict=True))

    def _levelled(self, window: Window) -> NDArray[np.float32]:
        return (
            level.to_reference(window.samples)
            if self._spectrograms is None
            else self._spectrograms.log_mel(window)
        )

    def _gate(self, window: Window, active: frozenset[str]) -> GateReason | None:
        """Why a window is not sent through the model."""
        if not self._armed:
            return GateReason.DISARMED
        reason = level.gate(window.samples, self._rate, self._silence_dbfs)
        if reason is not None or self._changes is None:
            return reason
        settled = self._changes.settled(window)  # asked every time: it remembers what it is shown
        prototypes, last = self._fresh.get(window.source, (None, None))
        again = (
            settled
            and last is not None
            and prototypes is self._prototypes
            and not active
            and window.stop - last.stop <= self._reuse
            and float(last.values.max(initial=0.0)) <= CALM
        )
        return GateReason.UNCHANGED if again else None

    def _heard(self, window: Window, embedding: NDArray[np.float32], active: frozenset[str]) -> Scores:
        prototypes, baseline = self._prototypes, self._baseline[window.source]
        if not np.isfinite(embedding).all():
            return self._no_embedding(window)
        logits = scoring.logits(scoring.margins(embedding, prototypes), self._calibration)
        alone = scoring.logits(scoring.similarities(embedding, prototypes), self._calibration)
        scores = replace(
            self._unheard(window, None),
            values=scoring.scores(logits, baseline.values),
            alone=scoring.scores(alone, baseline.values),
            nearer=scoring.nearest_against(embedding, prototypes),
            speech=scoring.is_speech(embedding, prototypes, self._before(window)),
            embedding=embedding,
        )
        baseline.update(logits, np.array([label in active for label in prototypes.labels]))
        return scores

    def _no_embedding(self, window: Window) -> Scores:
        """Score 0 for every label, and say so once; the ambience learns nothing of such a window."""
        if not self._said:
            self._said = True
            log.warning(
                "source %s: the model makes no numbers of what it hears (windows not scored: %s); "
                "set model.dtype to float32, or model.checkpoint to another one",
                window.source,
                GateReason.NO_EMBEDDING,
            )
        return self._unheard(window, GateReason.NO_EMBEDDING)

    def _before(self, window: Window) -> NDArray[np.float32] | None:
        """What was made of the last window of this source, if this one overlaps it."""
        last = self._fresh.get(window.source)
        return last[1].embedding if last is not None and last[1].stop > window.start else None

    def _unheard(self, window: Window, reason: GateReason | None) -> Scores:
        """0 for every label, or the last scores once more."""
        newest = window.samples[-self._hops[window.source] :]
        scores = Scores(
            source=window.source,
            start=window.start,
            stop=window.stop,
            ended_at=window.ended_at,
            labels=self._prototypes.labels,
            values=np.zeros(len(self._prototypes.labels), dtype=np.float32),
            level_dbfs=level.rms_dbfs(level.plausible(newest)),
            gated=reason,
        )
        if reason != GateReason.UNCHANGED:
            return scores
        last = self._fresh[window.source][1]
        return replace(scores, values=last.values, alone=last.alone, nearer=last.nearer, speech=last.speech)

    def _initial(self, known: Mapping[str, float]) -> scoring.Values:
        """What is believed at first; of what is kept from earlier nothing that no window can have."""
        usual = self._calibration.baseline
        logits = (known.get(label, usual) for label in self._prototypes.labels)
        believed = [logit if abs(logit) <= LARGEST_LOGIT else usual for logit in logits]
        return np.array(believed, dtype=np.float32)
