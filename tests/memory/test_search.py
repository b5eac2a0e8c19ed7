"""The moments that fit best are found, once each, with their time."""

import itertools

import numpy as np

from monitor.detection.cohort_norm import measure_cohort
from monitor.detection.prototypes import Directions
from monitor.detection.quantised import quantised
from monitor.memory.memory_reader import MemoryReader, memory_directory
from monitor.memory.search import search
from monitor.memory.segment import Entry, Header
from monitor.memory.segment_writer import SegmentWriter
from monitor.memory.similar import direction_of, embeddings_between

HEADER = Header(dimension=16, rate=100, length=500, hop=100)
START = 1_790_000_000


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def remember(state, source, rows, *, start=START):
    """Windows that end once a second from ``start`` on."""
    directory = memory_directory(state, "model") / source
    directory.mkdir(parents=True)
    entries = [
        Entry((start + place) * 10**9, 500 + 100 * place, level=-30.0, vector=quantised(row).tobytes())
        for place, row in enumerate(rows)
    ]
    for first in range(0, len(entries), 100):
        several = entries[first : first + 100]
        segment = SegmentWriter(directory, several[0].ended_ns, HEADER)
        segment.append(several)
        segment.close()
    return MemoryReader(state, "model")


def room(seed, windows=1000):
    return np.random.default_rng(seed).normal(size=(windows, 16)) + 1


SOUND = np.eye(16)[3]
DIRECTION = Directions(unit(SOUND)[None])


def test_the_loudest_likeness_comes_first_and_each_stretch_once(tmp_path):
    rows = room(1)
    rows[300:304] += 12 * SOUND
    rows[700] += 9 * SOUND
    found = search(remember(tmp_path, "hall", unit(rows)), DIRECTION, ["hall"], top=2)
    first, second = sorted(found, key=lambda moment: moment.started_at)
    assert (first.started_at, first.ended_at) == (START + 300 - 5, START + 303)
    assert START + 300 <= first.peak_at <= START + 303
    assert second.peak_at == START + 700
    assert found[0].fit >= found[1].fit
    assert (found[0].source, found[0].level_dbfs) == ("hall", -30.0)


def test_sources_and_times_limit_what_is_found(tmp_path):
    quiet, loud = room(1), room(2)
    loud[[100, 800]] += 12 * SOUND
    remember(tmp_path, "quiet", unit(quiet))
    reader = remember(tmp_path, "loud", unit(loud))
    assert reader.sources == ("loud", "quiet")
    every = search(reader, DIRECTION, reader.sources, top=2)
    assert [moment.source for moment in every] == ["loud", "loud"]
    late = search(reader, DIRECTION, ["loud"], since=START + 500, top=1)
    assert [moment.peak_at for moment in late] == [START + 800]
    early = search(reader, DIRECTION, ["loud"], until=START + 500, top=1)
    assert [moment.peak_at for moment in early] == [START + 100]
    assert search(reader, DIRECTION, ["loud"], since=START + 5000) == []
    assert len(search(reader, DIRECTION, ["quiet"], top=7)) == 7


def test_moments_never_overlap(tmp_path):
    found = search(remember(tmp_path, "hall", unit(room(4, 300))), DIRECTION, ["hall"], top=1000)
    ordered = sorted(found, key=lambda moment: moment.started_at)
    assert all(one.ended_at <= other.started_at + 5 for one, other in itertools.pairwise(ordered))
    assert len({moment.peak_at for moment in found}) == len(found) > 10


def test_a_sound_finds_its_like(tmp_path):
    rows = room(5)
    rows[[200, 201, 600, 601, 602]] += 8 * SOUND
    reader = remember(tmp_path, "hall", unit(rows))
    examples = embeddings_between(reader, "hall", START + 198, START + 199)
    assert examples.shape == (2, 16)  # the windows whose middles lie in it
    norm = measure_cohort(unit(room(6, 500)), 8)
    found = search(reader, direction_of(examples, norm), ["hall"], top=2)
    assert sorted(round(moment.peak_at - START) // 10 for moment in found) == [20, 60]


def test_of_a_time_without_windows_there_are_no_embeddings(tmp_path):
    reader = remember(tmp_path, "hall", unit(room(5, 50)))
    assert embeddings_between(reader, "hall", START + 5000, START + 5001) is None
    assert embeddings_between(reader, "attic", START, START + 1) is None
