"""Kills of a running monitor: what the memory of embeddings loses of the last second, and of all before.

    python -m benchmarks.memory_kills [--kills 50] [--seed 1]

``clap-monitor run`` hears the demo recording from a pipe at the pace of time, four windows a second, and is
killed with SIGKILL at a random moment, again and again with the same state directory.  Shortly before, its
status says how many windows it has scored.  Afterwards the memory is read: which of them are there, whether
any is missing before the last one, and whether those of earlier lives are as they were.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from monitor.daemon.control_socket import ask_once
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.segment import Kind
from monitor.types import GateReason, MonitorError

DEMO = Path(__file__).parents[1] / "recordings/demo.flac"
RATE = 32_000
HOP_SECONDS = 0.25
CONFIG = """
window: {hop_seconds: 0.25}
sources: [{name: room, kind: pcm, rate: 32000}]
labels: [{id: rooster, prompts: [a rooster crowing]}]
"""


@contextlib.contextmanager
def running(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a monitor that hears the demo at the pace of time."""
    command = [sys.executable, "-m", "monitor", "run", "--config", "monitor.yaml"]
    process = subprocess.Popen(command, cwd=directory, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    samples, _ = soundfile.read(DEMO, dtype="int16")
    part = RATE // 10

    def feed() -> None:
        pipe, at, due = process.stdin, 0, time.monotonic()
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError):  # until it is killed
            while True:
                pipe.write(np.take(samples, range(at, at + part), mode="wrap").tobytes())
                pipe.flush()
                at, due = at + part, due + 0.1
                time.sleep(max(0.0, due - time.monotonic()))

    threading.Thread(target=feed, daemon=True).start()
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def counted(state: Path) -> tuple[int, int]:
    """Return how many windows were scored or gated, and how many were late; none before it answers."""
    try:
        (source,) = ask_once(state, {"command": "status"})["sources"].values()
    except (MonitorError, OSError):
        return 0, 0
    windows = source["windows"]
    gated = sum(count for reason, count in windows["gated"].items() if reason != GateReason.GAP)
    return int(windows["scored"]) + gated, int(windows["late"])


def stops_of(state: Path) -> tuple[list[list[int]], int, bool]:
    """Return the sample index after each window, by life, the hop, and whether all is whole."""
    (directory,) = {path.parents[1] for path in (state / "memory").glob("*/*/*.index")}
    reader = MemoryReader(state, "")
    reader.directory = directory
    lives: list[list[int]] = []
    hop = 0
    for chunk in reader.chunks("room"):
        if not chunk.follows:
            lives.append([])
        entries = chunk.entries[np.isin(chunk.entries["kind"], (Kind.WINDOW, Kind.GATED))]
        counts = np.where(entries["kind"] == Kind.WINDOW, 1, entries["count"])
        hop = chunk.segment.header.hop
        for stop, count in zip(entries["stop"].tolist(), counts.tolist(), strict=True):
            lives[-1] += [stop - hop * back for back in reversed(range(count))]
    return lives, hop, not reader.damaged


def main() -> None:
    """Kill and look, again and again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    before: list[list[int]] = []
    lost, missing, damaged, changed = [], 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "monitor.yaml").write_text(CONFIG)
        state = directory / "state"
        for _ in range(arguments.kills):
            with running(directory) as process:
                while not counted(state)[0]:
                    time.sleep(0.05)
                time.sleep(chance.uniform(1.5, 4.0))
                known, late = counted(state)
                process.kill()
            lives, hop, whole = stops_of(state)
            lost.append(max(0, known - len(lives[-1])) * HOP_SECONDS)
            steps = np.diff(lives[-1][:known]) // hop
            missing += max(0, int((steps - 1).sum()) - late)
            damaged += not whole
            changed += lives[:-1] != before
            before = lives
    print(
        f"{arguments.kills} kills: lost of what was scored: median {statistics.median(lost):.2f} s, "
        f"at most {max(lost):.2f} s; windows missing before that, but for late ones: {missing}; "
        f"damaged segments {damaged}; earlier lives changed {changed}"
    )


if __name__ == "__main__":
    main()
