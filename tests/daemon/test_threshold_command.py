"""Thresholds at the control socket, and for the next start."""

import pytest

from monitor.config import Config, LabelConfig, SourceConfig
from monitor.daemon.threshold_command import apply_now, threshold_answers, undo_now
from monitor.detection.active_labels import restore_settings
from monitor.types import ConfigError, OutputError
from tests.support.engines import control_of
from tests.support.web_server import Engine

DOG = LabelConfig(id="dog", prompts=("a dog barking",), threshold=0.6)
HALL = SourceConfig(name="hall", kind="microphone")


def test_a_running_monitor_applies_thresholds_and_takes_them_back():
    control = control_of(Config(sources=(HALL,), labels=(DOG,)), Engine().embed_text)
    answer = threshold_answers(control)["thresholds"]
    assert list(answer({"apply": {"hall": {"dog": 0.8}}})) == [{"saved": True}]
    assert control.active_labels.label("hall", "dog").threshold == 0.8
    assert list(answer({"undo": True})) == [{"saved": True}]
    assert control.active_labels.label("hall", "dog").threshold == 0.6


@pytest.mark.parametrize(
    "request_",
    [{}, {"apply": 3}, {"apply": {"hall": 0.5}}, {"apply": {"hall": {"dog": "loud"}}}, {"undo": True}],
)
def test_a_request_that_makes_no_sense_is_refused(request_):
    control = control_of(Config(sources=(HALL,), labels=(DOG,)), Engine().embed_text)
    with pytest.raises(ConfigError):
        list(threshold_answers(control)["thresholds"](request_))
    assert control.active_labels.label("hall", "dog").threshold == 0.6


def test_without_a_running_monitor_the_next_start_has_them(tmp_path):
    config = Config(sources=(HALL,), labels=(DOG,), state=tmp_path / "state")
    config.state.mkdir()
    assert not apply_now(config, {"hall": {"dog": 0.8}})
    assert restore_settings(config, config.state).active_labels.label("hall", "dog").threshold == 0.8
    assert not undo_now(config)
    assert restore_settings(config, config.state).active_labels.label("hall", "dog").threshold == 0.6


def test_a_state_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "state").write_text("")
    config = Config(sources=(HALL,), labels=(DOG,), state=tmp_path / "state")
    with pytest.raises(OutputError, match="cannot be written"):
        apply_now(config, {"hall": {"dog": 0.8}})
