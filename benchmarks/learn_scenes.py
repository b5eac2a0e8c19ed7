"""Learning one particular sound: three examples of it, then found in scenes among sounds of all kinds.

    python -m benchmarks.learn_scenes --data ../shared/data [--hours 1.5]

The sounds are doorbells and melodies of appliances, synthesised here, and recorded ones of ``eval-dev`` and
``field-dev``.  The examples were played at 20 dB in other rooms and other ambience than the scenes, in which
each comes at 10 dB, among the other clips of ``eval-dev``.  Prints, for each label, the share found at one
false alarm an hour, and at the default threshold with its false alarms an hour: with prompts alone, with
both, and with examples alone; then the last where all the other sounds of this list, which are alike, are
heard as well; then that again after the three of them that fit each label best, played in the other rooms,
were marked wrong.  Hours are those of a busy home, as in a qualification: an event every 14 s.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

from monitor.config import Config, LabelConfig
from monitor.detection.engine import Engine
from monitor.detection.examples import Examples
from monitor.detection.quantised import quantised
from monitor.detection.rules import Rule, rule_of
from monitor.evaluation.annotations import Occurrence, Recording
from monitor.evaluation.calibration_kit import (
    SYNTHESISED,
    Kit,
    KitClip,
    KitEvent,
    KitLabel,
    Origin,
    decode_clips,
    read_kit,
)
from monitor.evaluation.calibration_scenes import SceneOptions, calibration_scenes
from monitor.evaluation.example_recordings import example_of
from monitor.evaluation.kit_windows import WindowEmbedder, windows_in
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.evaluation.remembered_scenes import RememberedScene, replay_scene
from monitor.evaluation.replay import Replay
from monitor.evaluation.threshold_sweep import best_shift, sweep
from monitor.memory.label_scores import margins
from monitor.types import Samples
from tests.support.bells import RATE, bell

EXAMPLES = 3
SNR_DB = 10.0
OFTEN = 3
"""Times as often as other sounds those of the list come."""

COLLAR_SECONDS = 2.0
ECHO_SECONDS = 1.0

WANTED = 0.9
"""Share that is to be found."""

SCENE_SECONDS = 270.0
MARGIN_SECONDS = 0.3
"""Of a recording before and after the sound."""

RECORDED = {
    "eval-dev": {"doorbell": 3, "telephone_ring": 2, "alarm_beep": 2},
    "field-dev": {"doorbell": 4, "telephone": 3},
}
"""How many clips of a label, the first by name of different originals."""

PROMPTS = {
    "doorbell": "a doorbell ringing",
    "tones": "a doorbell ringing",
    "telephone": "a telephone ringing",
    "alarm": "an alarm beeping",
    "melody": "an electronic melody",
    "beeps": "a microwave beeping",
}
"""One plain sentence for each sound, by a part of its id."""

_ORIGIN = Origin(SYNTHESISED, "", "", "")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=1.5, help="length of the scenes")
    arguments = parser.parse_args()
    with TemporaryDirectory() as directory:
        place = Path(directory)
        engine = load_qualified_engine(Config(state=place / "state"))
        sounds = dict(particular_sounds(arguments.data, place))
        shown = examples_of(sounds, engine)
        others = dict(other_sounds(arguments.data, sounds))
        beds = [clip_of(path) for path in sorted((arguments.data / "eval-dev/beds").glob("*.flac"))]
        scenes = list(scenes_of(sounds, others, beds, engine, arguments.hours))
        report(scenes, shown, engine)


def particular_sounds(data: Path, place: Path) -> Iterator[tuple[str, Path]]:
    """Yield an id and a file for each sound that is learned."""
    made = {
        "made_two_tones": bell(660, 523),
        "made_high_tones": bell(1318, 1046),
        "made_melody": melody((784, 988, 1175, 988, 1568, 1175), 0.18),
        "made_slow_melody": melody((523, 659, 784, 1047), 0.4),
        "made_beeps": melody((2050, 0, 2050, 0, 2050), 0.35),
    }
    for name, samples in made.items():
        path = place / f"{name}.wav"
        soundfile.write(path, samples, RATE)
        yield name, path
    for folder, wanted in RECORDED.items():
        with (data / folder / "clips.csv").open() as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
        for label, count in wanted.items():
            own = [row for row in rows if row["label"] == label]
            firsts = {row.get("group", row["file"]): row["file"] for row in reversed(own)}
            for number, path in enumerate(sorted(firsts.values())[:count]):
                yield f"{folder[:-4]}_{label}_{number}", data / folder / path


def melody(frequencies: Sequence[float], seconds: float) -> Samples:
    """Return notes with overtones, as an appliance plays them; 0 Hz is a rest."""
    times = np.arange(round(seconds * RATE)) / RATE
    shape = np.minimum(1.0, 50 * times) * np.minimum(1.0, 30 * (seconds - times))
    notes = [
        sum(np.sin(2 * np.pi * h * f * times) / h**2 for h in (1, 2, 3)) * shape if f else 0 * times
        for f in frequencies
    ]
    samples: Samples = (0.3 * np.concatenate(notes)).astype(np.float32)
    return samples


def other_sounds(data: Path, sounds: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    """Yield all other clips of ``eval-dev``."""
    for path in sorted((data / "eval-dev/clips").glob("*.flac")):
        if path not in sounds.values():
            yield path.stem, path


def clip_of(path: Path) -> KitClip:
    """Return a whole file as a clip."""
    info = soundfile.info(path)
    # A file that is resampled may lack the last samples.
    return KitClip(path, 0.0, max(0.1, info.frames / info.samplerate - 0.03), path.stem, _ORIGIN, path.name)


def kit_of(sounds: Mapping[str, Path], beds: Sequence[KitClip]) -> Kit:
    """Return a kit of single sounds."""
    events = tuple(
        KitEvent(name, clip := clip_of(path), 0.0, min(clip.seconds, 5.0)) for name, path in sounds.items()
    )
    labels = tuple(KitLabel(name, name, series=False) for name in sounds)
    return Kit(0, labels, (), tuple(beds), events)


def examples_of(sounds: Mapping[str, Path], engine: Engine) -> dict[str, Examples]:
    """Play each sound in ambience of the calibration kit, and learn it."""
    rate, embedder = engine.rate, WindowEmbedder(engine.model, engine.length)
    beds = read_kit().beds
    [(_, room)] = decode_clips([bed for bed in beds if bed.name == "quiet room"], rate)
    seconds = EXAMPLES * len(sounds) * 10.0
    options = SceneOptions(scenes=1, quiet_scenes=0, seconds=seconds, snrs_db=(20.0,), seed=7)
    [scene] = calibration_scenes(kit_of(sounds, beds), rate, options)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in sounds}
    for each in scene.occurrences:
        if len(rows[each.label]) < EXAMPLES:
            start, stop = each.onset - MARGIN_SECONDS, each.offset + MARGIN_SECONDS
            samples = scene.samples[round(start * rate) : round(stop * rate)]
            rows[each.label].append(example_of(each.label, samples, embedder, engine.hop, room).embedding)
    return {
        name: Examples(name, engine.model.identity, quantised(np.stack(found)), ("",) * len(found))
        for name, found in rows.items()
    }


def scenes_of(
    sounds: Mapping[str, Path],
    others: Mapping[str, Path],
    beds: Sequence[KitClip],
    engine: Engine,
    hours: float,
) -> Iterator[RememberedScene]:
    """Mix scenes of all sounds, and embed their windows."""
    embedder = WindowEmbedder(engine.model, engine.length)
    often = {f"{name}@{number}": path for name, path in sounds.items() for number in range(OFTEN)}
    options = SceneOptions(
        scenes=round(hours * 3600 / SCENE_SECONDS),
        quiet_scenes=1,
        seconds=SCENE_SECONDS,
        snrs_db=(SNR_DB,),
        seed=3,
    )
    for scene in calibration_scenes(kit_of({**often, **others}, beds), engine.rate, options):
        named = tuple(replace(each, label=each.label.split("@")[0]) for each in scene.occurrences)
        windows = windows_in(scene.samples, engine.length, engine.hop)
        yield RememberedScene(embedder.embed(windows, engine.hop), named, SCENE_SECONDS)


def report(scenes: Sequence[RememberedScene], shown: Mapping[str, Examples], engine: Engine) -> None:
    """Print what is found."""
    wrong = with_rivals(shown, engine)
    for title, prompts, examples in (
        ("prompts", True, False),
        ("prompts and examples", True, True),
        ("examples", False, True),
        ("examples and sounds marked wrong", False, True),
    ):
        if title.endswith("wrong"):
            shown = wrong
        labels = [
            LabelConfig(id=name, prompts=(prompt_of(name),) if prompts else (), examples=examples)
            for name in shown
        ]
        prototypes = engine.build_prototypes(labels, engine.prototypes.against_prompts, shown)
        rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in labels]
        known = replace(engine, prototypes=prototypes)
        replays = [replay_scene(each, known, labels, rules) for each in scenes]
        if examples:
            print(f"{title}, among the others:")
            print_shares(scenes, replays, rules)
        print(f"{title}:")
        alone = [without_alike(*pair, shown) for pair in zip(replays, scenes, strict=True)]
        print_shares(scenes, alone, rules)


def with_rivals(shown: Mapping[str, Examples], engine: Engine) -> dict[str, Examples]:
    """Mark the other sounds that fit each label best as wrong: one recording of each of `EXAMPLES`."""
    labels = [LabelConfig(id=name, examples=True) for name in shown]
    prototypes = engine.build_prototypes(labels, engine.prototypes.against_prompts, shown)
    fits = margins(np.stack([each.embeddings[0] for each in shown.values()]), prototypes)
    np.fill_diagonal(fits, -np.inf)
    names, found = list(shown), {}
    for place, (name, examples) in enumerate(shown.items()):
        best = np.argsort(-fits[:, place])[:EXAMPLES].tolist()
        rivals = np.stack([shown[names[other]].rows[0] for other in best])
        found[name] = replace(examples, rivals=rivals, rival_origins=tuple(names[other] for other in best))
    return found


def prompt_of(name: str) -> str:
    """Return the sentence for a sound."""
    return next(text for part, text in PROMPTS.items() if part in name)


def without_alike(replay: Replay, scene: RememberedScene, shown: Mapping[str, Examples]) -> Replay:
    """Return the replay as if of the learned sounds only its own could be heard by each label."""
    scores = []
    for window in replay.scores:
        near = [each.label for each in scene.occurrences if overlaps(each, window.start, window.stop)]
        alike = np.array([any(one in shown and one != label for one in near) for label in window.labels])
        scores.append(replace(window, values=np.where(alike, np.float32(0), window.values)))
    seconds = (
        replay.seconds
        * len([o for o in scene.occurrences if o.label not in shown])
        / max(1, len(scene.occurrences))
    )
    return replace(replay, scores=tuple(scores), seconds=seconds if scene.occurrences else replay.seconds)


def overlaps(occurrence: Occurrence, start: int, stop: int) -> bool:
    """Return whether a window holds something of a sound or of its echo."""
    return start / RATE < occurrence.offset + ECHO_SECONDS and stop / RATE > occurrence.onset


def print_shares(scenes: Sequence[RememberedScene], replays: Sequence[Replay], rules: Sequence[Rule]) -> None:
    """Print what is found of each label."""
    labels = {rule.label for rule in rules}
    recordings = [
        Recording(Path(f"scene-{number}"), tuple(each for each in scene.occurrences if each.label in labels))
        for number, scene in enumerate(scenes)
    ]
    found = sweep(recordings, replays, rules, collar=COLLAR_SECONDS)
    hours = float(found.hours.sum())
    default = int(np.flatnonzero(found.shifts == 0.0)[0])
    print(f"{hours:.1f} h, {int(found.occurrences.sum())} occurrences of {len(labels)} sounds")
    shares, recalls, rates = [], [], []
    for column, label in enumerate(found.labels):
        of, hits = found.occurrences[:, column].sum(), found.found[:, :, column].sum(axis=1)
        false = found.false_alarms[:, :, column].sum(axis=1)
        best = best_shift(false, hits, hours, 1.0)
        shares.append(0.0 if best is None else hits[best] / of)
        recalls.append(hits[default] / of)
        rates.append(false[default] / hours)
        print(
            f"{label}: {shares[-1]:.2f} of {of} at one false alarm an hour; at the default threshold "
            f"{recalls[-1]:.2f} and {rates[-1]:.1f} an hour",
            flush=True,
        )
    print(
        f"mean {np.mean(shares):.2f}, at least {WANTED}: {sum(share >= WANTED for share in shares)} "
        f"of {len(shares)}; at the default threshold {np.mean(recalls):.2f} and {np.mean(rates):.1f} an hour"
    )


if __name__ == "__main__":
    main()
