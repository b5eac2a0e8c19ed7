"""Learning by example: kinds of sound, taught with some recordings and tested on others in ambience.

    python -m benchmarks.learn esc10 --data ../shared/data [--checkpoint CHECKPOINT]
    python -m benchmarks.learn field --data ../shared/data

``esc10`` takes the examples from fold 1 of ESC-10 and tests on fold 4; the starter was trained on folds 1
to 3, so that its prompts, and these examples, have an advantage.  ``field`` takes 18 household labels of
``field-dev``, which no training has seen; no original recording is on both sides.

Prints the mean average precision of the classes with prompts, with prompts and examples, and with examples
alone, at several SNRs; the mean over draws of the examples.  With ``--rivals N``, the N recordings of other
classes on the side of the examples that fit a label best are marked wrong.  A clip has the highest level that
two of three windows reach, as an event starts.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from monitor.audio.sources.ffmpeg import decode
from monitor.config import Config, LabelConfig, ModelConfig, load
from monitor.detection.engine import Engine
from monitor.detection.examples import Examples
from monitor.detection.prototypes import Prototypes
from monitor.detection.quantised import quantised
from monitor.evaluation.calibration_kit import decode_clips, read_kit
from monitor.evaluation.example_recordings import example_of
from monitor.evaluation.kit_windows import WindowEmbedder, windows_in
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.memory.label_scores import margins
from monitor.types import Embeddings, Samples

PROMPTS = {
    "baby_cry": "a baby crying",
    "chainsaw": "a chainsaw running",
    "clock_tick": "a clock ticking",
    "dog_bark": "a dog barking",
    "fire_crackling": "a fire crackling",
    "helicopter": "a helicopter flying",
    "person_sneeze": "a person sneezing",
    "rain": "rain falling",
    "rooster": "a rooster crowing",
    "sea_waves": "sea waves",
}
"""One plain sentence for each class, written before any result."""

FIELD = Path(__file__).with_name("field_scenes.yaml")

SECONDS = 5.0
SNRS_DB = (20.0, 10.0, 0.0)
DRAWS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Clips:
    """Sound files of both sides."""

    prompts: Mapping[str, str]
    """By class."""
    examples: Mapping[str, Sequence[Path]]
    tests: Mapping[str, Sequence[Path]]


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """Embeddings of both sides."""

    prompts: Mapping[str, str]
    examples: Mapping[str, Embeddings]
    """One for each clip, by class."""
    classes: tuple[str, ...]
    """Class of each clip of the test."""
    windows: Mapping[float, Embeddings]
    """Windows of the clips of the test in ambience, shape (clips, windows, d), by SNR in dB."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sounds", choices=["esc10", "field"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument(
        "--folds",
        type=int,
        nargs="+",
        default=(1, 4),
        help="of esc10: of the examples, and last of the tests",
    )
    parser.add_argument("--counts", type=int, nargs="+", default=(1, 3, 5), help="of examples")
    parser.add_argument("--rivals", type=int, default=0, help="recordings marked wrong for each label")
    arguments = parser.parse_args()
    with TemporaryDirectory() as state:
        model = ModelConfig(checkpoint=arguments.checkpoint, device="cpu")
        engine = load_qualified_engine(Config(model=model, state=Path(state)))
        esc10 = arguments.sounds == "esc10"
        clips = esc10_clips(arguments.data, arguments.folds) if esc10 else field_clips(arguments.data)
        report(read_folds(clips, arguments.data, engine), engine, arguments)


def esc10_clips(data: Path, folds: Sequence[int]) -> Clips:
    """Return folds of ESC-10, the last for the test."""
    shown, tested = (
        {
            name: sorted(path for fold in part for path in (data / "esc10" / name).glob(f"{fold}-*.ogg"))
            for name in PROMPTS
        }
        for part in (folds[:-1], folds[-1:])
    )
    return Clips(PROMPTS, shown, tested)


def field_clips(data: Path) -> Clips:
    """Return the clips of the labels of the field scenes, every other original recording for the test."""
    prompts = {label.id: label.prompts[0] for label in load(FIELD).labels}
    with (data / "field-dev/clips.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in prompts]
    sides: tuple[dict[str, list[Path]], ...] = tuple({name: [] for name in prompts} for _ in range(2))
    for name in prompts:
        own = [row for row in rows if row["label"] == name]
        groups = sorted({row["group"] for row in own})
        for row in own:
            path = data / "field-dev" / row["file"]
            sides[groups.index(row["group"]) % 2][name].append(path)
    return Clips(prompts, *sides)


def read_folds(clips: Clips, data: Path, engine: Engine) -> Folds:
    """Embed the clips."""
    embedder, random = WindowEmbedder(engine.model, engine.length), np.random.default_rng(0)
    kit = read_kit()
    [(_, room)] = decode_clips([bed for bed in kit.beds if bed.name == "quiet room"], engine.rate)
    beds = [decode(path, engine.rate) for path in sorted((data / "eval-dev/beds").glob("*.flac"))]
    examples: dict[str, list[NDArray[np.float32]]] = {name: [] for name in clips.prompts}
    mixed: dict[float, list[Embeddings]] = {snr: [] for snr in SNRS_DB}
    classes = []
    for name in clips.prompts:
        for path in clips.examples[name]:
            example = example_of(path.name, decode(path, engine.rate), embedder, engine.hop, room)
            examples[name].append(example.embedding)
        for path in clips.tests[name]:
            classes.append(name)
            clip = np.resize(decode(path, engine.rate), round(SECONDS * engine.rate))
            bed = beds[int(random.integers(len(beds)))]
            part = np.take(bed, int(random.integers(len(bed))) + np.arange(len(clip)), mode="wrap")
            for snr in SNRS_DB:
                windows = windows_in(in_bed(clip, part, snr), engine.length, engine.hop)
                mixed[snr].append(embedder.embed(windows, engine.hop))
    return Folds(
        clips.prompts,
        {name: np.stack(rows) for name, rows in examples.items()},
        tuple(classes),
        {snr: np.stack(rows) for snr, rows in mixed.items()},
    )


def in_bed(sound: Samples, bed: Samples, snr_db: float) -> Samples:
    """Mix a sound into a bed; the SNR is of the parts of 50 ms within 20 dB of the loudest one."""
    power = np.square(sound[: len(sound) // 2400 * 2400], dtype=np.float64).reshape(-1, 2400).mean(axis=1)
    loud = float(np.sqrt(power[power >= 0.01 * power.max()].mean()))
    usual = float(np.sqrt(np.mean(np.square(bed, dtype=np.float64))))
    mixed = 0.03 * (bed / usual + sound / max(loud, 1e-9) * 10.0 ** (snr_db / 20.0))
    samples: Samples = (mixed / max(1.0, float(np.abs(mixed).max()))).astype(np.float32)
    return samples


def report(folds: Folds, engine: Engine, arguments: argparse.Namespace) -> None:
    """Print the mean average precisions."""
    rivals = arguments.rivals
    for snr, windows in folds.windows.items():
        prompts = precisions(folds, windows, engine, 0, prompts=True)
        print(f"{snr:g} dB: prompts {prompts.mean():.3f}")
        for count in arguments.counts:
            both = precisions(folds, windows, engine, count, prompts=True, rivals=rivals)
            alone = precisions(folds, windows, engine, count, prompts=False, rivals=rivals)
            change = both - prompts
            worst = list(folds.prompts)[int(change.argmin())]
            print(
                f"  {count} examples: with prompts {both.mean():.3f} (worst: {worst} {change.min():+.3f}), "
                f"alone {alone.mean():.3f}",
                flush=True,
            )


def precisions(
    folds: Folds, windows: Embeddings, engine: Engine, count: int, *, prompts: bool, rivals: int = 0
) -> NDArray[np.float64]:
    """Average precision of each class, the mean over draws of the examples, shape (classes,)."""
    draws = []
    for seed in range(DRAWS if count else 1):
        random = np.random.default_rng(seed)
        labels = [
            LabelConfig(id=name, prompts=(text,) if prompts else (), examples=count > 0)
            for name, text in folds.prompts.items()
        ]
        shown = {
            name: drawn(name, folds.examples[name], count, engine, random) for name in folds.prompts if count
        }
        prototypes = engine.build_prototypes(labels, engine.prototypes.against_prompts, shown)
        if rivals and count:
            shown = with_rivals(folds, shown, prototypes, rivals)
            prototypes = engine.build_prototypes(labels, engine.prototypes.against_prompts, shown)
        scores = margins(windows.reshape(-1, windows.shape[-1]), prototypes)
        levels = second_of_three(scores.reshape(*windows.shape[:2], -1))
        draws.append(
            [
                average_precision(np.array(folds.classes) == name, levels[:, column])
                for column, name in enumerate(folds.prompts)
            ]
        )
    mean: NDArray[np.float64] = np.mean(draws, axis=0)
    return mean


def drawn(name: str, rows: Embeddings, count: int, engine: Engine, random: np.random.Generator) -> Examples:
    """Draw examples of one class."""
    chosen = rows[random.choice(len(rows), min(count, len(rows)), replace=False)]
    return Examples(name, engine.model.identity, quantised(chosen), ("",) * len(chosen))


def with_rivals(
    folds: Folds, shown: Mapping[str, Examples], prototypes: Prototypes, count: int
) -> dict[str, Examples]:
    """Mark the recordings of other classes that fit each label best as wrong."""
    found = {}
    for place, (name, examples) in enumerate(shown.items()):
        others = np.concatenate([rows for other, rows in folds.examples.items() if other != name])
        best = np.argsort(-margins(others, prototypes)[:, place])[:count]
        found[name] = replace(examples, rivals=quantised(others[best]), rival_origins=("",) * len(best))
    return found


def second_of_three(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Highest level that two of three windows in a row reach, shape (clips, labels)."""
    views = np.lib.stride_tricks.sliding_window_view(scores, 3, axis=1)
    levels: NDArray[np.float32] = np.sort(views, axis=-1)[..., 1].max(axis=1)
    return levels


def average_precision(wanted: Sequence[bool] | NDArray[np.bool_], levels: NDArray[np.float32]) -> float:
    """Mean precision at each wanted clip, from the highest level down."""
    order = np.asarray(wanted)[np.argsort(-levels, kind="stable")]
    hits = np.cumsum(order)
    return float(np.mean(hits[order] / (np.flatnonzero(order) + 1)))


if __name__ == "__main__":
    main()
