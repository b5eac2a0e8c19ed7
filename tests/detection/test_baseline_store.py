from types import SimpleNamespace

import pytest

from monitor.detection.baseline_store import BaselineStore, read_baselines, write_baselines


def test_what_is_kept_comes_back(tmp_path):
    kept = {"crib": {"starter abc": -6.5}, "hall": {}}
    write_baselines(tmp_path, kept)
    assert read_baselines(tmp_path) == kept
    assert [path.name for path in tmp_path.iterdir()] == ["ambience.json"]


def test_nothing_is_kept_at_first(tmp_path):
    assert read_baselines(tmp_path) == {}


@pytest.mark.parametrize("content", ["", "[1]", '{"crib": 3}', '{"crib": {"a": "loud"}}'])
def test_a_broken_file_is_learnt_anew_and_said(tmp_path, caplog, content):
    (tmp_path / "ambience.json").write_text(content)
    assert read_baselines(tmp_path) == {}
    assert "starting without baselines" in caplog.text


def test_a_directory_that_is_gone_is_said(tmp_path, caplog):
    write_baselines(tmp_path / "none", {"crib": {}})
    assert "cannot be saved" in caplog.text


LABELS = ("dog", "door")
PROTOTYPES = SimpleNamespace(labels=LABELS, fingerprints=("d0", "d1"))


def test_what_a_room_gave_a_label_holds_while_its_sentences_and_the_model_do(tmp_path):
    store = BaselineStore(tmp_path, "starter")
    store.save(PROTOTYPES, {"crib": {"dog": -6.5, "door": -3.0}})
    changed = SimpleNamespace(labels=LABELS, fingerprints=("d0", "other sentences"))
    assert BaselineStore(tmp_path, "starter").read("crib", changed) == {"dog": -6.5}
    assert BaselineStore(tmp_path, "starter").read("hall", PROTOTYPES) == {}
    assert BaselineStore(tmp_path, "larger").read("crib", PROTOTYPES) == {}


def test_a_label_that_comes_back_finds_what_was_noted_when_it_went(tmp_path):
    store = BaselineStore(tmp_path, "starter")
    store.record("crib", PROTOTYPES, {"dog": -6.5, "door": -3.0})
    store.record("crib", SimpleNamespace(labels=("dog",), fingerprints=("d0",)), {"dog": -5.0})
    assert store.read("crib", PROTOTYPES) == {"dog": -5.0, "door": -3.0}
    assert not list(tmp_path.iterdir())


def test_without_a_live_source_nothing_is_written(tmp_path):
    BaselineStore(tmp_path, "starter").save(PROTOTYPES, {})
    assert not list(tmp_path.iterdir())
