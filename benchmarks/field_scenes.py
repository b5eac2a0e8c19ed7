"""Build field scenes: recordings that have nothing to do with the training data, in beds from elsewhere.

    python -m benchmarks.field_scenes --data ../shared/data --out DIR [--seed 1]

The clips of ``field-dev`` are split by original recording into ``tuning`` (decisions may be chosen on it) and
``test`` (they are judged on it).  For each half:

- ``DIR/HALF/scenes``: 26 recordings of 5 minutes with 18 household labels and sounds that nobody asked for,
  at 20, 10, 5 and 0 dB in simulated rooms, an event about every 14 s, in kitchens and streets;
- ``DIR/HALF/negatives``: the same beds without events, an hour in all;
- ``annotations.tsv`` in both, as `benchmarks.scenes` writes it.

The same seed gives the same files.  Both halves use parts of the same few beds, but not the same parts.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from benchmarks.scene_beds import looped
from benchmarks.scene_mix import as_recorded, mix, plan, rooms
from benchmarks.scene_sources import Clip, Half, Samples, at_rms, read_mono
from benchmarks.scenes import HEADER, line_of, write

SECONDS = 300.0
SCENES = 26
NEGATIVES = 12
EVENTS_OF_SCENE = 26
"""More than fit; what does not is left out."""

COUNTED = (
    "baby_cry",
    "bird",
    "blender",
    "cat_meow",
    "coughing",
    "dog_bark",
    "door_slam",
    "doorbell",
    "glass_breaking",
    "keyboard",
    "keys",
    "knocking",
    "laughter",
    "smoke_alarm",
    "snoring",
    "telephone",
    "vacuum",
    "water_running",
)

DISTRACTING = (
    "book",
    "chicken",
    "chopping",
    "clear_throat",
    "cow",
    "cupboard",
    "cutlery",
    "drawer",
    "eat",
    "frog",
    "frying_pan",
    "page_turn",
    "plates",
    "speech",
    "sweep",
)


def main() -> None:
    """Build both halves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds field-dev")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = arguments.data / "field-dev"
    for half in get_args(Half):
        clips = split(read_clips(folder), half, arguments.seed)
        beds = [part_of(read_mono(path), half) for path in sorted((folder / "beds").glob("*.ogg"))]
        seed = [arguments.seed, get_args(Half).index(half)]
        write_scenes(arguments.out / half / "scenes", clips, beds, seed)
        write_negatives(arguments.out / half / "negatives", beds, seed)


def read_clips(folder: Path) -> list[Clip]:
    """Return every clip of the table, in its order."""
    with (folder / "clips.csv").open(newline="") as file:
        return [
            Clip(folder / row["file"], row["label"], row["label"].replace("_", " "), row["group"], "")
            for row in csv.DictReader(file)
        ]


def split(clips: Sequence[Clip], half: Half, seed: int) -> dict[str, list[Clip]]:
    """Return the clips of one half by label; those of one original recording stay together."""
    groups: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        if clip.recording not in groups[clip.label]:
            groups[clip.label].append(clip.recording)
    chosen: dict[str, list[Clip]] = defaultdict(list)
    for index, (label, group) in enumerate(sorted(groups.items())):
        order = np.random.default_rng([seed, 7, index]).permutation(len(group))
        first = (len(group) + index % 2) // 2
        ours = {group[i] for i in (order[:first] if half == "tuning" else order[first:])}
        chosen[label] = [clip for clip in clips if clip.label == label and clip.recording in ours]
    return {label: found for label, found in chosen.items() if found}


def part_of(samples: Samples, half: Half) -> Samples:
    """Return the first or the second half of a bed."""
    middle = len(samples) // 2
    return samples[:middle] if half == "tuning" else samples[middle:]


def write_scenes(
    folder: Path, clips: Mapping[str, Sequence[Clip]], beds: Sequence[Samples], seed: Sequence[int]
) -> None:
    """Write the scenes of one half."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([*seed, 1])
    responses = rooms(24, random)
    counted = [label for label in COUNTED if label in clips]
    others = [label for label in DISTRACTING if label in clips]
    events = plan(EVENTS_OF_SCENE * SCENES, random, counted, others)
    lines = [HEADER]
    for index in range(SCENES):
        random = np.random.default_rng([*seed, 2, index])
        background = looped(beds[index % len(beds)], SECONDS, random)
        scene, placed = mix(background, events, clips, responses, random)
        events = events[len(placed) :]
        name = f"field-{index:02d}.flac"
        write(folder / name, as_recorded(scene, random))
        lines += [line_of(name, event) for event in placed]
        print(f"{folder / name}: {len(placed)} events", flush=True)
    (folder / "annotations.tsv").write_text("".join(lines))


def write_negatives(folder: Path, beds: Sequence[Samples], seed: Sequence[int]) -> None:
    """Write the beds of one half without events."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [HEADER]
    for index in range(NEGATIVES):
        random = np.random.default_rng([*seed, 3, index])
        samples = looped(beds[(index * 5) % len(beds)], SECONDS, random)
        name = f"bed-{index:02d}.flac"
        write(folder / name, at_rms(samples, 10 ** (random.uniform(-55, -35) / 20)))
        lines.append(f"{name}\t\t\t\t\n")
    (folder / "annotations.tsv").write_text("".join(lines))


if __name__ == "__main__":
    main()
