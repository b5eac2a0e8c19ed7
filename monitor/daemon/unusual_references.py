"""References of unusual sounds: made again every hour, for each source, by a process of low priority."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict

from monitor.config import Config
from monitor.detection.engine import Engine
from monitor.detection.nearest_neighbours import whitening
from monitor.detection.prototypes import Directions
from monitor.detection.rules import unusual_rules
from monitor.detection.unusual_detector import UnusualDetector
from monitor.detection.vocabulary import nearest_sentences, vocabulary
from monitor.memory import usual_sounds
from monitor.memory.unusual_reference import Reference, ReferenceFileError, read_reference, reference_path
from monitor.system.boundary import explain, printable
from monitor.system.child_process import Ended, environment, run_child

log = logging.getLogger(__name__)

EVERY_SECONDS = 3_600.0
"""From one reference of a source to the next."""

CHECK_SECONDS = 60.0
"""From one look at which references are due to the next, and from the start to the first."""

LIMIT_SECONDS = 3_000.0
"""Time limit of a process: a week of a fast source takes minutes, on a small computer longer."""

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class UnusualReferences:
    """Keeps what is usual at each source; `run` is the body of its thread.

    Parameters
    ----------
    config : Config
    engine : Engine
    detector : UnusualDetector
        Gets the references of its sources.
    """

    def __init__(self, config: Config, engine: Engine, detector: UnusualDetector) -> None:
        self.detector = detector
        self._config, self._engine = config, engine
        self._known: dict[str, Reference] = {}
        self._words = dict.fromkeys(detector.sources, "not looked at yet")
        self._asked_at: dict[str, float] = {}
        for source in self._words:
            self._take(source)  # that of the last run

    def run(self, stop: threading.Event) -> None:
        """Make those that are due until stopped."""
        while not stop.wait(CHECK_SECONDS):
            self.update(time.time(), stop)

    def status(self, now: float) -> dict[str, dict[str, object]]:
        """Return what is known of each source: its threshold, None if there is none, and words."""
        return {source: self._status(source, now) for source in self._words}

    def update(self, now: float, stop: threading.Event) -> None:
        """Make every reference that is due.

        Parameters
        ----------
        now : float
            Unix seconds.
        stop : threading.Event
            Ends a process that runs.
        """
        for source in self._words:
            known = self._known.get(source)
            made_at = self._asked_at.get(source, 0.0 if known is None else known.basis.written_at)
            if not stop.is_set() and not 0 <= now - made_at < EVERY_SECONDS:
                self._asked_at[source] = now
                self._make(source, stop)

    def _make(self, source: str, stop: threading.Event) -> None:
        try:
            ended = self._run(source, stop)
        except OSError as error:
            ended = Ended(1, explain(error).encode())
        words = printable(ended.tail.decode(errors="replace").strip().rpartition("\n")[2])
        match ended.code:
            case 0:
                self._take(source)
            case usual_sounds.NotYetError.exit_code:
                self._words[source] = words
            case _ if not stop.is_set():
                self._words[source] = words or "took too long"
                log.warning("unusual sounds of %s: %s", source, self._words[source])

    def _run(self, source: str, stop: threading.Event) -> Ended:
        until = time.monotonic() + LIMIT_SECONDS
        norm, config = self._engine.cohort_norm, self._config
        request = usual_sounds.Request(
            state=str(config.state),
            identity=self._engine.model.identity,
            source=source,
            target=config.unusual.target,
            mean=None if norm is None else norm.mean.tolist(),
            directions=None if norm is None else norm.directions.tolist(),
        )
        return run_child(
            [sys.executable, "-m", usual_sounds.__name__],
            json.dumps(asdict(request)),
            environment={**environment(), **_ONE_THREAD},
            give_up_at=lambda: 0.0 if stop.is_set() else until,
        )

    def _take(self, source: str) -> None:
        model = self._engine.model
        try:
            found = read_reference(
                reference_path(self._config.state, source), model.identity, model.dimension
            )
        except ReferenceFileError as error:
            self._words[source] = str(error)
            log.warning("unusual sounds of %s: %s; it will be made again", source, error)
            return
        if found is not None:
            self._known[source] = found
            self._words[source] = found.basis.words
            self.detector.use(source, found.usual)

    def _status(self, source: str, now: float) -> dict[str, object]:
        known, words = self._known.get(source), self._words[source]
        if known is None:
            return {"threshold": None, "words": words}
        old = now > known.usual.until
        words = f"{words}; too old, so nothing is found until a new one is made" if old else words
        return {"threshold": round(known.basis.threshold, 4), "words": words}


def unusual_references(config: Config, engine: Engine, sources: tuple[str, ...]) -> UnusualReferences | None:
    """Return the references of some sources, and what compares with them; None without a source."""
    if not sources:
        return None
    sentences = vocabulary()
    directions = Directions.of(engine.model.embed_text(sentences), engine.cohort_norm)
    engine.model.forget_text()
    detector = UnusualDetector(
        unusual_rules(config, engine, sources),
        whitening(engine.cohort_norm),
        lambda embedding: nearest_sentences(embedding, sentences, directions),
    )
    return UnusualReferences(config, engine, detector)


def unusual_status(references: UnusualReferences | None) -> Mapping[str, object] | None:
    """Return the status of `UnusualReferences`; None if unusual sounds are not looked for."""
    return None if references is None else references.status(time.time())
