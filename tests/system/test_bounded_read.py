"""Bounded reads: what is read back is limited, regular, and something that can be stored again."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.system.bounded_read import (
    DEEPEST,
    DamagedError,
    parse_json,
    read_bytes,
    read_json,
    read_text,
)


def why(content):
    with pytest.raises(DamagedError) as caught:
        parse_json(content)
    return str(caught.value)


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert read_bytes(path, 10) == b"x" * 10
    with pytest.raises(DamagedError, match="larger than 9 bytes"):
        read_bytes(path, 9)


def test_a_file_of_the_kernel_that_says_it_is_empty_is_read():
    status = Path("/proc/self/status")
    assert status.stat().st_size == 0
    assert read_bytes(status, 2**20).count(b"\n") > 10
    with pytest.raises(DamagedError, match="larger than 9 bytes"):
        read_bytes(status, 9)


def test_a_fifo_that_nobody_writes_to_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DamagedError, match="not a regular file"):
        read_bytes(tmp_path / "fifo", 10)


def test_a_directory_and_a_file_that_is_not_there_are_errors_of_the_system(tmp_path):
    with pytest.raises((IsADirectoryError, DamagedError)):
        read_bytes(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none", 10)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert read_text(path, 10) == "{}"
    assert read_json(path, 10) == {}


def test_what_is_no_utf_8_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"ab\xff")
    with pytest.raises(DamagedError, match="byte 2 is not UTF-8"):
        read_text(path, 10)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("NaN", "holds NaN"),
        ("[-Infinity]", "holds -Infinity"),
        ("1e999", "too large"),
        (str(2**63), "more than 64 bits"),
        ("9" * 10_000, "more than 64 bits"),
        (r'{"\ud800": ""}', "surrogate"),
        (r'{"a": ["\udfff"]}', "surrogate"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested more than"),
        ("[" * 200_000, "is not JSON: is nested too deeply"),
        (b"\xff\xfe\x00", "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_json_that_could_not_be_stored_again_is_refused(content, words):
    assert words in why(content)


def test_a_pair_of_surrogates_is_one_character():
    assert parse_json(r'"\ud83d\ude00"') == "\U0001f600"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(JSON)
def test_everything_else_is_read_as_it_was_written(document):
    assert parse_json(json.dumps(document)) == document
