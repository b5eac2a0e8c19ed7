"""Past windows: what the memory still has of a moment."""

import numpy as np
import pytest

from monitor.detection.quantised import quantised
from monitor.memory.memory_reader import MemoryReader, memory_directory
from monitor.memory.past_windows import past_windows
from monitor.memory.segment import Entry, Header, Kind
from monitor.memory.segment_writer import SegmentWriter

SECOND = 10**9


@pytest.fixture
def find(tmp_path):
    """Ten windows of 1 s from 101 s on, of which the fifth was not scored."""
    directory = memory_directory(tmp_path, "abc") / "hall"
    directory.mkdir(parents=True)
    writer = SegmentWriter(directory, 101 * SECOND, Header(4, 8, 8, 8))
    rows = quantised(np.eye(4, dtype=np.float32))
    for number in range(10):
        kind = Kind.GATED if number == 4 else Kind.WINDOW
        vector = b"" if number == 4 else rows[number % 4].tobytes()
        at = (101 + number) * SECOND
        writer.append([Entry(at, 8 * number, kind, level=-20.0 - number, vector=vector)])
    writer.close()
    return past_windows(MemoryReader(tmp_path, "abc"))


def test_the_scored_windows_that_end_between_two_times_are_found(find):
    found = find("hall", 103.0, 106.5)
    assert [each.ended_at for each in found] == [103, 104, 106]
    assert [each.level_dbfs for each in found] == [-22, -23, -25]
    assert [int(each.embedding.argmax()) for each in found] == [2, 3, 1]


def test_nothing_is_found_before_the_memory_begins_or_of_another_source(find):
    assert find("hall", 10.0, 20.0) == []
    assert find("attic", 103.0, 106.5) == []
