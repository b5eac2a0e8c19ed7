"""Entities that went while Home Assistant was down: its registry, over a real broker."""

import json

import pytest

from monitor.config import LabelConfig, MqttConfig
from monitor.outputs.mqtt import discovery_sync, stale_entities
from monitor.outputs.mqtt.discovery_record import (
    DiscoveryRecord,
    read_discovery_record,
    write_discovery_record,
)
from monitor.outputs.mqtt.discovery_sync import DiscoverySync
from monitor.outputs.mqtt.stale_entities import newest, removal_messages, without
from monitor.outputs.mqtt.topics import Topics
from tests.support.broker import Subscriber, eventually
from tests.support.mqtt_publisher import CONFIG, LABELS, connected, make, wait_subscribed

TOPIC = "homeassistant/device/clap_monitor_attic/config"


class Registry:
    """Unique ids that Home Assistant knows, over its restarts; a context manager that is one of its lives.

    An entity goes only if Home Assistant has heard its description in this life, and then its platform
    alone or an empty description.
    """

    def __init__(self, broker):
        self._broker, self._before = broker, set()

    def __enter__(self):
        self._subscriber = Subscriber(self._broker, "homeassistant/#")
        self._subscriber.__enter__()
        self._subscriber.settle()
        self._subscriber._client.publish("homeassistant/status", "online", qos=1)
        return self

    def __exit__(self, *_):
        self._before = self.entities
        self._subscriber.__exit__()

    @property
    def entities(self):
        known, entities = {}, set(self._before)
        for message in self._subscriber.messages():
            if not message.topic.endswith("/config"):
                continue
            mine = {key for key in known if key[0] == message.topic}
            if message.text == discovery_sync.MIGRATE:
                known = {key: known[key] for key in known.keys() - mine}
                continue
            components = (
                json.loads(message.text)["cmps"] if message.text else dict.fromkeys(k for _, k in mine)
            )
            for key, component in components.items():
                if component and "unique_id" in component:
                    known[message.topic, key] = component["unique_id"]
                    entities.add(component["unique_id"])
                elif (message.topic, key) in known:
                    entities.discard(known.pop((message.topic, key)))
        return entities

    def with_word(self, word):
        return {unique_id for unique_id in self.entities if word in unique_id}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(discovery_sync, "SETTLE_SECONDS", 0.2)


def remembered(queue_file):
    return read_discovery_record(queue_file.with_name("announced.json"))


CHANGES = {
    "label": ({"labels": LABELS[:1]}, "_dog"),
    "source": ({"sources": ("mic0",)}, "_mic1_"),
    "commands": ({"commands": False}, "_THRESHOLD_"),
    "discovery": ({"discovery": False}, ""),
    "everything": ({"labels": LABELS[:1], "sources": ("mic2",)}, "_mic0_"),
}


