"""A file that is written whole or not at all."""

import os

import pytest

from monitor.system.atomic_file import write_atomic
from monitor.system.directories import probe_directory


def test_what_was_there_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "kept.json"
    for content in (b"old", b"new"):
        write_atomic(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_put_in_its_place_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "kept.json"
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(IsADirectoryError):
        write_atomic(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_a_killed_process_do_not_delay_the_check_of_a_directory(tmp_path):
    probe = tmp_path / ".writable"
    for leave in (probe.touch, lambda: os.mkfifo(probe), lambda: probe.symlink_to(tmp_path / "x" / "y")):
        leave()
        probe_directory(tmp_path)
        assert list(tmp_path.iterdir()) == []
