"""Start levels of labels in a recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from monitor.config import Config
from monitor.detection.alarm_clusters import Heard
from monitor.detection.engine import Engine
from monitor.detection.rules import Rule
from monitor.evaluation.replay import replay
from monitor.types import NotAudioError


def recorded_labels(path: Path, config: Config, engine: Engine, rules: Sequence[Rule]) -> dict[str, Heard]:
    """Return what labels would have done in a recording, by label; its time begins at 0.

    Parameters
    ----------
    path : Path
    config : Config
        Its labels are those of the rules.
    engine : Engine
    rules : sequence of Rule

    Raises
    ------
    SourceError
        The file cannot be read, or is not audio.
    """
    scores = replay(path, config, engine, rules).scores
    if not scores:
        raise NotAudioError(f"{path}: is shorter than a window")
    ended_at = np.array([window.stop / engine.rate for window in scores])
    found = {}
    for rule in rules:
        values = np.array([window.values[window.labels.index(rule.label)] for window in scores], np.float32)
        if rule.pattern is not None:
            values[[rule.pattern not in window.patterns for window in scores]] = 0.0
        found[rule.label] = Heard.of(ended_at, values, rule)
    return found
