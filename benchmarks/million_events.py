"""A million events: how long every list and every view of a day takes, and by which indices it is found.

A year of 40 labels of 3 sources, unevenly often and most by day, with 200,000 near misses, a month of
minutes, some marks and some clips.  Each question is asked several times, of a file that has just been
opened as well; the time on the processor is what counts on a machine that does other things.

Usage: python -m benchmarks.million_events [--events 1000000] [--file PATH] [--plans]
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from monitor.outputs.store import EventFilter, MissFilter, queries, timeline
from monitor.outputs.store.database import open_for_writing

NOW = 1_795_435_200.0
DAY = 86_400
SOURCES = ("nursery", "kitchen", "porch")
LABELS = tuple(f"label_{i:02d}" for i in range(40))
LIMIT_MS = 100.0

Question = Callable[[sqlite3.Connection], object]


def fill(path: Path, events: int) -> None:
    """Write a year; a thousandth as often as the first comes the last label."""
    chance = random.Random(1)
    weights = [1 / (i + 1) ** 2 for i in range(len(LABELS))]
    with closing(open_for_writing(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        pairs = [(source, label) for source in SOURCES for label in LABELS]
        connection.executemany("INSERT INTO series (source, label) VALUES (?, ?)", pairs)
        titles = [(label, f"Sound of {label[-2:]}") for label in LABELS]
        connection.executemany("INSERT INTO titles VALUES (?, ?)", titles)

        def row(number: int) -> tuple[object, ...]:
            at = NOW - 365 * DAY * (1 - (number + chance.random()) / events)
            label = chance.choices(range(len(LABELS)), weights)[0]
            series = chance.choices(range(len(SOURCES)), (8, 3, 1))[0] * len(LABELS) + label + 1
            peak = 0.5 + 0.49 * chance.random() ** 3
            review = chance.choices((None, "right", "wrong"), (997, 2, 1))[0]
            clip = f"{number}.flac" if chance.random() < 0.003 else None  # noqa: PLR2004
            return (f"{number:026d}", series, at, at + 4, 0.6, peak, 4, -30.0, 1.0, "quiet", clip, review)

        connection.executemany(
            "INSERT INTO events (id, series, started_at, ended_at, score, peak, windows, level_dbfs,"
            " uncertainty, reason, clip, review) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            map(row, range(events)),
        )
        connection.executemany(
            "INSERT INTO misses (series, at, seconds, score, threshold, reason, rival, hits, needed,"
            " level_dbfs) VALUES (?, ?, 2, 0.4, 0.5, ?, NULL, 0, 2, -30)",
            (
                (chance.randrange(len(pairs)) + 1, NOW - 30 * DAY * chance.random(), "below_threshold")
                for _ in range(events // 5)
            ),
        )
        connection.execute("INSERT INTO label_sets VALUES (1, ?)", [json.dumps(LABELS)])
        newest = int(NOW // 60)
        connection.executemany(
            "INSERT INTO minutes VALUES (?, ?, 1, -40, ?, ?)",
            (
                (source, newest - i, chance.randbytes(len(LABELS)), chance.randbytes(len(LABELS)))
                for source in SOURCES
                for i in range(30 * 24 * 60)
            ),
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def questions() -> dict[str, Question]:
    """What the page asks, and the worst that it can ask."""

    def events(**wanted: object) -> Question:
        limit = wanted.pop("limit", 50)
        after = wanted.pop("after", None)
        filter_ = EventFilter(**wanted)  # type: ignore[arg-type]
        return lambda c: queries.find_events(c, filter_, after=after, limit=limit)  # type: ignore[arg-type]

    week = {"since": NOW - 7 * DAY, "until": NOW}
    middle = f"{NOW - 180 * DAY:.6f}-500000"
    return {
        "newest 50 events": events(),
        "newest 500 events": events(limit=500),
        "50 from the middle": events(after=middle),
        "of the commonest label": events(labels=LABELS[:1]),
        "of the rarest label": events(labels=LABELS[-1:]),
        "of one source": events(sources=("porch",)),
        "of one label of one source": events(labels=LABELS[5:6], sources=("porch",)),
        "of half the labels": events(labels=LABELS[20:]),
        "of a text": events(text="sound 17"),
        "of a text that is nowhere": events(text="no such sound"),
        "with a high score": events(min_score=0.95),
        "with a score that none has": events(min_score=0.999),
        "the same, of the commonest label": events(min_score=0.999, labels=LABELS[:1]),
        "marked right": events(review="right"),
        "marked wrong, of one label": events(review="wrong", labels=LABELS[3:4]),
        "not marked": events(review="none"),
        "with a clip": events(with_clip=True),
        "with a clip, of the rarest label": events(with_clip=True, labels=LABELS[-1:]),
        "a week, of the rarest label": events(labels=LABELS[-1:], **week),
        "one event": lambda c: queries.find_event(c, f"{500_000:026d}"),
        "newest near misses": lambda c: queries.find_misses(c, MissFilter()),
        "near misses of a reason that none has": lambda c: queries.find_misses(
            c, MissFilter(reasons=("silence",))
        ),
        "a day at a glance": lambda c: timeline.day(c, NOW - DAY, NOW),
        "another threshold for a day": lambda c: timeline.at_thresholds(
            c, LABELS[0], since=NOW - DAY, until=NOW
        ),
    }


def timed(path: Path, question: Question, times: int = 7) -> tuple[float, float]:
    """Milliseconds on the processor and by the clock: the median of several, each of a fresh connection."""
    processor, clock = [], []
    for _ in range(times):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
            before = time.thread_time(), time.perf_counter()
            question(connection)
            processor.append(time.thread_time() - before[0])
            clock.append(time.perf_counter() - before[1])
    return 1000 * statistics.median(processor), 1000 * statistics.median(clock)


def plans(path: Path, question: Question) -> Iterator[str]:
    """How SQLite finds what a question asks for, each way once."""
    asked: list[str] = []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
        connection.set_trace_callback(asked.append)
        question(connection)
        connection.set_trace_callback(None)
        seen = set()
        for query in asked:
            for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {query}"):
                if step not in seen:
                    yield step
                seen.add(step)


def main() -> None:
    """Fill the file unless it is there, ask everything, and say what took how long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--plans", action="store_true", help="print how each is found")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        path = chosen.file or Path(place) / "history.sqlite"
        if not path.exists():
            began = time.perf_counter()
            fill(path, chosen.events)
            seconds = time.perf_counter() - began
            print(f"{chosen.events} events: {path.stat().st_size / 1e6:.0f} MB, written in {seconds:.0f} s")
        worst = 0.0
        for name, question in questions().items():
            processor, clock = timed(path, question)
            worst = max(worst, processor)
            print(f"{processor:7.1f} ms on the processor {clock:7.1f} ms by the clock  {name}")
            if chosen.plans:
                print("".join(f"{'':12}{step}\n" for step in plans(path, question)), end="")
        print(f"worst: {worst:.1f} ms; {'all' if worst < LIMIT_MS else 'NOT all'} below {LIMIT_MS:.0f} ms")


if __name__ == "__main__":
    main()
