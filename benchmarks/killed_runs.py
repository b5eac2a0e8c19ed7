"""Replay after kills: whether the memory of a monitor that was killed replays to the events that it had.

    python -m benchmarks.killed_runs [--runs 4] [--seconds 80]

A real monitor with the labels of five packs hears two sources, the demo recording again and again, one of
them with another hop.  Each run but the last is killed at a random moment.  Then prints how `clap-monitor
replay --as-recorded` compares with the events in the store: in both, only in the replay (new), or only in the
store (gone).
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
CONFIG = """
include: [pets, door, appliances, outdoors, care]
sources:
  - {name: room, kind: file, path: room.flac}
  - {name: hall, kind: file, path: hall.flac, hop_seconds: 1.0}
web: {enabled: false}
clips: {enabled: false}
"""
TIMES = 6
LATER_SECONDS = 17
"""By so much the hall hears everything later than the room."""


def main() -> None:
    """Run, kill, replay and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=80.0, help="of a run, up to a tenth more")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        prepare(home)
        for number in range(arguments.runs):
            last = number == arguments.runs - 1
            run(home, arguments.seconds * draw.uniform(1.0, 1.1), kill=not last)
        found = outcomes(home)
        print(f"{arguments.runs} runs, all but the last killed: {dict(found)}")
        sys.exit(set(found) != {"both"})


def prepare(home: Path) -> None:
    """Write the configuration and what the sources hear."""
    (home / "monitor.yaml").write_text(CONFIG)
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", dtype="float32")
    heard = np.concatenate([samples] * TIMES)
    soundfile.write(home / "room.flac", heard, rate)
    soundfile.write(home / "hall.flac", np.roll(heard, LATER_SECONDS * rate, axis=0), rate)


def run(home: Path, seconds: float, *, kill: bool) -> None:
    """Run the monitor for some seconds, and kill or stop it."""
    command = [sys.executable, "-m", "monitor", "run", "--config", "monitor.yaml"]
    with (home / "log").open("a") as log:
        process = subprocess.Popen(command, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        process.wait()


def outcomes(home: Path) -> Counter[str]:
    """Compare the replay with the store."""
    command = [
        sys.executable,
        "-m",
        "monitor",
        "replay",
        "--config",
        "monitor.yaml",
        "--as-recorded",
        "--json",
    ]
    done = subprocess.run(command, cwd=home, check=True, capture_output=True, text=True)
    return Counter(json.loads(line)["outcome"] for line in done.stdout.splitlines())


if __name__ == "__main__":
    main()
