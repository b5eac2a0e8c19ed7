"""A process killed fifty times while it writes the memory: what was written is there, whole and in order."""

import os
import random

import pytest

from monitor.detection.quantised import quantised
from monitor.memory.memory_reader import MemoryReader
from tests.support.embedding_writer import LIFE, SOURCES
from tests.support.memories import HEADER, IDENTITY, embedding
from tests.support.writer_lives import WriterLives

KILLS = int(os.environ.get("MEMORY_KILLS", "50"))


@pytest.fixture
def keeper(tmp_path):
    keeper = WriterLives("tests.support.embedding_writer", tmp_path)
    yield keeper
    keeper.end()


def numbers_of(reader, source):
    """Numbers of the windows of a source, by life; each has the embedding that it was given."""
    lives = {}
    for chunk in reader.chunks(source):
        for stop, vector in zip(chunk.stops.tolist(), chunk.vectors, strict=True):
            number = (stop - HEADER.length) // HEADER.hop
            lives.setdefault(number // LIFE, []).append(number % LIFE)
            assert vector.tolist() == quantised(embedding(number)).tolist()
    return lives


def test_after_every_kill_what_was_written_is_there_without_a_hole(tmp_path, keeper):
    chance, kept, before = random.Random(11), [], {}
    for life in range(KILLS):
        kept.append(int(keeper.live_and_die(chance.uniform(0, 0.1))[-1]))
        reader = MemoryReader(tmp_path, IDENTITY)
        now = {source: numbers_of(reader, source) for source in SOURCES}
        for source, lives in now.items():
            assert [lives[life] for life in sorted(lives)] == [
                list(range(len(lives[life]))) for life in sorted(lives)
            ]
            assert before.get(source, {}) == {life: lives[life] for life in before.get(source, {})}
        assert sum(len(lives.get(life, [])) for lives in now.values()) >= kept[-1]
        assert not reader.damaged
        before = now
    assert keeper.end() == ""
    assert min(kept) > 0
