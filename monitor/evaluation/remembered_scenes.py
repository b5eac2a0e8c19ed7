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
from monitor.evaluation.calibration_fit import ENOUGH, SHIFTS, TEN_TIMES, Tail
from monitor.evaluation.replay import Replay, analysed
from monitor.evaluation.threshold_sweep import Sweep, sweep
from monitor.model.log_mel import Power
from monitor.types import Embeddings, Window

_NAME = "scene"

EVENT_EVERY_SECONDS = 14.0
"""Time from one event to the next in a busy home, as in the field scenes (`benchmarks.field_scenes`).

Calibration scenes are denser, because false alarms come with other events: their hours count as those of so
many events, so that a false alarm an hour is meant for a home and not for the kit."""


@dataclass(frozen=True, slots=True, eq=False)
class RememberedScene:
    """What happens in a scene, and what the model makes of it."""

    embeddings: Embeddings
    """Of its windows, in order, shape (windows, d)."""
    occurrences: tuple[Occurrence, ...]
    seconds: float

    @property
    def hours(self) -> float:
        """Hours of a busy home with as many events; without events, its own length."""
        return (len(self.occurrences) * EVENT_EVERY_SECONDS or self.seconds) / 3600


class _Numbers:
    """Stands for spectrograms: the number of each window, by which its embedding is found."""

    def log_mel(self, window: Window) -> NDArray[np.float32]:
        return np.array([window.ended_at], dtype=np.float32)

    def inner(self, _window: Window) -> Power:
        return np.empty((0, 0), dtype=np.float32)  # no frames are known, so no temporal pattern is found


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
    return Replay(3600 * scene.hours, scores, events)


def _steps(count: int, engine: Engine) -> Iterator[Sequence[Window]]:
    """Yield windows of noise: the gates before the model must let them through."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(engine.length, dtype=np.float32)
    for number in range(count):
        yield [Window(_NAME, number * engine.hop, noise, float(number))]


def counted(
    scenes: Sequence[RememberedScene], replays: Sequence[Replay], rules: Sequence[Rule], shift: float
) -> Sweep:
    """Count what is found, and what is false, at one shift of the threshold."""
    collar = max(1.0, (replays[0].scores[0].stop - replays[0].scores[0].start) / rules[0].rate)
    recordings = [
        Recording(Path(f"scene-{number}"), scene.occurrences) for number, scene in enumerate(scenes)
    ]
    return sweep(recordings, replays, rules, collar=collar, shifts=np.array([shift]))


def tail_of(scenes: Sequence[RememberedScene], replays: Sequence[Replay], rules: Sequence[Rule]) -> Tail:
    """Return the false alarms of all scenes and labels, from the highest shift down."""
    label_hours = sum(scene.hours for scene in scenes) * len(rules)
    false_alarms: list[int] = []
    for shift in SHIFTS[::-1]:
        false_alarms.insert(0, int(counted(scenes, replays, rules, float(shift)).false_alarms.sum()))
        if false_alarms[0] > 2 * max(ENOUGH, TEN_TIMES * label_hours):
            break
    return Tail(SHIFTS[-len(false_alarms) :], np.array(false_alarms), label_hours)
