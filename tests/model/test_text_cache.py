import logging
import os

import numpy as np
import pytest

from monitor.model import text_cache
from monitor.model.text_cache import TextCache

VECTOR = np.array([0.6, 0.8], dtype=np.float32)


def cache(directory, *model, dimension=2):
    return TextCache(directory, model or ("a", "float32"), dimension)


def the_file(directory):
    (path,) = directory.iterdir()
    return path


def test_what_was_written_is_read_by_the_next(tmp_path):
    directory = tmp_path / "not" / "yet"
    cache(directory).write("rain", VECTOR)
    assert cache(directory).read("rain").tolist() == VECTOR.tolist()
    assert cache(directory).read("snow") is None


def test_another_model_reads_nothing(tmp_path):
    cache(tmp_path, "a", "float32").write("rain", VECTOR)
    assert cache(tmp_path, "b", "float32").read("rain") is None
    assert cache(tmp_path, "a", "bfloat16").read("rain") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"no array", b"\x93NUMPY\x01\x00\xff\xff", "cut", "scaled", "longer", "double", "pickle"],
    ids=["empty", "text", "header only", "cut", "scaled", "longer", "double", "pickle"],
)
def test_a_broken_entry_counts_as_none_and_is_replaced(tmp_path, content, caplog):
    cache(tmp_path).write("rain", VECTOR)
    path = the_file(tmp_path)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        vectors = {"scaled": 2 * VECTOR, "longer": np.float32([1, 0, 0]), "double": np.float64([0.6, 0.8])}
        with path.open("wb") as stream:
            np.save(stream, vectors.get(content, np.array([{}, {}], dtype=object)), allow_pickle=True)
    again = cache(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert again.read("rain") is None
    assert "embedding the prompt again" in caplog.text
    again.write("rain", VECTOR)
    assert cache(tmp_path).read("rain").tolist() == VECTOR.tolist()


def test_without_a_directory_it_remembers():
    memory = cache(None)
    memory.write("rain", VECTOR)
    assert memory.read("rain") is VECTOR


def test_a_directory_that_cannot_be_written_is_said_once_and_does_no_harm(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    blocked = cache(tmp_path / "file" / "cache")
    with caplog.at_level(logging.WARNING):
        blocked.write("rain", VECTOR)
        blocked.write("snow", VECTOR)
    assert blocked.read("snow") is VECTOR
    assert caplog.text.count("cannot be written") == 1


def test_nothing_but_whole_files_is_left_behind(tmp_path):
    for text in ("rain", "snow", "rain"):
        cache(tmp_path).write(text, VECTOR)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npy", ".npy"]


def test_of_too_many_sentences_the_newest_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(text_cache, "MOST", 3)
    memory = cache(tmp_path)
    for age, text in enumerate(["rain", "snow", "hail", "fog", "sleet"]):
        memory.write(text, VECTOR)
        os.utime(memory._path(tmp_path, text), (1000 + age, 1000 + age))
    memory.trim()
    assert memory._known == {}
    kept = [text for text in ("rain", "snow", "hail", "fog", "sleet") if memory.read(text) is not None]
    assert kept == ["hail", "fog", "sleet"]
