"""Commands to a node, each taken or refused in one line."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config import LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt.commands import (
    MAX_CHARACTERS,
    Arm,
    PutLabel,
    RemoveLabel,
    SetThreshold,
    parse_command,
)
from monitor.outputs.mqtt.retained_settings import settings_payloads
from monitor.outputs.mqtt.topics import Topics
from monitor.types import ConfigError

TOPICS = Topics("home/sounds", "attic")
ARM, LABELS = "home/sounds/attic/armed/set", "home/sounds/attic/labels/set"
THRESHOLD = "home/sounds/attic/mic0/threshold/glass/set"

COMMANDS = [
    (ARM, "ON", Arm(True)),
    (ARM, "OFF", Arm(False)),
    (THRESHOLD, "0.75", SetThreshold("mic0", "glass", 0.75)),
    (THRESHOLD, "1", SetThreshold("mic0", "glass", 1.0)),
    (LABELS, '{"id":"x","prompts":["a"]}', PutLabel({"id": "x", "prompts": ["a"]})),
    (LABELS, '{"id":"x","remove":false}', PutLabel({"id": "x"})),
    (LABELS, '{"id":"x","remove":true}', RemoveLabel("x")),
]


@pytest.mark.parametrize(("topic", "text", "command"), COMMANDS, ids=[text for _, text, _ in COMMANDS])
def test_a_command_is_parsed(topic, text, command):
    assert parse_command(TOPICS, topic, text) == command


REFUSED = [
    (ARM, "on", '"on" is neither ON nor OFF'),
    (ARM, "", '"" is neither ON nor OFF'),
    (ARM, "ON\x00", '"ON?" is neither ON nor OFF'),
    (THRESHOLD, "high", '"high" is not a number'),
    (THRESHOLD, "nan", '"nan" is not a number'),
    (THRESHOLD, "1e999", '"1e999" is not a number'),
    (THRESHOLD, "0." + "1" * 100, "is not a number"),
    (THRESHOLD, "", '"" is not a number'),
    (LABELS, "kettle", '"kettle" is not JSON'),
    (LABELS, "[1]", '"[1]" is not a label such as'),
    (LABELS, "[" * 30_000, "is not JSON"),
    (LABELS, '{"x":' * 80 + "1" + "}" * 80, "is nested more than 64 levels deep"),
    (LABELS, '{"\\ud800": ""}', "half of a surrogate pair"),
    (LABELS, '{"id":"x","prompts":["\\udc00"]}', "half of a surrogate pair"),
    (LABELS, '{"id":"x","threshold":NaN}', "holds NaN"),
    (LABELS, '{"id":"x","threshold":1e999}', "a number that is too large"),
    (LABELS, '{"id":"x","threshold":' + "9" * 5000 + "}", "an integer of more than 64 bits"),
    (LABELS, '{"id":"x","threshold":0.1,"threshold":0.9}', "holds a key twice"),
    (LABELS, "{" + ",".join(f'"k{number}":0' for number in range(200)) + "}", "more keys or prompts"),
    (LABELS, '{"id":"x","prompts":[' + "[]," * 9000 + "[]]}", "more keys or prompts"),
    ("home/sounds/attic/mic0/threshold/" + "x" * 33 + "/set", "0.5", "is not a command topic"),
    ("home/sounds/attic/" + "x" * 60_000 + "/threshold/glass/set", "0.5", "is not a command topic"),
    (LABELS, '{"id":"x","remove":1}', "is not a removal such as"),
    (LABELS, '{"id":["x"],"remove":true}', "is not a removal such as"),
    (LABELS, '{"id":"x","remove":true,"prompts":[]}', "is not a removal such as"),
    (LABELS, "x" * (MAX_CHARACTERS + 1), "is longer than"),
    ("home/sounds/attic/threshold/glass/set", "0.5", "is not a command topic"),
    ("other", "ON", "is not a command topic"),
]


@pytest.mark.parametrize(("topic", "text", "why"), REFUSED, ids=range(len(REFUSED)))
def test_an_invalid_command_is_refused_in_one_short_line(topic, text, why):
    with pytest.raises(ConfigError) as caught:
        parse_command(TOPICS, topic, text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([ARM, THRESHOLD, LABELS, "home/sounds/attic/x"]), st.binary(max_size=200))
def test_random_bytes_are_at_worst_refused(topic, content):
    text = content.decode(errors="replace")
    try:
        command = parse_command(TOPICS, topic, text)
    except ConfigError as error:
        command = str(error)
        assert command.isprintable()
    assert isinstance(command, Arm | SetThreshold | PutLabel | RemoveLabel | str)


def test_each_setting_has_a_topic():
    glass = LabelConfig(id="glass", prompts=("glass",), threshold=0.6)
    off = LabelConfig(id="dog", name="Our dog", prompts=("a dog",), enabled=False)
    said = settings_payloads(TOPICS, ActiveLabels((glass, off), ("mic0", "mic1"), armed=False))
    assert set(said) == {
        "home/sounds/attic/armed/state",
        "home/sounds/attic/labels",
        "home/sounds/attic/mic0/threshold/glass",
        "home/sounds/attic/mic1/threshold/glass",
    }
    assert said["home/sounds/attic/armed/state"] == "OFF"
    assert said["home/sounds/attic/mic1/threshold/glass"] == "0.6"
    assert json.loads(said["home/sounds/attic/labels"])[1] == {
        "id": "dog", "name": "Our dog", "enabled": False, "threshold": 0.5, "prompts": ["a dog"],
        "against": [],
    }  # fmt: skip


def test_command_filters_cover_every_command_topic():
    assert TOPICS.command_filters() == (ARM, "home/sounds/attic/+/threshold/+/set", LABELS)
