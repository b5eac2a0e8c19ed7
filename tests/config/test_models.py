"""Models, example and schema say the same."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from monitor.config import Config, LabelConfig, MqttConfig, SourceConfig, example, json_schema, load

COPY = Path(__file__).parents[2] / "config" / "monitor.yaml"


def properties(schema):
    """Section, key and description of everything that can stand in the file."""
    for name, section in {"": schema, **schema["$defs"]}.items():
        for key, each in section.get("properties", {}).items():
            yield name, key, each.get("description") or described_by(schema, each)


def described_by(schema, each):
    """What a section says of itself; pydantic does not repeat it at the key."""
    return schema["$defs"][each["$ref"].rpartition("/")[2]]["description"] if "$ref" in each else None


def uncommented(text):
    """The example with every key set that is unset by default, but second ways of secrets and thresholds."""
    return re.sub(
        r"^( *)#(?=[a-z_]+:(?: |$)|- )(?!password_env|url_env|token_env|listen_token_env|target)",
        r"\1",
        text,
        flags=re.MULTILINE,
    )


def test_the_example_equals_the_defaults():
    assert load(COPY) == Config()


def test_the_packaged_example_is_the_configuration_of_the_repository():
    assert COPY.read_bytes() == example().encode()


def test_the_example_shows_every_key():
    shown = set(re.findall(r"^[ #-]*([a-z_]+):", example(), flags=re.MULTILINE))
    known = {key for _, key, _ in properties(json_schema())}
    assert shown == known


def test_every_key_that_the_example_leaves_unset_can_be_set(tmp_path):
    path = tmp_path / "monitor.yaml"
    path.write_text(uncommented(example()).replace("tls: false", "tls: true"))
    config = load(path)
    assert [source.kind for source in config.sources] == ["microphone", "stream", "file", "pcm"]
    assert (config.mqtt.host, config.labels[0].name, config.window.seconds) == (
        "broker.local",
        "Crying baby",
        5,
    )


def test_the_schema_describes_every_key():
    missing = [(section, key) for section, key, words in properties(json_schema()) if not words]
    assert missing == []


def test_the_schema_is_of_the_draft_it_names_and_forbids_unknown_keys():
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert all(section["additionalProperties"] is False for section in [schema, *schema["$defs"].values()])


def test_a_title_is_made_from_the_identifier():
    assert LabelConfig(id="baby_cry", prompts=("x",)).title == "Baby cry"
    assert LabelConfig(id="baby_cry", prompts=("x",), name="Lea").title == "Lea"


@pytest.mark.parametrize(
    ("threshold", "release", "expected"),
    [(0.5, None, 0.35), (0.1, None, 0.07), (0.5, 0.5, 0.5), (0.6, None, 0.45)],
)
def test_an_event_is_released_a_little_below_its_threshold(threshold, release, expected):
    label = LabelConfig(id="a", prompts=("x",), threshold=threshold, release_threshold=release)
    assert label.release == expected


def test_a_configuration_never_changes():
    config = Config()
    with pytest.raises(ValidationError):
        config.node = "attic"
    assert hash(config) == hash(Config())


def test_a_value_stays_out_of_the_text_of_an_error():
    with pytest.raises(ValidationError) as caught:
        MqttConfig(host="me:hunter2@broker")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["broker", "broker.local", "192.168.1.2", "::1", "fe80::1"])
def test_a_broker_has_a_name_or_an_address(host):
    assert MqttConfig(host=host).host == host


@pytest.mark.parametrize(
    "keys",
    [
        {"kind": "microphone", "device": 0, "rate": 44100, "channel": 2},
        {
            "kind": "stream",
            "url": "rtsps://camera/1",
            "transport": "udp",
            "username": "me",
            "password_env": "X",
            "ca_file": "a.pem",
            "tls_verify": False,
            "channel": 1,
        },
        {"kind": "file", "path": "a.wav", "pace": "fast", "channel": 1},
        {"kind": "pcm", "rate": 8000, "format": "u8", "channels": 2, "channel": 2},
    ],
)
def test_a_source_takes_every_key_of_its_kind(keys):
    source = SourceConfig.model_validate({"name": "a", **keys})
    assert source.model_fields_set == {"name", *keys}
    assert SourceConfig.model_validate(source.model_dump(exclude_unset=True)) == source


@pytest.mark.parametrize(
    ("value", "version"), [(5, "5"), ("5", "5"), (5.0, "5"), ("3.1.1", "3.1.1"), ("auto", "auto")]
)
def test_a_version_of_mqtt_may_look_like_a_number(value, version):
    assert MqttConfig(protocol=value).protocol == version


@pytest.mark.parametrize("value", [4, 3.1, True, None, "MQTT 5", [5]])
def test_another_version_of_mqtt_is_refused(value):
    with pytest.raises(ValueError, match="protocol"):
        MqttConfig(protocol=value)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"memory": {"enabled": False}}, "enabled needs memory.enabled"),
        ({"labels": [{"id": "unusual", "prompts": ["x"]}]}, 'there is a label "unusual"'),
        ({"unusual": {"enabled": True, "sources": ["attic"]}}, '"attic" is not a source'),
    ],
)
def test_unusual_sounds_need_a_memory_sources_that_exist_and_their_name(keys, words):
    with pytest.raises(ValidationError, match=words):
        Config.model_validate({"unusual": {"enabled": True}} | keys)
    Config.model_validate({**keys, "unusual": {"enabled": False}})


def test_alerts_may_be_of_unusual_sounds_where_they_are_reported():
    keys = {"notify": [{"name": "phone", "url_env": "URL", "labels": ["unusual"]}]}
    Config.model_validate({"unusual": {"enabled": True}} | keys)
    with pytest.raises(ValidationError, match='"unusual" is not the id of a label'):
        Config.model_validate(keys)
