"""Build test scenes from the dev clips.

    python -m benchmarks.scenes --data ../shared/data --out DIR [--seed 1]

For each half of the dev clips (``tuning``: decisions may be tuned on it; ``test``: they are judged on it):

- ``DIR/HALF/scenes``: 28 recordings of 5 minutes (2 h 20 min): four each in rain, wind, a crowd, speech,
  music, room tone and machine hum, with events 6 to 18 s apart at 20, 10, 5 and 0 dB in simulated rooms;
- ``DIR/HALF/negatives``: 20 minutes each of speech, music, a silent room, white noise, mains hum and typing,
  with no event, in recordings of 5 minutes;
- ``annotations.tsv`` in both: filename, onset, offset, event_label, snr_db.  For a recording without events
  there is a line with the name only.

The same seed gives the same files.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import soundfile

from benchmarks.scene_beds import BEDS, bed
from benchmarks.scene_mix import Placed, as_recorded, mix, plan, rooms
from benchmarks.scene_sources import RATE, Clip, Half, Samples, at_rms, read_clips, split

SECONDS = 300.0
SCENES_OF_KIND = 4
EVENTS_OF_SCENE = 24
"""More than fit; what does not is left out."""
NEGATIVES = {"speech": -35.0, "music": -35.0, "room": -60.0, "white": -35.0, "hum": -40.0, "keyboard": -40.0}
"""Kinds of recordings without events, and their level in dBFS."""
HEADER = "filename\tonset\toffset\tevent_label\tsnr_db\n"


def main() -> None:
    """Build both halves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds eval-dev")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--half", choices=get_args(Half), action="append")
    parser.add_argument("--kinds", nargs="+", default=list(BEDS), help="beds of the scenes")
    arguments = parser.parse_args()
    clips = read_clips(arguments.data)
    for half in arguments.half or get_args(Half):
        ours = split(clips, half, arguments.seed)
        seed = [arguments.seed, get_args(Half).index(half)]
        write_scenes(arguments.out / half / "scenes", ours, arguments.kinds, seed)
        write_negatives(arguments.out / half / "negatives", ours, seed)


def write_scenes(
    folder: Path, clips: Mapping[str, Sequence[Clip]], kinds: Sequence[str], seed: Sequence[int]
) -> None:
    """Write the scenes of one half."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([*seed, 1])
    responses = rooms(24, random)
    count = SCENES_OF_KIND * len(kinds)
    events = plan(EVENTS_OF_SCENE * count, random)
    lines = [HEADER]
    for index in range(count):
        kind = kinds[index % len(kinds)]
        random = np.random.default_rng([*seed, 2, index])
        background = bed(kind, clips.get(f"bed {kind}", []), SECONDS, random)
        scene, placed = mix(background, events, clips, responses, random)
        events = events[len(placed) :]
        name = f"{kind}-{index:02d}.flac"
        write(folder / name, as_recorded(scene, random))
        lines += [line_of(name, event) for event in placed]
        print(f"{folder / name}: {len(placed)} events", flush=True)
    (folder / "annotations.tsv").write_text("".join(lines))


def write_negatives(folder: Path, clips: Mapping[str, Sequence[Clip]], seed: Sequence[int]) -> None:
    """Write the recordings of one half in which nothing happens."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [HEADER]
    for number, (kind, level_dbfs) in enumerate(NEGATIVES.items()):
        for index in range(4):
            random = np.random.default_rng([*seed, 3, number, index])
            samples = bed(kind, clips.get(f"bed {kind}", []), SECONDS, random)
            name = f"{kind}-{index}.flac"
            write(folder / name, at_rms(samples, 10 ** (level_dbfs / 20)))
            lines.append(f"{name}\t\t\t\t\n")
        print(f"{folder}: {kind}", flush=True)
    (folder / "annotations.tsv").write_text("".join(lines))


def line_of(name: str, event: Placed) -> str:
    """One line of the annotation."""
    return f"{name}\t{event.onset:.3f}\t{event.offset:.3f}\t{event.label}\t{event.snr_db}\n"


def write(path: Path, samples: Samples) -> None:
    """Write 16-bit FLAC."""
    soundfile.write(path, np.clip(samples, -0.999, 0.999), RATE, subtype="PCM_16", compression_level=0.2)


if __name__ == "__main__":
    main()
