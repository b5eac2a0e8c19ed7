"""Segments: what was appended is read again, whatever the process, the disk or the clock did."""

import os
import random
from dataclasses import replace

import numpy as np
import pytest

from monitor.memory import segment
from monitor.memory.memory_reader import to_ns, to_seconds
from monitor.memory.segment import ENTRY, HEADER_BYTES, Kind, MemoryFormatError
from monitor.memory.segment_writer import SegmentWriter
from monitor.memory.stored_segment import open_segment
from monitor.types import EndReason, GateReason
from tests.support.damage import bytes_
from tests.support.memories import AT, HEADER, entry, source_directory, write_segment
from tests.support.open_files import left_open, open_files
from tests.support.small_disk import fill, small_disk

ENTRIES = [
    entry(0, kind=Kind.LABELS, stop=7),
    *(entry(number, level=-20.5, flags=number % 2) for number in range(1, 4)),
    entry(5, kind=Kind.GATED, reason=segment.GATES.index(GateReason.SILENCE), count=2),
    entry(6),
    entry(6, kind=Kind.BREAK, reason=segment.BREAKS.index(EndReason.GAP)),
    *map(entry, range(7, 12)),
]


def fields(found, place):
    return {name: found.entries[place][name].item() for name in ENTRY.names if name != "crc"}


def test_entries_are_read_as_they_were_appended(tmp_path):
    found = open_segment(write_segment(tmp_path, ENTRIES))
    assert (found.header, found.lost, len(found.entries)) == (HEADER, 0, len(ENTRIES))
    rows = 0
    for place, given in enumerate(ENTRIES):
        count = rows if given.kind == Kind.WINDOW else given.count
        assert fields(found, place) == {
            "ended_ns": given.ended_ns, "stop": given.stop, "level": given.level, "kind": given.kind,
            "reason": given.reason, "flags": given.flags, "count": count,
        }  # fmt: skip
        if given.kind == Kind.WINDOW:
            assert found.vectors(np.array([rows])).tobytes() == given.vector
            rows += 1


def test_header_keeps_every_field_and_the_segment_before(tmp_path):
    header = segment.Header(dimension=1, rate=48_000, length=480_000, hop=12_000, after=2**63 + 5)
    path = write_segment(tmp_path, [replace(entry(1), vector=b"\1\2")], header=header)
    assert open_segment(path).header == header


def test_times_give_the_same_floats_again():
    chance = random.Random(3)
    times = [chance.uniform(1e8, 4e9) for _ in range(20_000)] + [AT, AT + 0.1, 2.0**31 - 2**-22, 1e9 - 1e-7]
    assert to_seconds(np.array([to_ns(at) for at in times])).tolist() == times


@pytest.mark.parametrize("several", [1, 2, 5, 100])
def test_a_file_that_grows_is_read_up_to_its_last_whole_entry(tmp_path, several):
    directory = source_directory(tmp_path)
    writer = SegmentWriter(directory, ENTRIES[0].ended_ns, HEADER)
    for first in range(0, len(ENTRIES), several):
        writer.append(ENTRIES[first : first + several])
        found = open_segment(writer.index_path)
        assert (len(found.entries), found.lost) == (min(len(ENTRIES), first + several), 0)
    writer.close()


def test_a_tail_torn_at_any_byte_costs_only_the_entries_that_are_not_whole(tmp_path):
    path = write_segment(tmp_path, ENTRIES)
    whole = path.read_bytes()
    for size in range(HEADER_BYTES, len(whole)):
        path.write_bytes(whole[:size])
        found = open_segment(path)
        assert (len(found.entries), found.lost) == ((size - HEADER_BYTES) // ENTRY.itemsize, 0)


def test_vectors_torn_at_any_byte_cost_only_the_windows_without_one(tmp_path):
    path = write_segment(tmp_path, ENTRIES)
    vectors = path.with_suffix(".vectors")
    whole = vectors.read_bytes()
    for size in range(len(whole)):
        vectors.write_bytes(whole[:size])
        found = open_segment(path)
        kinds = found.entries["kind"]
        assert (kinds == Kind.WINDOW).sum() == size // 8
        assert (kinds != Kind.WINDOW).sum() == 3
        assert found.lost == 9 - size // 8


def test_a_tail_of_zeros_is_not_read(tmp_path):
    path = write_segment(tmp_path, ENTRIES)
    with path.open("ab") as file:
        file.write(bytes(3 * ENTRY.itemsize))
    found = open_segment(path)
    assert (len(found.entries), found.lost) == (len(ENTRIES), 3)


@pytest.mark.parametrize("flipped", [1, 128])
def test_a_flipped_bit_anywhere_near_the_end_costs_one_entry(tmp_path, flipped):
    path = write_segment(tmp_path, ENTRIES)
    for file, begin in ((path, HEADER_BYTES), (path.with_suffix(".vectors"), 0)):
        whole = file.read_bytes()
        for at in range(begin, len(whole)):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ flipped]) + whole[at + 1 :])
            found = open_segment(path)
            assert (len(found.entries), found.lost) == (len(ENTRIES) - 1, 1)
            rows = found.entries["count"][found.entries["kind"] == Kind.WINDOW]
            assert found.vectors(rows).shape == (len(rows), 4)
        file.write_bytes(whole)


def test_a_flipped_bit_in_the_header_refuses_the_segment(tmp_path):
    path = write_segment(tmp_path, ENTRIES)
    whole = path.read_bytes()
    for at in range(HEADER_BYTES):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(
            MemoryFormatError, match=rf"{path.name}: (its header is damaged|is not a segment)"
        ):
            open_segment(path)


