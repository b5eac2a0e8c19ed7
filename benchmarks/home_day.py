"""Home days: recordings that are quiet for nine tenths of the time, to measure the novelty gate with.

    python -m benchmarks.home_day DIR/test DIRECTORY
    python -m benchmarks.unchanged --scenes DIRECTORY/room --labels benchmarks/field_scenes.yaml
    python -m benchmarks.unchanged --scenes DIRECTORY/ambience --labels benchmarks/field_scenes.yaml
    python -m benchmarks.long_windows --scenes DIRECTORY/ambience --labels benchmarks/field_scenes.yaml

Each minute of the scenes of `benchmarks.field_scenes` is cut in halves, and each half follows four and a
half quiet minutes: room tone with mains hum in ``room``, one of the event-free recordings in ``ambience``.
The events keep their loudness against their own background, 0 dB included.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

QUIET_SECONDS, EVENT_SECONDS = 270, 30
ROOM_DBFS, HUM_DBFS = -58.0, -64.0
HUM_HERTZ = 50.0
ROOMS = 4
"""Room tones that differ; what is heard again need not be embedded again."""

Samples = NDArray[np.float32]
Row = dict[str, str]


def main() -> None:
    """Write both kinds of days."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("half", type=Path, help="scenes and negatives of benchmarks.field_scenes")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take only every so many half minutes")
    arguments = parser.parse_args()
    beds = [soundfile.read(path, dtype="float32") for path in sorted(arguments.half.glob("negatives/*.flac"))]
    rate = beds[0][1]
    quiets = {
        "room": [room_tone(QUIET_SECONDS * rate, rate, seed=seed) for seed in range(ROOMS)],
        "ambience": [np.resize(bed, QUIET_SECONDS * rate) for bed, _ in beds],
    }
    for kind, quiet in quiets.items():
        place = arguments.directory / kind / "scenes"
        place.mkdir(parents=True)
        rows = []
        chosen = islice(halves(arguments.half / "scenes"), 0, None, arguments.every)
        for number, (samples, events) in enumerate(chosen):
            name = f"day-{number:03d}.flac"
            soundfile.write(place / name, np.concatenate([quiet[number % len(quiet)], samples]), rate)
            rows += [{"filename": name, **event} for event in events]
        write_rows(place / "annotations.tsv", rows)
        print(f"{place}: {number + 1} recordings, {len(rows)} events")


def halves(scenes: Path) -> Iterator[tuple[Samples, list[Row]]]:
    """Yield each half minute of the scenes, with the events that begin in it."""
    by_file = defaultdict(list)
    with (scenes / "annotations.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            by_file[row.pop("filename")].append(row)
    for name, rows in sorted(by_file.items()):
        samples, rate = soundfile.read(scenes / name, dtype="float32")
        for begin in range(0, len(samples) // rate - EVENT_SECONDS + 1, EVENT_SECONDS):
            inside = [row for row in rows if begin <= float(row["onset"]) < begin + EVENT_SECONDS - 1]
            yield (
                samples[begin * rate : (begin + EVENT_SECONDS) * rate],
                [later(row, begin) for row in inside],
            )


def later(row: Row, begin: int) -> Row:
    """Return an event with the times that it has in a home day."""
    onset, offset = (QUIET_SECONDS + float(row[key]) - begin for key in ("onset", "offset"))
    end = QUIET_SECONDS + EVENT_SECONDS
    return {**row, "onset": f"{onset:.3f}", "offset": f"{min(offset, end):.3f}"}


def room_tone(count: int, rate: int, *, seed: int) -> Samples:
    """Return pink noise whose level wanders by a decibel, and hum with its harmonics."""
    draw = np.random.default_rng(seed)
    spectrum = np.fft.rfft(draw.standard_normal(count))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, count)
    seconds = np.arange(count) / rate
    wander = 10 ** (np.sin(2 * np.pi * seconds / draw.uniform(20, 60)) / 20)
    hum = np.sum([np.sin(2 * np.pi * HUM_HERTZ * order * seconds) / order for order in (1, 2, 3, 5)], axis=0)
    tone = _at(noise, ROOM_DBFS) * wander + _at(hum, HUM_DBFS)
    samples: Samples = tone.astype(np.float32)
    return samples


def _at(signal: NDArray[np.float64], dbfs: float) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = signal * (10 ** (dbfs / 20) / np.sqrt(np.mean(signal**2)))
    return scaled


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write annotations."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
