"""Replays of the scenes for variants of the decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from benchmarks.remembered import Remembered
from monitor.config import Config, LabelConfig, load
from monitor.detection.engine import Engine
from monitor.detection.rules import Rule, rule_of
from monitor.evaluation.annotations import Recording, read_annotations
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.evaluation.replay import Replay, replay
from monitor.evaluation.threshold_sweep import SHIFTS, Sweep, sweep
from monitor.model.clap import Clap

LABELS = Path(__file__).with_name("scenes.yaml")
COLLAR_SECONDS = 2.0
"""How far from the truth a report may be, for whatever detector."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A checkpoint, the labels of the scenes, and the recordings of one half."""

    config: Config
    engine: Engine
    model: Remembered
    recordings: tuple[Recording, ...]


def set_up(
    checkpoint: str,
    half: Path,
    *,
    labels: Path = LABELS,
    hop_seconds: float | None = None,
    cache: Path | None = None,
) -> Bench:
    """Load a checkpoint and find the recordings in ``half`` (scenes and negatives)."""
    config = load(labels)
    model = config.model.model_copy(update={"checkpoint": checkpoint, "device": "cpu"})
    window = config.window
    if hop_seconds is not None:
        window = window.model_copy(update={"hop_seconds": hop_seconds})
    config = config.model_copy(update={"model": model, "window": window})
    config.state.mkdir(parents=True, exist_ok=True)
    engine = load_qualified_engine(config)
    remembered = Remembered(engine.model, cache)
    # Duck-typed: a replay needs its name, its mel configuration and its embeddings.
    engine = replace(engine, model=cast("Clap", remembered), encode=remembered.embed_log_mel)
    return Bench(config, engine, remembered, recordings_in(half))


def recordings_in(half: Path) -> tuple[Recording, ...]:
    """Scenes and negatives of one half, in order."""
    tables = [half / kind / "annotations.tsv" for kind in ("scenes", "negatives")]
    return tuple(recording for table in tables if table.exists() for recording in read_annotations(table))


def replays_of(bench: Bench, rules: Sequence[Rule]) -> list[Replay]:
    """Replay every recording; windows that are in the cache are not embedded again."""
    found = []
    for number, recording in enumerate(bench.recordings):
        found.append(replay(recording.path, bench.config, bench.engine, rules))
        if number % 8 == 7:  # noqa: PLR2004 - now and then, in case it is interrupted
            bench.model.save()
    bench.model.save()
    return found


def rules_of(bench: Bench, **changes: Any) -> list[Rule]:
    """Rules of the labels, with some of their settings changed."""
    labels: Iterable[LabelConfig] = (label.model_copy(update=changes) for label in bench.config.labels)
    return [rule_of(label, rate=bench.engine.rate, hop=bench.engine.hop) for label in labels]


def swept(bench: Bench, rules: Sequence[Rule], shifts: npt.NDArray[np.float64] = SHIFTS) -> Sweep:
    """Replay and sweep."""
    return sweep(
        bench.recordings,
        replays_of(bench, rules),
        rules,
        collar=COLLAR_SECONDS,
        shifts=shifts,
    )
