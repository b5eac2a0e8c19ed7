"""Files that are read back, damaged at random: a start must go on, save what can be read, and count the rest.

Each kind of file is made once.  Each round copies it, harms the copy by chance, and does with it what a start
does.  Wrong is whatever raises another error than the edge's own, leaves a file that can never be used again,
takes too long, or takes too much memory.  The same runs in the tests, shorter.

To add a kind, add one line to `KINDS`: what makes its files, what reads them, and the errors it may raise.

Usage: python -m benchmarks.fuzz_files [--seed 1] [--minutes 5] [--kind store]
"""

from __future__ import annotations

import argparse
import logging
import random
import resource
import shutil
import sqlite3
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from monitor.config import ClipsConfig, StoreConfig
from monitor.detection.event_machine import ulid
from monitor.outputs.clips import ClipLibrary, clip_path, metadata
from monitor.outputs.mqtt.durable_queue import DurableQueue, QueueLimits
from monitor.outputs.mqtt.queue_file import QueueFile
from monitor.outputs.store import FILE, Store, StoreReader
from monitor.outputs.store.database import open_for_writing
from monitor.system.wall_clock import WallClock
from tests.support.clip_events import DOG
from tests.support.clip_events import event as clip_event
from tests.support.events import ended, label_of
from tests.support.queued_messages import queued
from tests.support.stored_events import NOON, event, kept, miss, window

ROWS = 400
LONGEST_SECONDS = 60.0
"""Of one round, on a machine that does other things."""

MOST_MEGABYTES = 300
"""That the whole may take beyond what it took at the beginning."""

CLIP = ended(clip_event())


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file."""

    make: Callable[[Path], object]
    """Writes whole files into a directory."""
    read: Callable[[Path], object]
    """Does with them what a start does, and asserts that it can go on; returns a word for the counts."""
    refuses: tuple[type[Exception], ...] = ()
    """The edge's own errors."""


