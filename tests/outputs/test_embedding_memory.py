"""Memory of embeddings: every scored window is kept, whatever the disk and the clock do."""

import logging
import os
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from monitor.config import LabelConfig, MemoryConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.rules import rule_of
from monitor.memory.labels_file import labels_path, read_labels
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.segment import BREAKS, GATES, HOUR_NS, Header, Kind
from monitor.outputs import embedding_memory
from monitor.outputs.embedding_memory import EmbeddingMemory
from monitor.system.threads import ThreadGroup
from monitor.types import Break, BreakReason, EndReason, GateReason
from tests.support.broker import eventually
from tests.support.clocks import DAY, settled
from tests.support.memories import (
    AT,
    HEADER,
    IDENTITY,
    entry,
    expected_windows,
    scores,
    source_directory,
    windows_of,
    write_segment,
)
from tests.support.open_files import left_open, open_files
from tests.support.small_disk import fill, small_disk

CONFIG = MemoryConfig(free_megabytes=0)


def memory_of(state, *sources, config=CONFIG, **options):
    headers = dict.fromkeys(sources or ("room",), HEADER)
    return EmbeddingMemory(state, config, IDENTITY, headers, **{"clock": settled(AT + DAY)} | options)


def feed(memory, numbers, **fields):
    for number in numbers:
        memory.on_scores(scores(number, **fields))


def finish(memory):
    """Write what waits and end, as when the monitor stops."""
    memory.close()
    memory.run()


class Running:
    """A memory whose thread runs; a context manager."""

    def __init__(self, memory, monkeypatch):
        monkeypatch.setattr(embedding_memory, "EVERY_SECONDS", 0.01)
        monkeypatch.setattr(embedding_memory, "RETRY_SECONDS", 0.01)
        self.memory = memory
        self._threads = ThreadGroup(threading.Event())

    def __enter__(self):
        self.memory.start(self._threads)
        return self.memory

    def __exit__(self, *_):
        self.memory.close()
        self._threads.join(60)


def written(memory):
    """Wait until nothing waits."""
    eventually(lambda: memory.waiting == 0 and memory.trouble is None)


def test_every_scored_window_is_kept_by_its_source(tmp_path):
    memory = memory_of(tmp_path, "room", "hall")
    feed(memory, range(20))
    feed(memory, range(5), source="hall")
    finish(memory)
    reader = MemoryReader(tmp_path, IDENTITY)
    assert windows_of(reader) == expected_windows(range(20))
    assert windows_of(reader, "hall") == expected_windows(range(5))
    assert (memory.written, memory.dropped, memory.waiting) == (25, 0, 0)
    assert not reader.damaged


def test_nothing_heard_writes_nothing(tmp_path):
    memory = memory_of(tmp_path)
    finish(memory)
    assert not list(tmp_path.iterdir())


def test_files_are_private(tmp_path):
    memory = memory_of(tmp_path)
    feed(memory, range(2))
    finish(memory)
    for path in (tmp_path / "memory").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_level_speech_and_patterns_are_kept(tmp_path):
    memory = memory_of(tmp_path)
    memory.on_scores(scores(0, level_dbfs=-12.5, speech=True, patterns=frozenset({"t3"})))
    memory.on_scores(scores(1, level_dbfs=float("-inf")))
    finish(memory)
    (chunk,) = MemoryReader(tmp_path, IDENTITY).chunks("room")
    assert chunk.levels.tolist() == [-12.5, -999.0]
    assert chunk.speech.tolist() == [True, False]
    assert chunk.entries["flags"][:2].tolist() == [3, 0]


def test_windows_that_were_not_scored_are_one_entry_in_each_write(tmp_path):
    memory = memory_of(tmp_path)
    feed(memory, range(3))
    feed(memory, range(3, 10), embedding=None, gated=GateReason.SILENCE)
    feed(memory, range(10, 12), embedding=None, gated=GateReason.DISARMED)
    feed(memory, range(12, 14))
    finish(memory)
    (chunk,) = MemoryReader(tmp_path, IDENTITY).chunks("room")
    runs = chunk.entries[chunk.entries["kind"] == Kind.GATED]
    assert runs["count"].tolist() == [7, 2]
    assert [GATES[reason] for reason in runs["reason"]] == [GateReason.SILENCE, GateReason.DISARMED]
    assert runs["stop"].tolist() == [1100, 1300]


