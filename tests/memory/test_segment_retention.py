"""Retention of the memory: the oldest hours go first, of all sources and checkpoints, and only they."""

import pytest

from monitor.config import MemoryConfig
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.segment import INDEX
from monitor.memory.segment_retention import apply_limits
from tests.support.memories import AT, HEADER, IDENTITY, entry, source_directory, windows_of, write_segment

HOUR, DAY = 3600, 86_400
PLENTY = 10**12


def hours(state, *numbers, source="room", identity=IDENTITY):
    """One segment of a window for each hour; return their paths."""
    return [write_segment(state, [entry(HOUR * number)], source, identity=identity) for number in numbers]


def kept(paths):
    for path in paths:
        assert path.exists() == path.with_suffix(".vectors").exists()
    return [place for place, path in enumerate(paths) if path.exists()]


def limits(state, *, now=None, free=PLENTY, in_use=(), **keys):
    config = MemoryConfig(**{"free_megabytes": 0} | keys)
    sizes = iter(free) if isinstance(free, list) else None
    return apply_limits(
        state, config, in_use=in_use, now=now, free=lambda: free if sizes is None else next(sizes)
    )


def test_nothing_is_there(tmp_path):
    found = limits(tmp_path / "none", now=AT)
    assert (found.bytes, found.enough_room) == (0, True)


def test_hours_are_deleted_by_age_once_they_are_over(tmp_path):
    paths = hours(tmp_path, 0, 1, 2, 3)
    found = limits(tmp_path, now=AT + DAY + 2.5 * HOUR, keep_days=1)
    assert kept(paths) == [2, 3]
    assert found.bytes == 2 * (64 + 32 + 8)


def test_without_a_trusted_clock_nothing_is_deleted_by_age(tmp_path):
    paths = hours(tmp_path, 0, 1, 2)
    limits(tmp_path, now=None, keep_days=1)
    assert kept(paths) == [0, 1, 2]


def test_the_oldest_of_all_sources_and_checkpoints_are_deleted_for_their_size(tmp_path):
    room = hours(tmp_path, 1, 3)
    hall = hours(tmp_path, 2, source="hall")
    other = hours(tmp_path, 0, 4, identity="another checkpoint")
    for path in [*room, *hall, *other]:
        with path.with_suffix(".vectors").open("r+b") as file:
            file.truncate(4_000_000)
    limits(tmp_path, max_megabytes=13)
    assert (kept(room), kept(hall), kept(other)) == ([1], [0], [1])


def test_the_oldest_are_deleted_until_the_disk_has_room_again(tmp_path):
    paths = hours(tmp_path, 0, 1, 2, 3)
    found = limits(tmp_path, free_megabytes=100, free=[0, 0, 200_000_000, 200_000_000])
    assert kept(paths) == [2, 3]
    assert found.enough_room


def test_a_disk_that_others_fill_is_said(tmp_path):
    paths = hours(tmp_path, 0, 1)
    found = limits(tmp_path, free_megabytes=100, free=0, in_use=[paths[1]])
    assert not found.enough_room
    assert kept(paths) == [1]


def test_a_segment_that_is_being_written_stays(tmp_path):
    paths = hours(tmp_path, 0, 1)
    limits(tmp_path, now=AT + 30 * DAY, in_use=[paths[0]])
    assert kept(paths) == [0]


@pytest.mark.parametrize("odd", ["directory", "vectors directory", "link", "short name", "other name"])
def test_what_is_no_segment_is_left_alone_and_in_nobodys_way(tmp_path, odd):
    paths = hours(tmp_path, 1, 2, 30 * 24)
    directory = source_directory(tmp_path)
    first = directory / f"{5:019d}{INDEX}"
    target = tmp_path / "mine"
    target.write_text("mine")
    match odd:
        case "directory":
            first.mkdir()
        case "vectors directory":
            first.touch()
            first.with_suffix(".vectors").mkdir()
        case "link":
            first.symlink_to(target)
        case "short name":
            first = directory / f"5{INDEX}"
            first.touch()
        case _:
            first = directory / f"notes{INDEX}"
            first.touch()
    limits(tmp_path, now=AT + 30 * DAY)
    assert kept(paths) == [2]
    assert target.read_text() == "mine"
    assert first.exists() == (odd != "link")


def test_labels_files_stay_as_long_as_a_segment_needs_them(tmp_path):
    """And for a day before it: a recording may be scored faster than it lasts."""
    paths = hours(tmp_path, 1, 50, 90)
    directory = source_directory(tmp_path).parent
    files = [
        directory / f"{round((AT + HOUR * hour) * 1e9):019d}.labels.json" for hour in (0, 20, 24, 40, 80)
    ]
    for file in files:
        file.write_text("{}")
    limits(tmp_path, now=AT + 30 * HOUR, keep_days=1)
    assert kept(paths) == [1, 2]
    assert [file.exists() for file in files] == [False, False, True, True, True]
    limits(tmp_path, now=AT + 60 * DAY)
    assert [file.exists() for file in files] == [False, False, False, False, True]


def test_a_source_of_which_nothing_is_left_disappears(tmp_path):
    hours(tmp_path, 0)
    limits(tmp_path, now=AT + 30 * DAY)
    reader = MemoryReader(tmp_path, IDENTITY)
    assert reader.sources == ()
    assert not (reader.directory / "room").exists()


def test_a_deletion_that_was_interrupted_is_finished(tmp_path):
    """The vectors go first: an index without them is known, and deleted the next time."""
    paths = hours(tmp_path, 0, 30 * 24)
    paths[0].with_suffix(".vectors").unlink()
    limits(tmp_path, now=AT + 30 * DAY)
    assert kept(paths) == [1]
    assert windows_of(MemoryReader(tmp_path, IDENTITY))[0] == [HEADER.length + HEADER.hop * HOUR * 30 * 24]
