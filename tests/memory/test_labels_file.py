"""Labels file: the labels and rules of a moment come back as they were, or not at all."""

import random

import pytest

from monitor.config import LabelConfig
from monitor.config.hours import parse_hours
from monitor.detection.rules import rule_of
from monitor.memory.labels_file import LabelsInForce, labels_path, read_labels, write_labels
from tests.support.damage import bytes_, json_file

LABELS = (
    LabelConfig(id="dog", prompts=("a dog barking", "Hundegebell ü"), threshold=0.37, cooldown_seconds=3.3),
    LabelConfig(id="smoke", prompts=("a smoke alarm",), against=("a kettle",), pattern="t3", enabled=False),
)
RULES = tuple(
    rule_of(label, rate=48_000, hop=12_000, quiet=(parse_hours("22:00-06:30"),)) for label in LABELS
)
CONTENT = LabelsInForce(
    labels=LABELS,
    background=("silence",),
    armed=False,
    rules={"room": RULES, "hall": ()},
    baselines={"room": {"dog": -1.2345678901234567, "smoke": 0.1}, "hall": {}},
)


@pytest.fixture
def path(tmp_path):
    path = labels_path(tmp_path, 1_760_000_000_000_000_000)
    write_labels(path, CONTENT)
    return path


def test_everything_comes_back_as_it_was(path):
    assert read_labels(path) == CONTENT
    assert path.name == "1760000000000000000.labels.json"
    assert path.stat().st_mode & 0o077 == 0


def test_a_file_that_has_gone_is_said(path, caplog):
    path.unlink()
    assert read_labels(path) is None
    assert f"{path}: cannot tell which labels were in force: No such file or directory" in caplog.text


def test_a_changed_number_is_noticed(path, caplog):
    path.write_text(path.read_text().replace("0.37", "0.31"))
    assert read_labels(path) is None
    assert "its checksum is wrong" in caplog.text


@pytest.mark.parametrize("size", [0, 1, 50, 400])
def test_half_a_file_is_not_read(path, size):
    path.write_bytes(path.read_bytes()[:size])
    assert read_labels(path) is None


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"checksum": 1, "content": []}', "[" * 100_000])
def test_other_documents_are_not_read(path, content):
    path.write_text(content)
    assert read_labels(path) is None


def test_odd_files_are_not_read(path):
    path.unlink()
    path.mkdir()
    assert read_labels(path) is None


def test_damage_of_any_kind_is_noticed(path):
    whole = path.read_bytes()
    for seed in range(600):
        chance = random.Random(seed)
        path.write_bytes(whole)
        if seed % 2:
            json_file(path, chance)
        else:
            path.write_bytes(bytes_(whole, chance))
        assert read_labels(path) in (None, CONTENT)


def test_flipped_bits_never_give_other_labels(path):
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert read_labels(path) in (None, CONTENT)


def test_a_disk_that_cannot_be_written_leaves_no_file(tmp_path):
    path = labels_path(tmp_path / "none", 5)
    with pytest.raises(FileNotFoundError):
        write_labels(path, CONTENT)
