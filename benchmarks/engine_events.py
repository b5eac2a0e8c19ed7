"""Events of torch and ONNX Runtime on the same recordings: whether they are the same.

    python -m benchmarks.engine_events --scenes DIR/test/scenes [--labels FILE] [--every 6]

Recordings of `benchmarks.scenes` or `benchmarks.field_scenes` are replayed in both engines in float32 with
the same calibration and the novelty gate.  An event is the same if label, onset, offset and the window that
confirmed it are.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.trial import LABELS
from monitor.config import Config, load
from monitor.detection.rules import rule_of
from monitor.evaluation.annotations import read_annotations
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.evaluation.replay import DetectedEvent, Replay, replay

ENGINES = ("torch", "onnx")


def main() -> None:
    """Replay in both engines and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True, help="directory with annotations.tsv")
    parser.add_argument("--labels", type=Path, default=LABELS, help="configuration with the labels")
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--every", type=int, default=1, help="take only every so many recordings")
    arguments = parser.parse_args()
    recordings = read_annotations(arguments.scenes / "annotations.tsv")[:: arguments.every]
    paths = [recording.path for recording in recordings]
    config = load(arguments.labels)
    replays = {engine: heard(config, arguments.checkpoint, engine, paths) for engine in ENGINES}
    torch, onnx = (Counter(events_of(found)) for found in replays.values())
    windows = [
        (float(np.abs(one.values - other.values).max()), one.gated == other.gated)
        for pair in zip(*replays.values(), strict=True)
        for one, other in zip(pair[0].scores, pair[1].scores, strict=True)
    ]
    seconds = sum(found.seconds for found in replays["torch"])
    print(
        f"{len(paths)} recordings, {seconds / 3600:.2f} h, {len(windows)} windows: "
        f"torch {torch.total()} events, ONNX Runtime {onnx.total()}, "
        f"{(torch - onnx).total() + (onnx - torch).total()} only in one; scores differ by at most "
        f"{max(apart for apart, _ in windows):.1e}; {sum(not same for _, same in windows)} windows "
        "through the model in one engine only"
    )
    for engine, only in (("torch", torch - onnx), ("onnx", onnx - torch)):
        for number, event in sorted(only, key=lambda found: (found[0], found[1].start, found[1].label)):
            print(f"  only in {engine}: {paths[number].name} {event}")


def heard(config: Config, checkpoint: str, engine: str, paths: list[Path]) -> list[Replay]:
    """Replay recordings in one engine."""
    model = {"checkpoint": checkpoint, "engine": engine, "device": "cpu", "dtype": "float32"}
    config = config.model_copy(update={"model": config.model.model_copy(update=model)})
    config.state.mkdir(parents=True, exist_ok=True)
    loaded = load_qualified_engine(config)
    rules = [rule_of(label, rate=loaded.rate, hop=loaded.hop) for label in config.labels]
    return [replay(path, config, loaded, rules) for path in paths]


def events_of(replays: list[Replay]) -> list[tuple[int, DetectedEvent]]:
    """Events, each with the number of its recording."""
    return [(number, event) for number, found in enumerate(replays) for event in found.events]


if __name__ == "__main__":
    main()
