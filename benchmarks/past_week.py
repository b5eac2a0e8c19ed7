"""A week in the memory of embeddings: how long search and replay take, and what reader and writer cost.

    python -m benchmarks.past_week DIRECTORY [--windows 604800] [--dimension 512]

The directory receives one window a second of one room, 640 MB for a week, unless it has them already.  Every
part is measured in a process of its own, with one thread and the files in the page cache.  Both the time that
passes and the time on the processor are printed, as other processes may take the machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from monitor.config import LabelConfig, MemoryConfig
from monitor.detection.calibration import Calibration
from monitor.detection.prototypes import Directions, Prototypes
from monitor.detection.quantised import quantised
from monitor.detection.rules import rule_of
from monitor.memory.memory_reader import MemoryReader, memory_directory
from monitor.memory.search import search
from monitor.memory.segment import Entry, Header
from monitor.memory.segment_writer import SegmentWriter
from monitor.memory.source_replay import SourceReplay, Watchlist
from monitor.outputs.embedding_memory import EmbeddingMemory
from monitor.types import Scores

IDENTITY, SOURCE = "past week", "room"
RATE, LENGTH, HOP = 48_000, 480_000, 48_000
BEGIN = 1_760_000_400
"""Unix seconds of the first window: a full hour."""

KINDS = 42
"""Kinds of sound that are heard now and then; there is a label for each."""

WAITING = 10_000
"""Windows that the writer receives while its disk cannot be used."""

CALIBRATION = Calibration(scale=0.63, centre=10.9, baseline=-6.8)
"""About that of the starter."""


def kinds_of(dimension: int) -> np.ndarray:
    """Directions of the kinds of sound, shape (kinds, dimension)."""
    vectors = np.random.default_rng(1).standard_normal((KINDS, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def fill(state: Path, windows: int, dimension: int) -> None:
    """Write a room with six sounds of some seconds an hour."""
    directory = memory_directory(state, IDENTITY) / SOURCE
    directory.mkdir(parents=True, exist_ok=True)
    draw, kinds = np.random.default_rng(0), kinds_of(dimension)
    room = draw.standard_normal(dimension) / np.sqrt(dimension)
    after = 0
    for first in range(0, windows, 3600):
        count = min(3600, windows - first)
        rows = room + 0.8 * draw.standard_normal((count, dimension)) / np.sqrt(dimension)
        for start in draw.integers(0, count, 6):
            rows[start : start + draw.integers(2, 8)] += draw.uniform(0.5, 1.5) * kinds[draw.integers(KINDS)]
        rows = quantised((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
        entries = [
            Entry((BEGIN + first + n) * 10**9, LENGTH + (first + n) * HOP, level=-40.0, vector=row.tobytes())
            for n, row in enumerate(rows)
        ]
        writer = SegmentWriter(directory, entries[0].ended_ns, Header(dimension, RATE, LENGTH, HOP, after))
        writer.append(entries)
        writer.close()
        after = writer.number


def watchlist_of(reader: MemoryReader, labels: int, dimension: int) -> Watchlist:
    """Labels of the kinds of sound, each with four prompts against it, as far from the room as usual."""
    vectors = kinds_of(dimension)[:labels]
    sample = next(reader.chunks(SOURCE)).vectors[:1000] / np.float32(32_767)
    cosines = sample @ vectors.T
    names = tuple(f"label{number}" for number in range(labels))
    against = Directions(kinds_of(dimension)[::-1][:4])
    prototypes = Prototypes(
        labels=names,
        directions=Directions(vectors, cosines.mean(axis=0), cosines.std(axis=0)),
        against=against,
        is_against=np.ones((labels, 4), dtype=bool),
        fingerprints=names,
    )
    rules = [rule_of(LabelConfig(id=name, prompts=(name,)), rate=RATE, hop=HOP) for name in names]
    return Watchlist(prototypes, tuple(rules))


def timed(what: str, run: Callable[[], int], times: int) -> None:
    """Print medians of the time that passes and of the time on the processor, without the first run."""
    passed, busy, found = [], [], 0
    for _ in range(times + 1):
        begin, cpu = time.perf_counter(), time.process_time()
        found = run()
        passed.append(time.perf_counter() - begin)
        busy.append(time.process_time() - cpu)
    print(
        f"{what}: {statistics.median(passed[1:]):.3f} s, best {min(passed[1:]):.3f}; "
        f"on the processor {statistics.median(busy[1:]):.3f} s; {found} found",
        flush=True,
    )


def resident() -> float:
    """Return the resident memory of this process in MB."""
    return psutil.Process().memory_info().rss / 1e6


def measure_search(state: Path, dimension: int, times: int) -> None:
    """Search of one sentence."""
    direction = Directions(kinds_of(dimension)[:1])
    before = resident()
    timed("search", lambda: len(search(MemoryReader(state, IDENTITY), direction, [SOURCE])), times)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"search: resident memory {before:.0f} MB before, {most:.0f} MB at most")


def measure_replay(state: Path, dimension: int, times: int) -> None:
    """Replay of 10 and of 42 labels."""
    reader = MemoryReader(state, IDENTITY)
    before = resident()
    for labels in (10, KINDS):
        watchlist = watchlist_of(reader, labels, dimension)

        def replay(watchlist: Watchlist = watchlist) -> int:
            replay = SourceReplay(reader, SOURCE, CALIBRATION, lambda *_: watchlist.prototypes)
            return sum(event.ended_at is None for event in replay.events(watchlist))

        timed(f"replay of {labels} labels", replay, times)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"replay: resident memory {before:.0f} MB before, {most:.0f} MB at most")


def measure_writer(_state: Path, dimension: int, _times: int) -> None:
    """Windows that wait, and windows that are written."""
    header = {SOURCE: Header(dimension, RATE, LENGTH, HOP)}
    config = MemoryConfig(free_megabytes=0)
    embedding = kinds_of(dimension)[0]

    def feed(memory: EmbeddingMemory, windows: int) -> None:
        for number in range(windows):
            stop = LENGTH + HOP * number
            values = np.empty(0, np.float32)
            memory.on_scores(
                Scores(SOURCE, stop - LENGTH, stop, time.time(), (), values, -40.0, embedding=embedding)
            )

    with tempfile.TemporaryDirectory() as directory:
        memory = EmbeddingMemory(Path(directory), config, IDENTITY, header)
        feed(memory, 100)
        before = resident()
        feed(memory, WAITING)
        print(
            f"writer: {memory.waiting} of {WAITING} windows wait, {memory.dropped} were dropped; "
            f"resident memory +{resident() - before:.1f} MB",
            flush=True,
        )
        memory.close()
        memory.run()
        hour = EmbeddingMemory(Path(directory) / "hour", config, IDENTITY, header)
        cpu = time.process_time()
        for _ in range(60):
            feed(hour, 60)
            hour.recheck()
        hour.close()
        hour.run()
        busy = time.process_time() - cpu
        size = sum(path.stat().st_size for path in Path(directory, "hour").rglob("*") if path.is_file())
        print(f"writer: {24 * size / 1e6:.1f} MB a day; {busy / 3600 * 1e6:.0f} us on the processor a window")


PARTS = {"search": measure_search, "replay": measure_replay, "writer": measure_writer}


def main() -> None:
    """Make the week, and measure each part in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--windows", type=int, default=7 * 86_400)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part is not None:
        PARTS[arguments.part](arguments.directory, arguments.dimension, arguments.times)
        return
    if not MemoryReader(arguments.directory, IDENTITY).sources:
        fill(arguments.directory, arguments.windows, arguments.dimension)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for part in PARTS:
        command = [sys.executable, "-m", "benchmarks.past_week", *sys.argv[1:], "--part", part]
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