def test_a_damaged_time_or_number_far_from_the_end_costs_one_entry(tmp_path):
    path = write_segment(tmp_path, [entry(number) for number in range(300)])
    whole = bytearray(path.read_bytes())
    for offset in (6, 24, 27):  # bytes of the time, of the kind and of the number of the vector
        damaged = bytearray(whole)
        damaged[HEADER_BYTES + 50 * ENTRY.itemsize + offset] ^= 0x40
        path.write_bytes(damaged)
        found = open_segment(path)
        assert (len(found.entries), found.lost) == (299, 1)
        assert found.vectors(found.entries["count"]).shape == (299, 4)


def test_damage_of_any_kind_is_refused_or_leaves_entries_with_their_vectors(tmp_path):
    path = write_segment(tmp_path, [entry(number) for number in range(100)])
    files = (path, path.with_suffix(".vectors"))
    whole = [file.read_bytes() for file in files]
    refused = 0
    for seed in range(1500):
        chance = random.Random(seed)
        for file, content in zip(files, whole, strict=True):
            file.write_bytes(bytes_(content, chance) if chance.random() < 0.7 else content)
        try:
            found = open_segment(path)
        except MemoryFormatError:
            refused += 1
            continue
        rows = found.entries["count"][found.entries["kind"] == Kind.WINDOW]
        assert found.vectors(rows).shape == (len(rows), 4)
    assert 0 < refused < 1500


def test_numbers_that_no_monitor_writes_are_not_read(tmp_path):
    huge = [
        entry(1, stop=-1),
        entry(1, ended_ns=2**63 - 1),
        entry(1, ended_ns=-(2**63)),
        entry(1, kind=Kind.GATED, count=2**32 - 1),
        entry(1, kind=Kind.GATED, reason=255),
        entry(1, kind=Kind.BREAK, reason=255),
    ]
    found = open_segment(write_segment(tmp_path, [entry(0), *huge, entry(2)]))
    assert (found.entries["stop"].tolist(), found.lost) == ([200, 400], len(huge))


@pytest.mark.parametrize(
    ("dimension", "rate", "length", "hop"),
    [
        (0, 100, 200, 100),
        (8_193, 100, 200, 100),
        (4, 0, 200, 100),
        (4, 100, 200, 0),
        (4, 100, 50, 100),
        (4, 2**32 - 1, 200, 1),
    ],
)
def test_a_header_that_no_monitor_writes_is_refused(tmp_path, dimension, rate, length, hop):
    path = write_segment(tmp_path, [entry(0)], header=segment.Header(dimension, rate, length, hop))
    with pytest.raises(MemoryFormatError, match="its header is damaged"):
        open_segment(path)


@pytest.mark.parametrize("suffix", [".index", ".vectors"])
@pytest.mark.parametrize("what", ["nothing", "a directory", "a FIFO"])
def test_a_missing_or_odd_file_is_refused_with_its_name(tmp_path, suffix, what):
    path = write_segment(tmp_path, ENTRIES)
    odd = path.with_suffix(suffix)
    odd.unlink()
    if what == "a directory":
        odd.mkdir()
    elif what == "a FIFO":
        os.mkfifo(odd)
    with pytest.raises(MemoryFormatError, match=odd.name):
        open_segment(path)


def test_vectors_that_disappear_after_opening_are_an_error_of_the_format(tmp_path):
    path = write_segment(tmp_path, ENTRIES)
    found = open_segment(path)
    path.with_suffix(".vectors").unlink()
    with pytest.raises(MemoryFormatError, match="No such file"):
        found.vectors(np.arange(3))


def test_a_writer_takes_the_next_number_if_a_file_has_its_own(tmp_path):
    directory = source_directory(tmp_path)
    (directory / f"{100:019d}.index").mkdir()
    (directory / f"{101:019d}.vectors").touch()
    (directory / f"{102:019d}.index").symlink_to("nowhere")
    writer = SegmentWriter(directory, 100, HEADER)
    assert writer.number == 103
    writer.close()


def test_a_segment_without_entries_is_not_left_behind(tmp_path):
    directory = source_directory(tmp_path)
    SegmentWriter(directory, 100, HEADER).close()
    assert not list(directory.iterdir())


@pytest.mark.root
def test_a_full_disk_leaves_neither_half_a_segment_nor_an_open_file(tmp_path):
    with small_disk(tmp_path / "disk", size="256k") as disk:
        filler = fill(disk)
        before = open_files()
        for _ in range(5):
            with pytest.raises(OSError, match="No space left"):
                SegmentWriter(disk, 100, HEADER)
        assert not left_open(before)
        assert [file.name for file in disk.iterdir()] == ["filler"]
        filler.unlink()
        SegmentWriter(disk, 100, HEADER).close()


@pytest.mark.root
def test_entries_that_a_full_disk_refuses_are_in_the_segment_in_whole_or_not_at_all(tmp_path):
    with small_disk(tmp_path / "disk", size="64k") as disk:
        writer = SegmentWriter(disk, ENTRIES[0].ended_ns, HEADER)
        several, written = [entry(number) for number in range(50)], []
        with pytest.raises(OSError, match="No space left"):
            written.extend(map(writer.append, [several] * 100))
        assert not writer.torn
        found = open_segment(writer.index_path)
        assert (len(found.entries), found.lost) == (50 * len(written), 0)
        assert writer.index_path.with_suffix(".vectors").stat().st_size == 50 * len(written) * 8
        writer.close()
        assert len(written) > 1
