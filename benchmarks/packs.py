"""Prompt packs in plain ambience, where no label should fire.

    python -m benchmarks.packs [--minutes 20] [--beds DIR] [--checkpoint starter]

Scores so many minutes of each background of the calibration kit, or of each sound file in ``DIR`` (such as
``eval-dev/beds``), for all labels of all packs at once, at their own thresholds.  Recordings are made longer
by crops that fade into each other, under a slow random tilt and gain.  Prints every event but those of a
label whose sound is in the background (`SOUNDS_IN`), and the highest score of each label.  Labels with a
temporal pattern never fire here: `benchmarks.alarm_pattern` measures those.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from benchmarks.scene_beds import looped
from benchmarks.scene_sources import RATE, Samples, read_mono
from monitor.config import Config
from monitor.config.prompt_packs import PACKS
from monitor.detection.engine import Engine
from monitor.detection.rules import rule_of
from monitor.evaluation.calibration_kit import decode_clips, read_kit
from monitor.evaluation.kit_windows import WindowEmbedder, windows_in
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.evaluation.remembered_scenes import RememberedScene, replay_scene

SOUNDS_IN: Mapping[str, tuple[str, ...]] = {
    "bird_song": ("forest", "bed_forest", "bed_birds"),
    "caged_bird": ("forest", "bed_forest", "bed_birds"),
    "car_horn": ("bed_traffic",),
    "engine_starting": ("bed_traffic",),
    "water_running": ("waterfall", "bed_river"),
}
"""Backgrounds that hold the sound of a label."""


def main() -> None:
    """Replay every background."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--beds", type=Path, help="a folder of sound files; unset: those of the kit")
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--state", type=Path, default=Path("state"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    config = every_pack(arguments.checkpoint, arguments.state)
    engine = load_qualified_engine(config)
    beds = kit_beds() if arguments.beds is None else files_in(arguments.beds)
    highest: dict[str, float] = {}
    for name, recording in beds:
        random = np.random.default_rng(arguments.seed)
        audio = looped(recording, 60 * arguments.minutes, random)
        events, scores = fired(audio, name, config, engine)
        for label, score in scores.items():
            highest[label] = max(score, highest.get(label, 0.0))
        words = ", ".join(f"{label} {count}" for label, count in events.items()) or "nothing"
        print(f"{name}, {arguments.minutes:g} min: {words}", flush=True)
    print("highest scores: " + ", ".join(f"{label} {score:.2f}" for label, score in highest.items()))


def every_pack(checkpoint: str, state: Path) -> Config:
    """Return a configuration with the labels of all packs."""
    return Config.model_validate(
        {"include": list(PACKS), "model": {"checkpoint": checkpoint, "threads": 1}, "state": str(state)}
    )


def kit_beds() -> Iterator[tuple[str, Samples]]:
    """Yield the name and the samples of each background of the calibration kit."""
    for clip, samples in decode_clips(read_kit().beds, RATE):
        yield clip.name, samples


def files_in(folder: Path) -> Iterator[tuple[str, Samples]]:
    """Yield the name, up to a double underscore, and the samples of each sound file in a folder."""
    for path in sorted(folder.glob("*.*")):
        yield path.stem.split("__")[0], read_mono(path)


def fired(
    audio: Samples, background: str, config: Config, engine: Engine
) -> tuple[Counter[str], dict[str, float]]:
    """Return how often each label fires where its sound is not, and its highest score there."""
    labels = [label for label in config.labels if background not in SOUNDS_IN.get(label.id, ())]
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in config.labels]
    windows = windows_in(audio, engine.length, engine.hop)
    embeddings = WindowEmbedder(engine.model, engine.length).embed(windows, engine.hop)
    replayed = replay_scene(RememberedScene(embeddings, (), len(audio) / RATE), engine, config.labels, rules)
    values = np.max([scores.values for scores in replayed.scores], axis=0)
    best = dict(zip(replayed.scores[0].labels, values.tolist(), strict=True))
    asked = {label.id for label in labels}
    counts = Counter(event.label for event in replayed.events if event.label in asked)
    return counts, {id_: best[id_] for id_ in asked}


if __name__ == "__main__":
    main()