def test_breaks_and_the_end_of_the_run_are_kept(tmp_path):
    memory = memory_of(tmp_path)
    memory.on_break(Break("room", 0, 0.0, BreakReason.GAP))  # before any audio
    feed(memory, range(1))
    memory.on_break(Break("room", 250, AT + 0.5, BreakReason.GAP))
    feed(memory, range(5, 6))
    finish(memory)
    (chunk,) = MemoryReader(tmp_path, IDENTITY).chunks("room")
    breaks = chunk.entries[chunk.entries["kind"] == Kind.BREAK]
    assert [BREAKS[reason] for reason in breaks["reason"]] == [EndReason.GAP, EndReason.SHUTDOWN]
    assert breaks["stop"].tolist() == [250, 700]


def test_every_full_hour_begins_a_pair_that_goes_on_from_the_last(tmp_path):
    memory = memory_of(tmp_path)
    numbers = range(0, 3 * 3600, 60)
    feed(memory, numbers)
    finish(memory)
    reader = MemoryReader(tmp_path, IDENTITY)
    chunks = list(reader.chunks("room"))
    assert [chunk.follows for chunk in chunks] == [False, True, True, True]
    assert len({int(chunk.entries["ended_ns"][0]) // HOUR_NS for chunk in chunks}) == 4
    assert windows_of(reader) == expected_windows(numbers)


@pytest.mark.parametrize("back", [0.5, 2, 30, 3599, 7200, 400 * DAY])
def test_a_clock_that_jumps_back_and_forth_loses_no_window(tmp_path, back):
    memory = memory_of(tmp_path)
    feed(memory, range(5))
    for number in range(5, 10):
        memory.on_scores(scores(number, at=AT + number - back))
    feed(memory, range(10, 15))
    finish(memory)
    reader = MemoryReader(tmp_path, IDENTITY)
    stops, _, _ = windows_of(reader)
    assert sorted(stops) == expected_windows(range(15))[0]
    assert not reader.damaged


def test_a_clock_before_1970_keeps_nothing_and_harms_nothing(tmp_path):
    memory = memory_of(tmp_path)
    memory.on_scores(scores(0, at=-5.0))
    feed(memory, range(1, 3))
    finish(memory)
    assert windows_of(MemoryReader(tmp_path, IDENTITY)) == expected_windows(range(1, 3))


def test_a_second_run_begins_segments_of_its_own(tmp_path):
    for first in (0, 5):
        memory = memory_of(tmp_path)
        feed(memory, range(first, first + 5))
        finish(memory)
    reader = MemoryReader(tmp_path, IDENTITY)
    assert [chunk.follows for chunk in reader.chunks("room")] == [False, False]
    assert windows_of(reader) == expected_windows(range(10))


def test_two_monitors_in_one_directory_do_not_harm_each_other(tmp_path):
    memories = [memory_of(tmp_path) for _ in range(2)]
    for memory in memories:
        feed(memory, range(5))
    for memory in memories:
        finish(memory)
    assert windows_of(MemoryReader(tmp_path, IDENTITY)) == tuple(
        2 * each for each in expected_windows(range(5))
    )


@pytest.mark.parametrize("what", ["memory", "room", "index", "vectors"])
def test_files_that_are_removed_while_they_are_open_begin_anew(tmp_path, monkeypatch, caplog, what):
    with Running(memory_of(tmp_path), monkeypatch) as memory:
        memory.on_labels(LABELS, {"room": RULES})
        feed(memory, range(3))
        written(memory)
        path = next(tmp_path.rglob("*.index"))
        match what:
            case "memory":
                shutil.rmtree(tmp_path / "memory")
            case "room":
                shutil.rmtree(path.parent)
            case _:
                path.with_suffix(f".{what}").unlink()
        feed(memory, range(3, 6))
    assert windows_of(MemoryReader(tmp_path, IDENTITY)) == expected_windows(range(3, 6))
    assert f"memory: {path}: was removed or replaced while it was open; beginning a new one" in caplog.text
    (chunk,) = MemoryReader(tmp_path, IDENTITY).chunks("room")
    number = int(chunk.entries["stop"][0])
    assert chunk.entries["kind"][0] == Kind.LABELS
    assert read_labels(labels_path(memory.directory, number)).rules["room"] == RULES


def test_files_that_are_replaced_while_they_are_open_begin_anew(tmp_path, monkeypatch):
    with Running(memory_of(tmp_path), monkeypatch) as memory:
        feed(memory, range(3))
        written(memory)
        index = next(tmp_path.rglob("*.index"))
        content = index.read_bytes()
        index.unlink()
        index.write_bytes(content)
        feed(memory, range(3, 6))
    assert windows_of(MemoryReader(tmp_path, IDENTITY)) == expected_windows(range(6))


@pytest.mark.parametrize("place", ["memory", "memory/x", "room"])
def test_a_file_in_the_place_of_a_directory_is_said_and_windows_wait(tmp_path, monkeypatch, caplog, place):
    memory = memory_of(tmp_path)
    odd = {"memory": tmp_path / "memory", "memory/x": memory.directory, "room": memory.directory / "room"}[
        place
    ]
    odd.parent.mkdir(parents=True, exist_ok=True)
    odd.write_text("mine")
    with Running(memory, monkeypatch):
        feed(memory, range(5))
        eventually(lambda: memory.trouble is not None)
        assert odd.read_text() == "mine"
        assert "windows wait in memory only" in caplog.text
        odd.unlink()
        written(memory)
    assert windows_of(MemoryReader(tmp_path, IDENTITY)) == expected_windows(range(5))


def test_directories_and_foreign_files_in_the_place_of_old_segments_do_not_stop_it(tmp_path):
    directory = source_directory(tmp_path)
    (directory / f"{5:019d}.index").mkdir()
    (directory / f"{6:019d}.vectors").mkdir()
    (directory / f"{6:019d}.index").touch()
    (directory.parent / f"{5:019d}.labels.json").mkdir()
    (directory.parent / f"{6:019d}.labels.json").mkdir()
    (directory / "notes.index").write_text("mine")
    memory = memory_of(tmp_path, clock=settled(AT))
    feed(memory, range(5))
    finish(memory)
    assert memory.trouble is None
    assert windows_of(MemoryReader(tmp_path, IDENTITY)) == expected_windows(range(5))
    assert (directory / "notes.index").read_text() == "mine"


def test_too_many_that_wait_drop_the_oldest_and_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_memory, "WAITING", 10)
    memory = memory_of(tmp_path)
    feed(memory, range(25))
    assert (memory.waiting, memory.dropped) == (10, 15)
    finish(memory)
    # The end of the run takes a place as well.
    assert windows_of(MemoryReader(tmp_path, IDENTITY)) == expected_windows(range(16, 25))
    assert memory.written == 9


def test_labels_that_changed_while_too_many_waited_are_still_known(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_memory, "WAITING", 10)
    memory = memory_of(tmp_path)
    memory.on_labels(LABELS, {"room": RULES})
    feed(memory, range(25))
    finish(memory)
    (chunk,) = MemoryReader(tmp_path, IDENTITY).chunks("room")
    assert chunk.entries["kind"][0] == Kind.LABELS
    assert read_labels(labels_path(memory.directory, int(chunk.entries["stop"][0]))).labels == LABELS.enabled


@pytest.mark.root
def test_a_full_disk_at_the_start_is_said_and_nothing_is_lost(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    with small_disk(tmp_path / "disk", size="1m") as disk:
        filler = fill(disk)
        with Running(memory_of(disk), monkeypatch) as memory:
            memory.on_labels(LABELS, {"room": RULES})
            feed(memory, range(10))
            eventually(lambda: memory.trouble is not None)
            assert (memory.trouble, memory.waiting) == ("No space left on device", 11)  # the labels too
            filler.unlink()
            written(memory)
        assert (memory.written, memory.dropped) == (10, 0)
        assert windows_of(MemoryReader(disk, IDENTITY)) == expected_windows(range(10))
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("embedding_memory")]
    assert lines == [
        f"memory: {memory.directory}: No space left on device: windows wait in memory only",
        f"memory: {memory.directory}: works again",
    ]


@pytest.mark.root
def test_a_disk_that_fills_up_later_loses_nothing_and_leaves_no_open_file(tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk", size="256k") as disk:
        with Running(memory_of(disk), monkeypatch) as memory:
            feed(memory, range(10))
            written(memory)
            filler = fill(disk)
            feed(memory, range(10, 3000))
            eventually(lambda: memory.trouble is not None)
            before = open_files()
            tried = memory._try_at
            eventually(lambda: memory._try_at > tried + 0.1)  # some more attempts
            eventually(lambda: not left_open(before))  # an attempt may be under way
            filler.unlink()
            written(memory)
        reader = MemoryReader(disk, IDENTITY)
        assert windows_of(reader) == expected_windows(range(3000))
        assert not reader.damaged
        assert all(chunk.follows for chunk in list(reader.chunks("room"))[1:])
        assert (memory.written, memory.dropped) == (3000, 0)


@pytest.mark.root
def test_a_disk_with_less_free_space_than_it_must_keep_gets_no_window(tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk", size="8m") as disk:
        config = MemoryConfig(free_megabytes=100)
        with Running(memory_of(disk, config=config), monkeypatch) as memory:
            feed(memory, range(10))
            eventually(lambda: memory.trouble == "the disk has less than 100 MB free")
        assert memory.waiting == 11
        assert not list(disk.rglob("*.index"))


def test_a_slow_disk_holds_up_neither_the_analysis_nor_the_end(tmp_path, monkeypatch):
    may_go_on = threading.Event()
    sync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (may_go_on.wait(), sync(descriptor)))
    monkeypatch.setattr(embedding_memory, "WAITING", 50)
    memory = memory_of(tmp_path)
    with Running(memory, monkeypatch):
        feed(memory, range(1))
        eventually(lambda: memory._taken["room"])
        feed(memory, range(1, 101))  # returns, though the disk does not
        assert (memory.waiting, memory.dropped) == (51, 50)
        may_go_on.set()
        written(memory)
        feed(memory, range(101, 103))
    assert windows_of(MemoryReader(tmp_path, IDENTITY)) == expected_windows([0, *range(51, 103)])


LABEL = LabelConfig(id="dog", prompts=("a dog",))
LABELS = ActiveLabels(labels=(LABEL,), sources=("room",))
RULES = (rule_of(LABEL, rate=HEADER.rate, hop=HEADER.hop),)


def changes_of(state, source="room"):
    """Sample index of the first window after each change of labels, and their thresholds."""
    found, reader = [], MemoryReader(state, IDENTITY)
    for chunk in reader.chunks(source):
        for place in np.flatnonzero(chunk.entries["kind"] == Kind.LABELS).tolist():
            labels = read_labels(labels_path(reader.directory, int(chunk.entries["stop"][place])))
            behind = chunk.entries[place:]
            stop = int(behind["stop"][behind["kind"] != Kind.LABELS][0])
            found.append((stop, labels.rules[source][0].threshold))
    return found


def test_changed_labels_hold_from_the_next_window_on(tmp_path):
    memory = memory_of(tmp_path, "room", "hall", baselines=lambda source: {"dog": float(len(source))})
    for first, threshold in ((0, 0.5), (3, 0.6), (3, 0.7), (7, 0.8)):
        feed(memory, range(memory._last["room"].stop // 100 - 1 if memory._last else 0, first))
        rules = (replace(RULES[0], threshold=threshold),)
        memory.on_labels(LABELS, {"room": rules, "hall": rules})
    feed(memory, range(7, 9))
    feed(memory, range(1), source="hall")
    finish(memory)
    assert changes_of(tmp_path) == [(200, 0.5), (500, 0.6), (500, 0.7), (900, 0.8)]
    assert changes_of(tmp_path, "hall") == [(200, 0.5), (200, 0.6), (200, 0.7), (200, 0.8)]


def test_each_segment_begins_with_the_labels_in_force(tmp_path):
    memory = memory_of(tmp_path)
    memory.on_labels(LABELS, {"room": RULES})
    feed(memory, range(0, 7200, 300))
    finish(memory)
    assert [stop for stop, _ in changes_of(tmp_path)] == [200, 60_200, 420_200]


def test_old_segments_are_deleted_once_the_clock_is_trusted(tmp_path):
    old = write_segment(tmp_path, [entry(0)], source="attic")
    clock = settled(AT + 30 * DAY)
    memory = memory_of(tmp_path, clock=clock)
    memory.on_scores(scores(0, at=AT + 30 * DAY))
    finish(memory)
    assert not old.exists()
    assert memory.bytes > 0


def test_a_row_of_512_numbers_takes_less_than_91_mb_a_day(tmp_path):
    header = Header(dimension=512, rate=100, length=200, hop=100)
    memory = EmbeddingMemory(tmp_path, CONFIG, IDENTITY, {"room": header})
    for number in range(3600):
        memory.on_scores(scores(number, embedding=np.full(512, 512**-0.5, np.float32)))
    finish(memory)
    assert memory.bytes < 24 * 3600 * 1056 / 24 + 1000
