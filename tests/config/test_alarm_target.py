"""Targets: desired rates of false alarms."""

import pytest

from monitor.config import Config, LabelConfig, MemoryConfig, changed_label, load, warnings
from monitor.config.alarm_target import parse_target, target_text
from monitor.types import ConfigError


@pytest.mark.parametrize(
    ("text", "per_hour"), [("0.5/day", 0.5 / 24), ("2 / week", 2 / 168), ("1/hour", 1.0), (" 12/day ", 0.5)]
)
def test_a_target_is_read_in_false_alarms_per_hour(text, per_hour):
    assert parse_target(text) == pytest.approx(per_hour)
    assert parse_target(target_text(text)) == parse_target(text)


@pytest.mark.parametrize(
    "text", ["", "0.5", "0.5 per day", "-1/day", "1/month", "0/day", "21/hour", "0.09/week"]
)
def test_what_is_no_target_is_refused(text):
    with pytest.raises(ValueError, match=r"write it like|goes from"):
        parse_target(text)


def test_a_label_has_a_threshold_or_a_target(tmp_path):
    path = tmp_path / "monitor.yaml"
    path.write_text("labels:\n  - {id: dog, prompts: [a dog], threshold: 0.6, target: 0.5/day}\n")
    with pytest.raises(ConfigError, match=r"labels\[0\]: has both threshold and target \(0.5/day\)"):
        load(path)
    path.write_text("labels:\n  - {id: dog, prompts: [a dog], target: 0.5 /day}\n")
    label = load(path).labels[0]
    assert (label.target, label.threshold) == ("0.5/day", 0.5)


def test_of_threshold_and_target_the_one_that_was_changed_last_holds():
    label = LabelConfig(id="dog", prompts=("a dog",), threshold=0.7)
    targeted = changed_label(label, {"target": "1/week"})
    assert (targeted.target, targeted.threshold) == ("1/week", 0.5)
    assert changed_label(targeted, {"threshold": 0.6}).target is None
    assert changed_label(targeted, {"name": "Rex"}).target == "1/week"


def test_a_target_without_memory_is_warned_about():
    label = LabelConfig(id="dog", prompts=("a dog barking",), target="1/week")
    assert warnings(Config(labels=(label,)), window_seconds=5.0) == []
    found = warnings(Config(labels=(label,), memory=MemoryConfig(enabled=False)), window_seconds=5.0)
    assert found == ["labels[0].target: needs memory.enabled; the default threshold applies"]
