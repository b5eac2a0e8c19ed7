"""The settings of a fleet."""

import pytest

from monitor.config import Config, load, warnings
from monitor.types import ConfigError


def test_no_node_may_be_called_like_the_topic_of_all_nodes(tmp_path):
    (tmp_path / "c.yaml").write_text("node: fleet\n")
    with pytest.raises(
        ConfigError, match=r"c\.yaml:1: node: .*is the topic of what all monitors have in common"
    ):
        load(tmp_path / "c.yaml")


def test_to_follow_without_a_broker_is_warned_of(tmp_path):
    (tmp_path / "c.yaml").write_text("fleet: {follow: true}\n")
    found = warnings(load(tmp_path / "c.yaml"), window_seconds=5.0)
    assert "fleet.follow: needs mqtt.host; the configured labels hold" in found
    assert not [line for line in warnings(Config(), window_seconds=5.0) if line.startswith("fleet")]


@pytest.mark.parametrize("value", ["true", "false", "summary"])
def test_discovery_is_on_off_or_a_summary(value, tmp_path):
    (tmp_path / "c.yaml").write_text(f"mqtt: {{discovery: {value}}}\n")
    assert str(load(tmp_path / "c.yaml").mqtt.discovery).lower() == value


def test_another_discovery_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("mqtt: {discovery: some}\n")
    with pytest.raises(ConfigError, match=r"c\.yaml:1: mqtt\.discovery: .*true, false or summary$"):
        load(tmp_path / "c.yaml")