@pytest.mark.broker
@pytest.mark.parametrize(("options", "word"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("runs", [True, False], ids=["running", "down"])
def test_a_removal_leaves_no_stale_entity_whether_home_assistant_runs_or_not(
    broker, queue_file, options, word, runs
):
    registry = Registry(broker)

    def forgotten():
        return not [topic for topic in broker.retained() if word and word.strip("_") in topic]

    both = {"sources": ("mic0", "mic1"), **options}
    with registry, connected(make(broker.port, queue_file=queue_file, sources=("mic0", "mic1"))):
        eventually(lambda: registry.with_word(word or "_mic1_"))
    if runs:
        with registry, connected(make(broker.port, queue_file=queue_file, **both)):
            eventually(lambda: not registry.with_word(word))
            eventually(forgotten)
    else:
        with connected(make(broker.port, queue_file=queue_file, **both)) as mqtt:
            eventually(lambda: not mqtt._session.delivery.unacknowledged)
        assert remembered(queue_file).stale
        with connected(make(broker.port, queue_file=queue_file, **both)) as mqtt:
            wait_subscribed(mqtt)
            with registry:
                eventually(lambda: not registry.with_word(word) and not remembered(queue_file).stale)
                eventually(forgotten)
                assert registry.with_word("") or "discovery" in options


@pytest.mark.broker
def test_a_label_added_again_before_home_assistant_starts_is_not_stale(broker, queue_file):
    registry = Registry(broker)
    with registry, connected(make(broker.port, queue_file=queue_file)):
        eventually(lambda: registry.with_word("_dog"))
    for labels in (LABELS[:1], LABELS):
        with connected(make(broker.port, queue_file=queue_file, labels=labels)):
            eventually(
                lambda labels=labels: ("dog" in broker.retained().get(CONFIG, "dog")) == (len(labels) == 2)
            )
    assert not remembered(queue_file).stale
    with registry, connected(make(broker.port, queue_file=queue_file)):
        registry._subscriber.settle()
        assert registry.with_word("_dog")


@pytest.mark.broker
def test_renaming_the_node_removes_the_old_entities(broker, queue_file):
    registry = Registry(broker)
    path = queue_file.with_name("announced.json")
    write_discovery_record(
        path, DiscoveryRecord(components={TOPIC: {"LATE": "binary_sensor", "ARMED": "switch"}})
    )
    registry._before = {"clap_monitor_attic_NODE_LATE", "clap_monitor_attic_NODE_ARMED"}
    with registry, connected(make(broker.port, queue_file=queue_file)):
        eventually(lambda: registry.with_word("_livingroom_") == registry.entities)


@pytest.mark.broker
def test_splitting_the_description_leaves_no_stale_entity_and_loses_none(broker, queue_file):
    small, large = LABELS, tuple(each.model_copy(update={"name": "ä" * 300}) for each in LABELS)
    sources = tuple(f"mic{number}" for number in range(22))
    registry = Registry(broker)
    with registry:
        with connected(make(broker.port, queue_file=queue_file, labels=small, sources=sources)):
            eventually(lambda: len(registry.entities) == 2 + 22 * (7 + 2 * 3))
            eventually(lambda: len(remembered(queue_file).components) > 0)
            before = registry.entities
        topics = [topic for topic in broker.retained() if "/device/" in topic]
        with connected(make(broker.port, queue_file=queue_file, labels=large, sources=sources)):
            eventually(lambda: len(remembered(queue_file).components) > len(topics))
            eventually(lambda: len([t for t in broker.retained() if "/device/" in t]) > len(topics))
            eventually(lambda: registry.entities == before)
        with connected(make(broker.port, queue_file=queue_file, labels=small[:1], sources=sources[:1])):
            eventually(lambda: len(registry.entities) == 2 + 7 + 3)
            eventually(lambda: len([t for t in broker.retained() if "/device/" in t]) == 1)


def test_each_stale_component_is_described_and_removed_in_its_own_messages():
    platforms = ("binary_sensor", "device_automation", "event", "number", "sensor", "switch")
    said = list(
        removal_messages({TOPIC: {platform.upper(): platform for platform in platforms}}, {"name": "x"})
    )
    assert len(said) == 2 * len(platforms)
    for (topic, full), (_, stub), platform in zip(said[::2], said[1::2], platforms, strict=True):
        assert topic == TOPIC
        ((key, component),) = full["cmps"].items()
        assert stub["cmps"] == {key: {"p": platform}}
        assert full["dev"] == stub["dev"] == {"ids": ["clap_monitor_attic"]}
        assert component.get("unique_id") in {f"clap_monitor_attic_NODE_{key}", None}
        assert ("cmd_t" in component) == (platform in {"number", "switch"})
        assert ("evt_typ" in component) == (platform == "event")


def test_a_component_moved_to_another_message_of_the_device_is_not_stale():
    part = TOPIC.replace("/config", "_PART_1/config")
    before = {TOPIC: {"LATE": "binary_sensor", "ARMED": "switch"}}
    assert without(before, {part: {"LATE": "binary_sensor"}}) == {TOPIC: {"ARMED": "switch"}}


def test_beyond_the_limit_the_newest_stale_components_are_kept(monkeypatch):
    monkeypatch.setattr(stale_entities, "MAX_STALE", 2)
    assert newest({"a": {"x": "event", "y": "event"}, "b": {"z": "event"}}) == {
        "a": {"y": "event"},
        "b": {"z": "event"},
    }


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", '{"announced": {"a/#": {}}, "retained": []}', '{"announced": {"x": {}}, "retained": []}',
     '{"announced": {}, "retained": ["+"]}', '{"announced": {}, "retained": [], "ghosts": 1}',
     '{"announced": {}, "retained": [], "types": {"mic0": "glass"}}', "\udcff", "[" * 100_000],
)  # fmt: skip
def test_a_damaged_record_is_one_line_of_the_log(tmp_path, caplog, content):
    path = tmp_path / "announced.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert read_discovery_record(path) == DiscoveryRecord()
    (record,) = caplog.records
    assert "announced.json: not readable" in record.getMessage()


def test_the_record_is_read_as_it_was_written(tmp_path):
    announced = DiscoveryRecord(
        {TOPIC: {"LATE": "binary_sensor"}}, frozenset({"a/b"}), {TOPIC: {"X": "event"}}, {"m": ["g"]}
    )
    write_discovery_record(tmp_path / "announced.json", announced)
    assert read_discovery_record(tmp_path / "announced.json") == announced
    old = {"announced": {TOPIC: {"LATE": "binary_sensor"}}, "retained": ["a/b"]}  # of earlier versions
    (tmp_path / "announced.json").write_text(json.dumps(old))
    assert read_discovery_record(tmp_path / "announced.json").components == announced.components


def test_labels_that_come_and_go_while_events_are_refused_stay_few_in_the_description(tmp_path):
    path = tmp_path / "announced.json"
    house = {"mic": LABELS}
    told = DiscoverySync(
        MqttConfig(host="x"), Topics("clap-monitor", "attic"), labels=house, model="m", path=path
    )
    for number in range(discovery_sync.MAX_RETIRED + 20):
        kettle = LabelConfig(id=f"kettle_{number}", prompts=("a kettle",))
        told.apply({"mic": [*LABELS, kettle]})
    told.apply(house)
    told.publish(lambda *_, **__: None)
    types = read_discovery_record(path).types["mic"]
    assert f"kettle_{number}" in types
    assert "kettle_0" not in types
    assert len(types) == len(LABELS) + discovery_sync.MAX_RETIRED
