"""Reader of the memory: every source in the order of time, around whatever cannot be read."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from monitor.detection.prototypes import Directions
from monitor.memory.memory_reader import MemoryReader, memory_directory
from monitor.memory.search import search
from monitor.memory.segment import HOUR_NS, Kind
from monitor.memory.segment_writer import SegmentWriter
from tests.support.memories import (
    AT,
    HEADER,
    IDENTITY,
    embedding,
    entry,
    expected_windows,
    source_directory,
    windows_of,
    write_segment,
)


def parts(state, *lengths, source="room"):
    """Segments of so many windows, each going on from the one before; return their paths."""
    paths, first, after = [], 0, 0
    for length in lengths:
        header = replace(HEADER, after=after)
        several = [entry(number) for number in range(first, first + length)]
        paths.append(write_segment(state, several, source, header=header))
        first, after = first + length, several[0].ended_ns
    return paths


def follows(reader, **between):
    return [chunk.follows for chunk in reader.chunks("room", **between)]


def test_sources_are_apart_and_in_the_order_of_time(tmp_path):
    parts(tmp_path, 3, 5, 2)
    parts(tmp_path, 4, source="hall")
    reader = MemoryReader(tmp_path, IDENTITY)
    assert reader.sources == ("hall", "room")
    assert windows_of(reader, "hall") == expected_windows(range(4))
    assert windows_of(reader) == expected_windows(range(10))
    assert follows(reader) == [False, True, True]
    assert windows_of(reader, "attic") == ([], [], [])
    span = reader.span("room")
    assert (span.since, span.until) == (AT, AT + 9)
    assert span.bytes == 3 * 64 + 10 * (32 + 8)
    assert reader.span("attic") is None
    assert reader.damaged == ()


def test_a_memory_that_is_not_there_is_empty(tmp_path):
    reader = MemoryReader(tmp_path / "none", IDENTITY)
    assert (reader.sources, reader.others, reader.span("room")) == ((), (), None)


@pytest.mark.parametrize(("since", "until"), [(0, 9), (2, 7), (3, 3), (2.5, 3.5), (20, 30), (-9, -1)])
def test_only_what_lies_between_two_moments_is_read(tmp_path, since, until):
    parts(tmp_path, 4, 4, 4)
    reader = MemoryReader(tmp_path, IDENTITY)
    inside = [number for number in range(12) if since <= number <= until]
    assert windows_of(reader, since=AT + since, until=AT + until) == expected_windows(inside)


def test_a_chunk_that_begins_within_a_segment_follows_nothing(tmp_path):
    parts(tmp_path, 4, 4)
    assert follows(MemoryReader(tmp_path, IDENTITY), since=AT + 2) == [False, True]


def test_a_segment_that_is_missing_breaks_the_chain(tmp_path):
    paths = parts(tmp_path, 3, 3, 3)
    for suffix in (".index", ".vectors"):
        paths[1].with_suffix(suffix).unlink()
    reader = MemoryReader(tmp_path, IDENTITY)
    assert follows(reader) == [False, False]
    assert windows_of(reader) == expected_windows([*range(3), *range(6, 9)])
    assert reader.damaged == ()


def test_a_clock_that_went_back_breaks_the_chain_and_nothing_is_lost(tmp_path):
    directory = source_directory(tmp_path)
    later = SegmentWriter(directory, entry(3000).ended_ns, HEADER)
    later.append([entry(3000)])
    earlier = SegmentWriter(directory, entry(5).ended_ns, replace(HEADER, after=later.number))
    earlier.append([entry(5)])
    again = SegmentWriter(directory, entry(3000).ended_ns, replace(HEADER, after=earlier.number))
    again.append([entry(3001)])
    reader = MemoryReader(tmp_path, IDENTITY)
    assert windows_of(reader) == expected_windows([5, 3000, 3001])
    assert follows(reader) == [False, False, False]
    for writer in (later, earlier, again):
        writer.close()


def test_damage_is_told_once_with_the_file_and_the_rest_is_read(tmp_path, caplog):
    first, second, third = parts(tmp_path, 3, 3, 3)
    first.write_bytes(b"not a segment")
    content = bytearray(third.read_bytes())
    content[64 + 32] ^= 1
    third.write_bytes(content)
    reader = MemoryReader(tmp_path, IDENTITY)
    for _ in range(2):
        assert windows_of(reader) == expected_windows([3, 4, 5, 6, 8])
    assert reader.damaged == (first, third)
    assert second not in reader.damaged
    assert [record.getMessage() for record in caplog.records] == [
        f"memory: {first}: is not a segment of the memory; the rest is used",
        f"memory: {third}: 1 of its entries are damaged; the rest is used",
    ]


def test_a_segment_with_damage_still_goes_on_from_the_one_before(tmp_path):
    paths = parts(tmp_path, 3, 3, 3)
    content = bytearray(paths[1].read_bytes())
    content[-1] ^= 1
    paths[1].write_bytes(content)
    assert follows(MemoryReader(tmp_path, IDENTITY)) == [False, True, True]


def test_foreign_files_are_left_alone(tmp_path):
    parts(tmp_path, 3)
    directory = source_directory(tmp_path)
    for name in ("notes.txt", "notes.index", "12.index", "-00000000000000001.index", "٣" * 19 + ".index"):
        (directory / name).write_text("mine")
    (tmp_path / "memory" / "README").write_text("mine")
    (directory.parent / "README").write_text("mine")
    (directory.parent / "empty").mkdir()
    reader = MemoryReader(tmp_path, IDENTITY)
    assert (reader.sources, reader.others, reader.damaged) == (("room",), (), ())
    assert windows_of(reader) == expected_windows(range(3))


def test_odd_things_in_the_place_of_segments_are_told_and_passed_over(tmp_path):
    parts(tmp_path, 3)
    directory = source_directory(tmp_path)
    odd = [directory / ("9" * 19 + ".index"), directory / f"{5:019d}.index", directory / f"{6:019d}.index"]
    odd[0].write_bytes(next(directory.glob("1*.index")).read_bytes())
    odd[0].with_suffix(".vectors").touch()
    odd[1].mkdir()
    odd[2].symlink_to(odd[2])
    reader = MemoryReader(tmp_path, IDENTITY)
    assert windows_of(reader) == expected_windows(range(3))
    assert (reader.span("room").since, reader.span("room").until) == (AT, AT + 2)


def test_the_memory_of_another_checkpoint_is_named_and_not_read(tmp_path):
    parts(tmp_path, 3)
    write_segment(tmp_path, [entry(9)], identity="another")
    reader = MemoryReader(tmp_path, IDENTITY)
    assert windows_of(reader) == expected_windows(range(3))
    assert reader.others == (memory_directory(tmp_path, "another").name,)
    other = MemoryReader(tmp_path, "another")
    assert windows_of(other) == expected_windows([9])
    assert windows_of(MemoryReader(tmp_path, "third")) == ([], [], [])


def test_a_reader_sees_what_a_running_monitor_appends(tmp_path):
    directory = source_directory(tmp_path)
    writer = SegmentWriter(directory, entry(0).ended_ns, HEADER)
    reader = MemoryReader(tmp_path, IDENTITY)
    for number in range(5):
        writer.append([entry(number)])
        assert windows_of(reader) == expected_windows(range(number + 1))
    writer.close()


def test_gated_runs_and_breaks_are_no_windows(tmp_path):
    entries = [
        entry(0), entry(3, kind=Kind.GATED, count=3), entry(3, kind=Kind.BREAK), entry(9, flags=1, level=-3.5)
    ]  # fmt: skip
    write_segment(tmp_path, entries)
    (chunk,) = MemoryReader(tmp_path, IDENTITY).chunks("room")
    assert chunk.stops.tolist() == [200, 1100]
    assert chunk.speech.tolist() == [False, True]
    assert chunk.levels.tolist() == [0.0, -3.5]
    assert chunk.vectors.shape == (2, 4)


def find(reader, **options):
    return search(reader, Directions(embedding(5)[None]), ["room"], **options)


def test_search_finds_the_moment_and_passes_over_segments_that_are_deleted_meanwhile(tmp_path):
    paths = parts(tmp_path, 4, 4, 4)
    reader = MemoryReader(tmp_path, IDENTITY)
    assert find(reader)[0].peak_at == AT + 5
    for path in paths[:1]:
        path.with_suffix(".vectors").unlink()
    assert find(reader)[0].peak_at == AT + 5
    assert reader.damaged == (paths[0],)
    shutil.rmtree(tmp_path / "memory")
    assert find(reader) == []


def test_search_passes_over_vectors_that_disappear_after_a_segment_was_opened(tmp_path, caplog):
    paths = parts(tmp_path, 4, 4, 4)
    reader = MemoryReader(tmp_path, IDENTITY)

    class Deleting:
        """The reader, beside a monitor that deletes the oldest segment as soon as it was opened."""

        def chunks(self, *between):
            for chunk in reader.chunks(*between):
                paths[0].with_suffix(".vectors").unlink(missing_ok=True)
                yield chunk

        report = reader.report

    assert find(Deleting())[0].peak_at == AT + 5
    assert str(paths[0].with_suffix(".vectors")) in caplog.text


def test_an_hour_with_a_damaged_first_entry_still_has_its_time(tmp_path):
    """The number in the name, not the first entry, limits which times are possible."""
    path = write_segment(tmp_path, [entry(number) for number in range(3)])
    content = bytearray(path.read_bytes())
    content[64 + 7] ^= 0x10  # the highest byte of the first time
    path.write_bytes(content)
    reader = MemoryReader(tmp_path, IDENTITY)
    assert windows_of(reader) == expected_windows([1, 2])
    assert (reader.span("room").until - reader.span("room").since) * 1e9 < HOUR_NS


def test_vectors_are_those_of_their_windows_when_entries_between_are_damaged(tmp_path):
    path = write_segment(tmp_path, [entry(number) for number in range(9)])
    content = bytearray(path.read_bytes())
    content[64 + 32 * 4 + 9] ^= 1
    path.write_bytes(content)
    (chunk,) = MemoryReader(tmp_path, IDENTITY).chunks("room")
    kept = [number for number in range(9) if number != 4]
    assert np.array_equal(chunk.vectors.tolist(), expected_windows(kept)[2])
