"""Qualification judged: what the default threshold is worth elsewhere, for any checkpoint, window and format.

    python -m benchmarks.qualified CHECKPOINT --scenes DIR/test [--every N] [--window S] [--hop S] [--dtype T]

The checkpoint is qualified on the calibration kit, without any calibration that came with it, and every Nth
recording of the scenes and negatives is replayed.  Prints the recall and the false alarms an hour and label
at the default threshold, those of the labels with most, and what one threshold, chosen on these recordings,
finds at one false alarm.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.remembered import Remembered
from benchmarks.trial import recordings_in
from monitor.config import Config, load
from monitor.detection.engine import Engine, load_model
from monitor.detection.prototypes import build_prototypes
from monitor.detection.rules import rule_of
from monitor.evaluation.annotations import Recording
from monitor.evaluation.calibration_kit import read_kit
from monitor.evaluation.kit_qualification import Amount, affordable, qualify, time_of_window
from monitor.evaluation.qualified_engine import setup_of
from monitor.evaluation.replay import replay
from monitor.evaluation.threshold_sweep import Sweep, best_shift, sweep
from monitor.model.clap import Clap
from monitor.types import Embeddings

LABELS = Path(__file__).with_name("field_scenes.yaml")
SHIFTS = np.round(np.arange(-40, 41) / 10, 1)
MOST_LABELS = 4
"""Labels with false alarms that are named."""


class CachedModel(Remembered):
    """A cached model with all that a qualification asks of a `Clap`."""

    def __init__(self, model: Clap, path: Path | None) -> None:
        super().__init__(model, path)
        self.dimension, self.dtype, self.engine = model.dimension, model.dtype, model.engine
        self.identity, self.warm_up = model.identity, model.warm_up

    def embed_text(self, prompts: Sequence[str], *, keep: bool = True) -> Embeddings:
        """As `Clap.embed_text`."""
        return self._model.embed_text(prompts, keep=keep)

    def forget_text(self) -> None:
        """Keep the text encoder: it is needed again soon."""


def main() -> None:
    """Qualify, replay and print two lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint")
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--window", type=float, help="seconds")
    parser.add_argument("--hop", type=float, help="seconds")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    config = configured(arguments)
    model, length, hop = load_model(config, apart=False)
    amount = affordable(read_kit(), time_of_window(model, length), hop / model.mel_config.rate)
    cached = CachedModel(model, arguments.cache)
    engine = qualified(cached, config, (length, hop), amount)
    recordings = recordings_in(arguments.scenes)[:: arguments.every]
    found = judged(engine, config, recordings)
    cached.save()
    seconds = (length / engine.rate, hop / engine.rate)
    print(f"{model.name}, {model.dtype}, windows of {seconds[0]:g} s every {seconds[1]:g} s, {amount}")
    print(f"{engine.calibration}\n{words(engine, found)}", flush=True)


def configured(arguments: argparse.Namespace) -> Config:
    """Return the configuration of the labels, with the checkpoint and windows asked for."""
    config = load(arguments.labels)
    model = {"checkpoint": arguments.checkpoint, "device": "cpu", "dtype": arguments.dtype, "engine": "torch"}
    window: dict[str, Any] = {}
    if arguments.window is not None:
        window["seconds"] = arguments.window
    if arguments.hop is not None:
        window["hop_seconds"] = arguments.hop
    changes = {
        "model": config.model.model_copy(update=model),
        "window": config.window.model_copy(update=window),
    }
    return config.model_copy(update=changes)


def qualified(cached: CachedModel, config: Config, window: tuple[int, int], amount: Amount) -> Engine:
    """Return the engine of a checkpoint with the calibration of the kit, and no other.

    Parameters
    ----------
    cached : CachedModel
    config : Config
    window : tuple of int
        Length and hop, in samples.
    amount : Amount
    """
    kit, model = read_kit(), cast("Clap", cached)  # duck-typed
    length, hop = window
    made = qualify(model, setup_of(model, length, hop, kit), kit, amount=amount)
    norm = made.cohort.norm()
    prototypes = build_prototypes(config.labels, config.background, cached.embed_text, norm)
    engine = Engine(model, cached.embed_log_mel, prototypes, made.calibration, length, hop)
    return replace(engine, cohort_norm=norm, qualification=made)


def judged(engine: Engine, config: Config, recordings: Sequence[Recording]) -> Sweep:
    """Replay recordings and count at every shift of the threshold."""
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in config.labels]
    replays = [replay(each.path, config, engine, rules) for each in recordings]
    collar = max(1.0, engine.length / engine.rate)
    return sweep(recordings, replays, rules, collar=collar, shifts=SHIFTS)


def words(engine: Engine, found: Sweep) -> str:
    """Return the figures in a line."""
    default = int(np.flatnonzero(found.shifts == 0.0)[0])
    label_hours = float(found.hours.sum()) * len(found.labels)
    every = found.found.sum(axis=(1, 2)) / found.occurrences.sum()
    rate = found.false_alarms.sum(axis=(1, 2)) / label_hours
    best = best_shift(found.false_alarms.sum(axis=(1, 2)), found.found.sum(axis=(1, 2)), label_hours, 1.0)
    of_label = found.false_alarms[default].sum(axis=0)
    most = [place for place in np.argsort(-of_label, kind="stable")[:MOST_LABELS] if of_label[place]]
    named = ", ".join(f"{found.labels[place]} {of_label[place]}" for place in most) or "none"
    auroc = "" if engine.qualification is None else f"AUROC on the kit {engine.qualification.figures.auroc}, "
    one = 0.0 if best is None else every[best]
    return (
        f"{auroc}{found.hours.sum():.2f} h, {found.occurrences.sum()} events: recall {every[default]:.3f}, "
        f"{rate[default]:.2f} false alarms an hour and label ({of_label.sum()} in all: {named}); "
        f"one threshold at one false alarm {one:.3f}"
    )


if __name__ == "__main__":
    main()
