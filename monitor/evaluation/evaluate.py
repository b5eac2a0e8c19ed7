"""Evaluation of a configuration on annotated recordings: replay every one, then measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monitor.config import Config
from monitor.detection.engine import Engine
from monitor.detection.rules import Rule, rule_of
from monitor.evaluation import standard_metrics
from monitor.evaluation.annotations import Recording
from monitor.evaluation.clip_metrics import rank
from monitor.evaluation.detection_metrics import average_of, together
from monitor.evaluation.replay import Replay, replay
from monitor.evaluation.report import Detection, Report
from monitor.evaluation.threshold_sweep import sweep
from monitor.types import ConfigError

Progress = Callable[[str, int, int], None]
"""Takes the name of a stage, how much of it is done, and of how much."""

_SHORTEST_COLLAR = 1.0


def evaluate(
    recordings: Sequence[Recording],
    config: Config,
    engine: Engine,
    *,
    progress: Progress = lambda _what, _done, _of: None,
) -> Report:
    """Measure how well the labels of a configuration are detected in annotated recordings.

    Clips are ranked by their highest window.  In recordings with occurrences a report counts as found within
    one window (at least a second) of the truth (`monitor.evaluation.matching`).  The labels of the annotation
    are those of the configuration, by id, name or any of their prompts.

    Raises
    ------
    ConfigError
        Something is annotated, but no label of the configuration.  (Where nothing is annotated at all,
        every report is a false alarm, and they are counted.)
    SourceError
        A recording cannot be read.
    """
    enabled = [label for label in config.labels if label.enabled]
    names = {name: label.id for label in enabled for name in (*label.prompts, label.title, label.id)}
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in enabled]
    known = [_renamed(recording, names) for recording in recordings]
    annotated = {label for recording in known for label in _labels_of(recording)}
    if annotated and not annotated & set(names.values()):
        raise ConfigError(
            f"labels: none of {', '.join(engine.prototypes.labels)} is in the annotation, which has "
            f"{', '.join(sorted(annotated))}; use an id, a name or a prompt of a label"
        )
    replays = []
    for number, recording in enumerate(known):
        replays.append(replay(recording.path, config, engine, rules, fill=recording.clip_label is not None))
        progress("recordings", number + 1, len(known))
    clips = [pair for pair in zip(known, replays, strict=True) if pair[0].clip_label is not None]
    scenes = [pair for pair in zip(known, replays, strict=True) if pair[0].clip_label is None]
    labels = engine.prototypes.labels
    best = np.array([_highest(replayed, len(labels)) for _, replayed in clips], dtype=np.float32)
    detection, psds = _detection(scenes, rules, engine, progress) if scenes else ({}, {})
    return Report(
        model=engine.model.name,
        labels=labels,
        recordings=len(known),
        hours=sum(replayed.seconds for replayed in replays) / 3600,
        window_seconds=engine.length / engine.rate,
        hop_seconds=engine.hop / engine.rate,
        ranking=rank(best, labels, [clip.clip_label for clip, _ in clips]) if clips else {},
        detection=detection,
        psds=psds,
        ignored=tuple(sorted(annotated - set(labels))),
    )


def _detection(
    scenes: Sequence[tuple[Recording, Replay]], rules: Sequence[Rule], engine: Engine, progress: Progress
) -> tuple[dict[str, Detection], dict[str, float | None]]:
    recordings, replays = [recording for recording, _ in scenes], [replayed for _, replayed in scenes]
    collar = max(_SHORTEST_COLLAR, engine.length / engine.rate)
    swept = sweep(
        recordings,
        replays,
        rules,
        collar=collar,
        progress=lambda done, of: progress("thresholds", done, of),
    )
    labels = engine.prototypes.labels
    strict = standard_metrics.event_f1(recordings, replays, labels, _SHORTEST_COLLAR)
    loose = standard_metrics.event_f1(recordings, replays, labels, collar)
    found = {
        label: together(swept, [column], rules[column], strict[label], loose[label])
        for column, label in enumerate(labels)
    }
    found["all"] = together(swept, list(range(len(labels))), rules[0], strict["all"], loose["all"])
    found["mean"] = average_of(swept, [found[label] for label in labels])
    return found, standard_metrics.psds(recordings, replays, labels, engine.rate)


def _highest(replayed: Replay, labels: int) -> NDArray[np.float32]:
    if not replayed.scores:
        return np.zeros(labels, dtype=np.float32)
    highest: NDArray[np.float32] = np.max([window.values for window in replayed.scores], axis=0)
    return highest


def _renamed(recording: Recording, names: dict[str, str]) -> Recording:
    """Return the recording with the ids of labels in place of their names and prompts."""
    clip = recording.clip_label
    return Recording(
        recording.path,
        tuple(replace(o, label=names.get(o.label, o.label)) for o in recording.occurrences),
        None if clip is None else names.get(clip, clip),
    )


def _labels_of(recording: Recording) -> set[str]:
    clip = set() if recording.clip_label is None else {recording.clip_label}
    return clip | {occurrence.label for occurrence in recording.occurrences}
