"""Thresholds of labels with a target, set once a day from the memory of each source."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from monitor.config import LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.alarm_advice import Advice, advise
from monitor.detection.alarm_rate import NoThreshold
from monitor.detection.alarm_words import basis, refusal
from monitor.detection.control import Control
from monitor.detection.engine import Engine
from monitor.detection.rules import rules_of
from monitor.detection.threshold_changes import measure_thresholds
from monitor.memory.heard_labels import heard_labels
from monitor.memory.memory_reader import MemoryReader
from monitor.outputs.store.right_events import right_events
from monitor.types import MonitorError

log = logging.getLogger(__name__)

FIRST_SECONDS, CHECK_SECONDS = 300.0, 3_600.0
"""From the start to the first time, and from then on: new labels and sources with too little so far."""

EVERY_SECONDS = 86_400.0
"""From one threshold to the next."""

SINCE_SECONDS = 7 * 86_400.0
"""What is looked at."""

_AT_ONCE = 4
"""Labels: their logits of a week take 10 MB."""


class TargetThresholds:
    """Sets the thresholds of labels with a target; `run` is the body of its thread.

    Parameters
    ----------
    control : Control
    engine : Engine
    state : Path or None
        The state directory; None if nothing is remembered.
    """

    def __init__(self, control: Control, engine: Engine, state: Path | None) -> None:
        self._control, self._engine, self._state = control, engine, state
        self._set_at: dict[tuple[str, LabelConfig], float] = {}
        self._words: dict[tuple[str, str], str] = {}

    def run(self, stop: threading.Event) -> None:
        """Update until stopped."""
        wait = FIRST_SECONDS
        while not stop.wait(wait):
            self.update(time.time())
            wait = CHECK_SECONDS

    def words(self, label: LabelConfig) -> dict[str, str]:
        """Return what is known of a label's target, by source; empty without one."""
        if label.target is None:
            return {}
        unknown = "not set yet" if self._state is not None else "nothing is remembered (memory.enabled)"
        return {
            source: self._words.get((source, label.id), f"{unknown}; the default threshold applies")
            for source in self._control.active_labels.sources
            if self._control.active_labels.detects(source, label.id)
        }

    def update(self, now: float) -> None:
        """Set every threshold that is due.

        Parameters
        ----------
        now : float
            Unix seconds.
        """
        active = self._control.active_labels
        for source in active.sources if self._state is not None else ():
            due = [
                label
                for label in active.enabled
                if label.target is not None
                and active.detects(source, label.id)
                and now - self._set_at.get((source, label), 0.0) >= EVERY_SECONDS
            ]
            for first in range(0, len(due), _AT_ONCE):
                try:
                    self._set(source, due[first : first + _AT_ONCE], active, now)
                except MonitorError as error:  # a segment or the store cannot be read now
                    log.warning("thresholds of %s: %s", source, error)

    def _set(self, source: str, labels: Sequence[LabelConfig], active: ActiveLabels, now: float) -> None:
        for label in labels:
            self._words[source, label.id] = (
                "nothing is remembered of this source; the default threshold applies"
            )
        for advice in self._advice(source, labels, active, now - SINCE_SECONDS):
            label = active.find(advice.label)
            if isinstance(advice.found, NoThreshold):
                holds = "last" if (source, label.id) in active.own else "default"
                self._words[source, label.id] = f"{refusal(advice.found)}; the {holds} threshold holds"
                continue
            change = {source: {label.id: advice.found.threshold}}
            self._control.change_thresholds(partial(measure_thresholds, thresholds=change))
            self._set_at[source, label] = now
            self._words[source, label.id] = basis(advice.found)
            text = "%s at %s: threshold %.4f for %s; %s"
            log.info(text, label.id, source, advice.found.threshold, label.target, basis(advice.found))

    def _advice(
        self, source: str, labels: Sequence[LabelConfig], active: ActiveLabels, since: float
    ) -> Iterator[Advice]:
        control, engine, state = self._control, self._engine, self._state
        assert state is not None  # noqa: S101 - nothing is due otherwise
        targets = {label.id: label.target for label in labels if label.target is not None}
        rules = [rule for rule in rules_of(control.config, engine, active)[source] if rule.label in targets]
        prototypes = engine.build_prototypes(labels, active.background, control.examples)
        chunks = MemoryReader(state, engine.model.identity).chunks(source, since)
        heard = heard_labels(chunks, prototypes, rules, engine.calibration)
        right = right_events(state, source, since)
        return advise(source, heard, targets, right, engine.length / engine.rate)
