"""Memories to test with: segments of a few windows, and what a reader has of them."""

import numpy as np

from monitor.detection.quantised import quantised
from monitor.memory.memory_reader import memory_directory, to_ns
from monitor.memory.segment import Entry, Header, Kind
from monitor.memory.segment_writer import SegmentWriter
from monitor.types import Scores

IDENTITY = "checkpoint"
AT = 1_760_003_400.0
"""Unix seconds, ten minutes before a full hour."""

HEADER = Header(dimension=4, rate=100, length=200, hop=100)


def embedding(number, dimension=4):
    """Unit vector, another one for each number."""
    vector = np.random.default_rng(number).standard_normal(dimension).astype(np.float32)
    return vector / np.linalg.norm(vector)


def scores(number, source="room", *, at=None, **fields):
    """Window of one second after another; `fields` replace those of a scored one."""
    stop = HEADER.length + HEADER.hop * number
    fields = {"embedding": embedding(number), "level_dbfs": -float(number % 60)} | fields
    return Scores(
        source=source,
        start=stop - HEADER.length,
        stop=stop,
        ended_at=AT + number if at is None else at,
        labels=(),
        values=np.empty(0, np.float32),
        **fields,
    )


def entry(number, **fields):
    """Entry of one second after another."""
    vector = quantised(embedding(number)).tobytes()
    fields = {"ended_ns": to_ns(AT + number), "stop": HEADER.length + HEADER.hop * number} | fields
    if fields.get("kind", Kind.WINDOW) == Kind.WINDOW:
        fields["vector"] = vector
    return Entry(**fields)


def source_directory(state, source="room", identity=IDENTITY):
    """Directory of a source, made if it is not there."""
    directory = memory_directory(state, identity) / source
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def write_segment(state, entries, source="room", *, header=HEADER, identity=IDENTITY):
    """Write one segment; return the path of its index."""
    writer = SegmentWriter(source_directory(state, source, identity), entries[0].ended_ns, header)
    writer.append(entries)
    writer.close()
    return writer.index_path


def windows_of(reader, source="room", **between):
    """Sample indices, times and vectors of all windows that a reader finds."""
    chunks = list(reader.chunks(source, **between))
    stops = [stop for chunk in chunks for stop in chunk.stops.tolist()]
    times = [at for chunk in chunks for at in chunk.ended_at.tolist()]
    vectors = [row.tolist() for chunk in chunks for row in chunk.vectors]
    return stops, times, vectors


def expected_windows(numbers):
    """What `windows_of` returns of windows of `entry` or `scores`."""
    numbers = list(numbers)
    return (
        [HEADER.length + HEADER.hop * number for number in numbers],
        [AT + number for number in numbers],
        [quantised(embedding(number)).tolist() for number in numbers],
    )
