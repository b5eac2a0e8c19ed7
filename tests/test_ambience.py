import pytest

from monitor.ambience import read_ambiences, write_ambiences


def test_what_is_kept_comes_back(tmp_path):
    kept = {"crib": {"starter abc": -6.5}, "hall": {}}
    write_ambiences(tmp_path, kept)
    assert read_ambiences(tmp_path) == kept
    assert [path.name for path in tmp_path.iterdir()] == ["ambience.json"]


def test_nothing_is_kept_at_first(tmp_path):
    assert read_ambiences(tmp_path) == {}


@pytest.mark.parametrize("content", ["", "[1]", '{"crib": 3}', '{"crib": {"a": "loud"}}'])
def test_a_broken_file_is_learnt_anew_and_said(tmp_path, caplog, content):
    (tmp_path / "ambience.json").write_text(content)
    assert read_ambiences(tmp_path) == {}
    assert "learnt anew" in caplog.text


def test_a_directory_that_is_gone_is_said(tmp_path, caplog):
    write_ambiences(tmp_path / "none", {"crib": {}})
    assert "cannot be kept" in caplog.text