def make_store(directory: Path) -> None:
    """Write a reader with its log, as a killed process leaves it."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / FILE
        times = [NOON + 60 * i for i in range(ROWS)]
        kept(path, *map(event, times), *map(miss, times), *(window(at, 0.5, 0.7) for at in times))
        with closing(open_for_writing(path)) as connection:
            for at in times[:50]:
                connection.execute("UPDATE events SET peak = peak + 0.01 WHERE started_at = ?", [at])
                rest = "seconds, score, threshold, reason, rival, hits, needed, level_dbfs FROM misses"
                connection.execute(
                    f"INSERT INTO misses SELECT NULL, series, at + 1, {rest} WHERE at = ?", [at]
                )
            for file in Path(place).iterdir():
                shutil.copy(file, directory)


def read_store(directory: Path) -> str:
    """Start a store; what happens from now on is written, and all of it can be asked for."""
    path = directory / FILE
    store = Store(path, StoreConfig(keep_days=36_500), rate=4, retry_seconds=0.05)
    thread = threading.Thread(target=store.run)
    thread.start()
    new = event(time.time(), id="NEW")
    store.on_event(new, label_of("dog"))
    until = time.monotonic() + LONGEST_SECONDS
    while store.waiting and time.monotonic() < until:
        time.sleep(0.001)
    store.close()
    thread.join(LONGEST_SECONDS)
    assert not thread.is_alive(), "it hangs"
    assert store.trouble is None, store.trouble
    with closing(StoreReader(path)) as reader:
        assert reader.event("NEW") is not None
        events = len(reader.events(limit=500).rows)
        reader.misses(limit=500)
        reader.day(NOON, NOON + 86_400)
        reader.at_thresholds("dog", since=NOON, until=NOON + 86_400)
    aside = path.with_name("history.broken.sqlite").exists()
    return _came(aside, events - 1, ROWS)


def make_outbox(directory: Path) -> None:
    """Write an outbox with its log, as a killed process leaves it."""
    with (
        tempfile.TemporaryDirectory() as place,
        closing(QueueFile(Path(place) / "outbox.sqlite")) as queue_file,
    ):
        messages = [queued(n, queued_at=time.time(), phase="end", more="x" * 200) for n in range(1, ROWS)]
        for start in range(0, ROWS, 40):
            queue_file.write(messages[start : start + 40], [])
        queue_file.write([queued(ROWS, queued_at=time.time())], [1, 2, 3])
        for file in Path(place).iterdir():
            shutil.copy(file, directory)


def read_outbox(directory: Path) -> str:
    """Open an outbox; what is added now is handed out."""
    path = directory / "outbox.sqlite"
    limits = QueueLimits(bytes=10**7, seconds=1e9)
    with DurableQueue(path, size=10_000, limits=limits, clock=WallClock()) as backlog:
        backlog.add([queued(1, queued_at=time.time(), phase="end", event="NEW")])
        taken = backlog.take(10_000)
        assert [each.event_id for each in taken][-1] == "NEW"
        assert backlog.written == 1, "it stays in memory"
        backlog.remove([each.number for each in taken])
        assert backlog.waiting == 0
    aside = path.with_name("outbox.broken.sqlite").exists()
    return _came(aside, len(taken) - 1, ROWS - 3)


def _came(aside: bool, rows: int, of: int) -> str:  # noqa: FBT001
    how = "all" if rows >= of else "some" if rows else "none"
    return f"{'set aside' if aside else 'used'}, {how} of its rows"


def make_clips(directory: Path) -> None:
    """Write three clips."""
    library = _library(directory)
    for i in range(3):
        kept_event = ended(clip_event(at=NOON + i, id=ulid(NOON + i)))
        content = metadata.describe(kept_event, {"rate": 4}, DOG, "starter")
        library.put(kept_event, clip_path(kept_event), {".png": b"png" * 99, ".flac": b"flac" * 99}, content)


def read_clips(directory: Path) -> str:
    """Look through the clips, and tell the store of them."""
    library = _library(directory)
    library.scan()
    found = list(library.with_events())
    store = Store(directory / FILE, StoreConfig(keep_days=36_500), rate=4)
    store.on_clips_found(found)
    store.close()
    store.run()
    assert store.trouble is None, store.trouble
    assert store.refused == 0
    known = sum(told is not None and told.id == ident for _, ident, told in found)
    with closing(StoreReader(directory / FILE)) as reader:
        assert len(reader.events().rows) == known
    for clip, _, _ in found:
        with suppress(OSError):  # a directory has the name of its JSON
            library.lock(clip, locked=True)
    return f"{known} of {len(found)} known"


def _library(directory: Path) -> ClipLibrary:
    return ClipLibrary(directory, ClipsConfig(enabled=True, keep_days=36_500, free_megabytes=0))


def make_clock(directory: Path) -> None:
    """Write the note of a clock."""
    WallClock(directory).may_delete()


def read_clock(directory: Path) -> str:
    """Judge the clock by it."""
    return str(WallClock(directory).may_delete())


KINDS = {
    "store": Kind(make_store, read_store),
    "outbox": Kind(make_outbox, read_outbox),
    "clips": Kind(make_clips, read_clips),
    "clock": Kind(make_clock, read_clock),
}


def harm(files: list[Path], chance: random.Random) -> str:
    """Damage one of the files, or two; say how."""
    how = []
    for _ in range(chance.choice((1, 1, 2))):
        file = chance.choice(files)
        way = chance.choice(_HARMS)
        with suppress(sqlite3.Error, OSError, IndexError):  # harmed too much to be harmed again
            way(file, chance)
        how.append(f"{file.name}: {way.__name__.strip('_')}")
    return ", ".join(how)


def _flip_bits(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(chance.choice((1, 1, 3, 50)) if content else 0):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def _flip_in_header(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    if content:
        content[chance.randrange(min(len(content), 100))] = chance.randrange(256)
    file.write_bytes(content)


def _cut(file: Path, chance: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: chance.randrange(len(content) + 1)])


def _empty(file: Path, _: random.Random) -> None:
    file.write_bytes(b"")


def _grow(file: Path, chance: random.Random) -> None:
    file.write_bytes(file.read_bytes() + chance.randbytes(chance.choice((1, 100, 5000))))


def _overwrite_page(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    start = chance.randrange(len(content) // 4096 + 1) * 4096
    content[start : start + 4096] = chance.choice((bytes(4096), chance.randbytes(4096)))
    file.write_bytes(content)


def _swap_pages(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    one, two = (chance.randrange(len(content) // 4096 + 1) * 4096 for _ in range(2))
    content[one : one + 4096], content[two : two + 4096] = (
        content[two : two + 4096],
        content[one : one + 4096],
    )
    file.write_bytes(content)


def _noise(file: Path, chance: random.Random) -> None:
    file.write_bytes(chance.randbytes(chance.choice((1, 100, 20_000))))


def _directory(file: Path, _: random.Random) -> None:
    if file.suffix not in {".flac", ".wav"}:
        file.unlink()
        file.mkdir()


def _strange_json(file: Path, chance: random.Random) -> None:
    text = chance.choice(_STRANGE)
    if file.suffix == ".json" and chance.random() < 0.7:  # noqa: PLR2004
        words = file.read_text(errors="replace").split('"')
        words[chance.randrange(len(words))] = chance.choice(("\\ud800", "1e999", ": [] ,", "NaN"))
        text = '"'.join(words)
    file.write_text(text)


def _replace_value(file: Path, chance: random.Random) -> None:
    """Put something else into a value, in JSON or in a table."""
    if file.suffix != ".sqlite":
        _strange_json(file, chance)
        return
    with closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        table = chance.choice([name for (name,) in connection.execute(query)])
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        value = chance.choice(
            ("text", b"\x00\xff", 2**62, -1e300, float("inf"), "\x00", "é" * 1000, -1, None)
        )
        query = f"UPDATE OR IGNORE {table} SET {chance.choice(columns)} = ?"  # noqa: S608
        connection.execute(query + chance.choice(("", " WHERE abs(random()) % 5 = 0")), [value])


def _other_tables(file: Path, chance: random.Random) -> None:
    if file.suffix != ".sqlite":
        _noise(file, chance)
        return
    with closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        table = chance.choice([name for (name,) in connection.execute(query)])
        statement = chance.choice(
            ("DROP TABLE {0}", "ALTER TABLE {0} RENAME TO other", "ALTER TABLE {0} ADD COLUMN more",
             "DELETE FROM {0}", "CREATE TABLE more (a)", "PRAGMA user_version = 9",
             "PRAGMA journal_mode = DELETE")
        )  # fmt: skip
        connection.execute(statement.format(table))


def _foreign_database(file: Path, chance: random.Random) -> None:
    if file.suffix != ".sqlite":
        _noise(file, chance)
        return
    file.unlink()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(
            chance.choice(("CREATE TABLE events (a)", "CREATE TABLE migrations (a)", "CREATE TABLE c (a)"))
        )


_HARMS = (
    _flip_bits, _flip_bits, _flip_in_header, _flip_in_header, _cut, _empty, _grow, _overwrite_page,
    _swap_pages, _noise, _directory, _strange_json, _replace_value, _replace_value, _other_tables,
    _foreign_database,
)  # fmt: skip

_STRANGE = (
    "[" * 100_000, '{"event": {"id": 1}}', "null", '"\\ud800"', "1" * 5000, '{"trusted_at": 1e400}', "{}",
    '{"event": {"started_at": 99999999999999999999999}}', "\x00", '{"a":' * 70 + "1" + "}" * 70, "-Infinity",
)  # fmt: skip


def fuzz(kind: Kind, whole: Path, *, seed: int) -> tuple[str, str | None]:
    """Do one round; return what came of it, and what was wrong, if anything was.

    Parameters
    ----------
    kind : Kind
    whole : Path
        Directory of the whole files.
    seed : int
        Decides everything.
    """
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "kept"
        shutil.copytree(whole, directory)
        done = harm(sorted(file for file in directory.rglob("*") if file.is_file()), chance)
        began = time.monotonic()
        try:
            came = str(kind.read(directory))
        except kind.refuses:
            came = "refused"
        except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
            return "wrong", f"seed {seed}: {done}\n{traceback.format_exc()}"
        if time.monotonic() - began > LONGEST_SECONDS:
            return "wrong", f"seed {seed}: {done}: took {time.monotonic() - began:.0f} s"
    return came, None


def grown_megabytes(before: int) -> float:
    """Return how much more memory this process has taken at most than before."""
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    """Harm files until the time is over; print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--kind", choices=sorted(KINDS), action="append")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    names = asked.kind or list(KINDS)
    counts = {name: Counter[str]() for name in names}
    with tempfile.TemporaryDirectory() as place:
        for name in names:
            (Path(place) / name).mkdir()
            KINDS[name].make(Path(place) / name)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        until, rounds = time.monotonic() + 60 * asked.minutes, 0
        while time.monotonic() < until:
            name = names[rounds % len(names)]
            came, wrong = fuzz(KINDS[name], Path(place) / name, seed=asked.seed + rounds)
            counts[name][came] += 1
            rounds += 1
            if wrong:
                print(f"{name}: {wrong}", flush=True)
    for name, found in counts.items():
        print(f"{name}: {found.total()} rounds: {dict(found.most_common())}")
    wrongs = sum(found["wrong"] for found in counts.values())
    print(
        f"{rounds} files of {len(names)} kinds harmed from seed {asked.seed}, {wrongs} wrong, "
        f"{grown_megabytes(before):.0f} MB of memory more"
    )
    raise SystemExit(wrongs > 0)


if __name__ == "__main__":
    main()
