"""Commands over the results of a scan: time and memory of search, similar, replay, thresholds and learn.

    python -m benchmarks.archive_commands 1 24 [--work DIR]

One hour, the demo recording repeated, is scanned once with ``--embeddings``; its files of results are copied
to so many hours, each an hour later.  Then each command runs over them as a user runs it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import soundfile

from benchmarks.scan import CONFIG, ROOT, command, recording, watched
from monitor.archive.tables import TABLES

_HOUR = dt.timedelta(hours=1)


def scanned(work: Path) -> Path:
    """Scan one hour, and return its results."""
    path, out = work / "20240101_000000.flac", work / "hour"
    recording(path, 1)
    subprocess.run(command([path], out, None), cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    return out


def copied(hour: Path, hours: int) -> Path:
    """Return results of so many hours, made of those of one."""
    out = hour.with_name(f"hours-{hours}")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(hour, out)
    for table in TABLES:
        (path,) = (out / table).glob("*-*.parquet")
        rows = pq.read_table(path)
        for number in range(1, hours):
            part = f"{number:024d}-{path.stem.split('-')[1]}"
            later = rows
            for place, field in enumerate(rows.schema):
                if pa.types.is_timestamp(field.type):
                    moved = pc.add(rows[field.name], pa.scalar(number * _HOUR, pa.duration(field.type.unit)))
                    later = later.set_column(place, field, moved)
            if "part" in rows.schema.names:
                place = rows.schema.get_field_index("part")
                later = later.set_column(place, rows.schema.field(place), pa.array([part]))
            pq.write_table(later, path.with_name(f"{part}.parquet"), row_group_size=3600, compression="zstd")
    return out


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("hours", nargs="*", type=int, default=[1, 24])
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        work = given.work or Path(directory)
        work.mkdir(parents=True, exist_ok=True)
        samples, rate = soundfile.read(ROOT / "recordings/demo.flac", frames=8 * 32_000)
        sounds = [work / f"{number}.wav" for number in range(3)]
        for number, path in enumerate(sounds):
            soundfile.write(path, samples[number * rate : (number + 3) * rate], rate)
        asked = {
            "search": ["search", "a helicopter"],
            "similar": ["similar", str(sounds[0])],
            "replay": ["replay", "--config", str(CONFIG)],
            "thresholds": ["thresholds", "--config", str(CONFIG), "--target", "2/hour"],
            "learn": ["learn", "rotor", "--from", *map(str, sounds), "--dry-run"],
        }
        hour = scanned(work)
        for hours in given.hours:
            archive = ["--archive", str(copied(hour, hours))]
            for name, words in asked.items():
                used, wall, most = watched([sys.executable, "-m", "monitor", *words, *archive])
                print(
                    f"{hours} h, {name}: {used:.1f} s on the processor, {wall:.1f} s in all, "
                    f"at most {most:.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
