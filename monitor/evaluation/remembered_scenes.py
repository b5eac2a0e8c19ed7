"""Remembered scenes: embeddings of calibration scenes, scored again by the parts that `run` has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.audio.source_status import SourceStatus
from monitor.config import LabelConfig
from monitor.detection import scoring
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.engine import Engine
from monitor.detection.rules import Rule
from monitor.detection.scorer import Scorer
from monitor.evaluation.annotations import Occurrence, Recording
from monitor.evaluation.calibration_fit import Tail
from monitor.evaluation.replay import Replay, analysed
from monitor.evaluation.threshold_sweep import Sweep, sweep
from monitor.model.log_mel import Power
from monitor.types import Embeddings, Window

_NAME = "scene"


@dataclass(frozen=True, slots=True, eq=False)
class RememberedScene:
    """What happens in a scene, and what the model makes of it."""

    embeddings: Embeddings
    """Of its windows, in order, shape (windows, d)."""
    occurrences: tuple[Occurrence, ...]
    seconds: float


class _Numbers:
    """Stands for spectrograms: the number of each window, by which its embedding is found."""

    def log_mel(self, window: Window) -> NDArray[np.float32]:
        return np.array([window.ended_at], dtype=np.float32)

    def inner(self, window: Window) -> Power:
        raise NotImplementedError


def margins_of(scene: RememberedScene, engine: Engine) -> NDArray[np.float32]:
    """Return the margin of each window to each label, shape (windows, labels)."""
    return np.stack([scoring.margins(row, engine.prototypes) for row in scene.embeddings])


def replay_scene(
    scene: RememberedScene, engine: Engine, labels: Sequence[LabelConfig], rules: Sequence[Rule]
) -> Replay:
    """Score the windows of a scene and detect its events."""
    rows = scene.embeddings
    known = replace(engine, hops={}, encode=lambda numbers: rows[numbers[:, 0].astype(int)])
    active_labels = ActiveLabels(labels=tuple(labels), sources=(_NAME,))
    scorer = Scorer(known, active_labels, {_NAME: SourceStatus(_NAME)}, spectrograms=_Numbers())
    scores, events = analysed(_steps(len(rows), engine), scorer, rules, engine.rate)
    return Replay(scene.seconds, scores, events)


def _steps(count: int, engine: Engine) -> Iterator[Sequence[Window]]:
    """Yield windows of noise: the gates before the model must let them through."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(engine.length, dtype=np.float32)
    for number in range(count):
        yield [Window(_NAME, number * engine.hop, noise, float(number))]


def swept(
    scenes: Sequence[RememberedScene],
    engine: Engine,
    labels: Sequence[LabelConfig],
    rules: Sequence[Rule],
    shifts: NDArray[np.float64],
) -> Sweep:
    """Score all scenes, and count what is found at each shift of the threshold."""
    return sweep(
        [Recording(Path(f"scene-{number}"), scene.occurrences) for number, scene in enumerate(scenes)],
        [replay_scene(scene, engine, labels, rules) for scene in scenes],
        rules,
        collar=max(1.0, engine.length / engine.rate),
        shifts=shifts,
    )


def tail_of(found: Sweep) -> Tail:
    """Return the false alarms of all scenes and labels at each shift."""
    return Tail(
        found.shifts, found.false_alarms.sum(axis=(1, 2)), float(found.hours.sum()) * len(found.labels)
    )
