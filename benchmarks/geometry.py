"""Geometry of the embeddings: what a narrow cone or stretched directions do to a qualified checkpoint.

    python -m benchmarks.geometry [--scenes DIR --labels FILE] [--every N] [--cache FILE] [--checkpoint C]

The audio embeddings of a checkpoint are moved by a constant vector, or stretched along random directions,
and brought to length 1 again; each such checkpoint is qualified anew.  Prints how many of the events are the
same as those of the checkpoint itself, qualified: of the same label, and beginning within one window of each
other.  Without ``--scenes`` the demo is replayed; otherwise every Nth recording of the scenes and negatives.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.qualified import CachedModel, qualified
from benchmarks.trial import recordings_in
from monitor.config import Config, load
from monitor.detection.engine import Engine, load_model
from monitor.detection.rules import rule_of
from monitor.evaluation.annotations import Recording
from monitor.evaluation.calibration_kit import read_kit
from monitor.evaluation.kit_qualification import affordable, time_of_window
from monitor.evaluation.replay import DetectedEvent, replay
from monitor.model.clap import Clap
from monitor.types import Embeddings

ROOT = Path(__file__).parents[1]
SEED = 26

Bend = Callable[[Embeddings], Embeddings]


def constant(norm: float) -> Bend:
    """Return what adds a random vector of this length."""
    return lambda rows: rows + np.float32(norm) * _unit(_random(1, rows.shape[1]))


def stretch(most: float) -> Bend:
    """Return what stretches along random orthogonal directions, each by a factor from 1 to ``most``."""

    def stretched(rows: Embeddings) -> Embeddings:
        width = rows.shape[1]
        directions, _ = np.linalg.qr(_random(width, width))
        factors = np.geomspace(1.0, most, width, dtype=np.float32)
        moved: Embeddings = (rows @ directions * factors) @ directions.T
        return moved

    return stretched


def both(norm: float, most: float) -> Bend:
    """Return what does one after the other."""
    first, then = stretch(most), constant(norm)
    return lambda rows: then(_unit(first(rows)))


BENDS: Mapping[str, Bend] = {
    "as it is": lambda rows: rows,
    "constant 0.3": constant(0.3),
    "constant 0.6": constant(0.6),
    "constant 0.9": constant(0.9),
    "stretched by up to 1.5": stretch(1.5),
    "stretched by up to 3": stretch(3.0),
    "stretched by up to 3, constant 0.6": both(0.6, 3.0),
}


class Bent(CachedModel):
    """A cached model whose audio embeddings are bent."""

    def __init__(self, model: Clap, path: Path | None) -> None:
        super().__init__(model, path)
        self.bend: Bend = BENDS["as it is"]

    def embed_log_mel(self, spectrograms: NDArray[np.float32]) -> Embeddings:
        """As `Clap.embed_log_mel`, bent, of length 1."""
        return _unit(self.bend(super().embed_log_mel(spectrograms)))


def main() -> None:
    """Try each and print a line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("--labels", type=Path, default=ROOT / "config/demo.yaml")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    config = load(arguments.labels)
    changes = {"checkpoint": arguments.checkpoint, "device": "cpu"}
    config = config.model_copy(update={"model": config.model.model_copy(update=changes)})
    recordings = [Recording(ROOT / "recordings/demo.flac", ())]
    if arguments.scenes is not None:
        recordings = list(recordings_in(arguments.scenes)[:: arguments.every])
    model, length, hop = load_model(config, apart=False)
    bent = Bent(model, arguments.cache)
    amount = affordable(read_kit(), time_of_window(model, length), hop / model.mel_config.rate)
    wanted: list[list[DetectedEvent]] = []
    for name, bend in BENDS.items():
        bent.bend = bend
        found = events(qualified(bent, config, (length, hop), amount), config, recordings)
        bent.save()
        wanted = wanted or found
        print(f"{name}: {line(wanted, found, length / model.mel_config.rate)}", flush=True)


def events(engine: Engine, config: Config, recordings: Sequence[Recording]) -> list[list[DetectedEvent]]:
    """Return the events of each recording."""
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in config.labels]
    return [list(replay(each.path, config, engine, rules).events) for each in recordings]


def line(
    wanted: Sequence[Sequence[DetectedEvent]], found: Sequence[Sequence[DetectedEvent]], collar: float
) -> str:
    """Return how many events are the same, in words."""
    same = sum(_same(*pair, collar) for pair in zip(wanted, found, strict=True))
    before, now = (sum(map(len, each)) for each in (wanted, found))
    return f"{now} events, {same} of them the same as {same / max(1, before):.0%} of the {before}"


def _same(wanted: Sequence[DetectedEvent], found: Sequence[DetectedEvent], collar: float) -> int:
    left, same = list(found), 0
    for event in wanted:
        near = [
            each for each in left if each.label == event.label and abs(each.start - event.start) <= collar
        ]
        if near:
            left.remove(min(near, key=lambda each: abs(each.start - event.start)))
            same += 1
    return same


def _unit(rows: Embeddings) -> Embeddings:
    unit: Embeddings = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _random(rows: int, columns: int) -> NDArray[np.float32]:
    return np.random.default_rng(SEED).standard_normal((rows, columns), dtype=np.float32)


if __name__ == "__main__":
    main()
