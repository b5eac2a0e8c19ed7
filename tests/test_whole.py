"""A file that is written whole or not at all."""

import pytest

from monitor.whole import write_whole


def test_what_was_there_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "kept.json"
    for content in (b"old", b"new"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_put_in_its_place_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "kept.json"
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(IsADirectoryError):
        write_whole(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
