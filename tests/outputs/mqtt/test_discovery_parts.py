"""A large house in messages of which none is too large for a broker."""

import json

import pytest

from monitor.config import LabelConfig
from monitor.outputs.mqtt.discovery import discovery_payload, platforms
from monitor.outputs.mqtt.discovery_parts import MAX_BYTES, device_of, part_topic, split_payload
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.payload import as_json

NODE = "n" * 32
TOPICS = Topics("b" * 200, NODE)
DEVICE = f"clap_monitor_{NODE}"


def labels(count, messages=300):
    return [
        LabelConfig(id=f"{number:03d}{'x' * 29}", name="ä" * messages, prompts=("a",))
        for number in range(count)
    ]


def divided(house, before=None):
    whole = discovery_payload(TOPICS, labels=house, model="m", page="http://p/")
    parts = split_payload(whole, "ha", DEVICE, before or {})
    assert {key: c for part in parts.values() for key, c in part["cmps"].items()} == whole["cmps"]
    assert sum(len(part["cmps"]) for part in parts.values()) == len(whole["cmps"])
    assert all(len(as_json(part).encode()) <= MAX_BYTES for part in parts.values())
    return parts


def placed(parts):
    return {topic: platforms(part) for topic, part in parts.items()}


def place(parts):
    return {key: topic for topic, keys in placed(parts).items() for key in keys}


def test_a_small_description_is_one_message():
    parts = divided({"mic0": labels(3)})
    assert list(parts) == [part_topic("ha", DEVICE, 0)] == [f"ha/device/{DEVICE}/config"]


@pytest.mark.parametrize("count", [40, 200])
def test_sixteen_sources_with_the_longest_names_are_messages_of_one_device(count):
    house = {f"{number:02d}{'y' * 30}": labels(count) for number in range(16)}
    parts = divided(house)
    assert len({json.dumps(part["dev"]) for part in parts.values()}) == 1
    assert len(parts) > 16
    assert {device_of(topic) for topic in parts} == {DEVICE}
    assert all(len(f"{topic}{as_json(part)}".encode()) < 100_000 for topic, part in parts.items())


def test_nothing_moves_when_labels_and_sources_change():
    before = divided({"mic0": labels(40), "mic1": labels(40)})
    after = divided({"mic0": labels(80)[20:], "mic2": labels(10)}, placed(before))
    stayed = place(before).keys() & place(after).keys()
    assert len(stayed) > 80
    assert {key: place(before)[key] for key in stayed} == {key: place(after)[key] for key in stayed}


def test_remaining_components_stay_where_they_are_and_empty_messages_are_removed():
    before = divided({"mic0": labels(200)})
    last = labels(200)[-1:]
    after = divided({"mic0": last}, placed(before))
    assert len(after) == 2 < len(before)


def test_only_components_without_room_move():
    before = divided({"mic0": labels(16, messages=1)})
    assert len(before) == 1
    after = divided({"mic0": labels(16)}, placed(before))
    assert len(after) > 1
    moved = {key for key, topic in place(after).items() if topic != place(before)[key]}
    assert 0 < len(moved) < len(place(before))


def test_a_message_of_another_prefix_or_device_does_not_count():
    before = placed(divided({"mic0": labels(2)}))
    other = {topic.replace("ha/", "x/"): keys for topic, keys in before.items()}
    assert list(divided({"mic0": labels(2)}, other)) == [part_topic("ha", DEVICE, 0)]


def test_a_component_that_is_too_large_even_alone_has_a_message_of_its_own():
    whole = discovery_payload(TOPICS, labels={"mic0": labels(3)}, model="m", page=None)
    whole["cmps"]["mic0_EVENTS"] |= {"evt_typ": [f"{number:032d}" for number in range(3000)]}
    parts = split_payload(whole, "ha", DEVICE, {})
    (large,) = (part for part in parts.values() if "mic0_EVENTS" in part["cmps"])
    assert list(large["cmps"]) == ["mic0_EVENTS"]
    assert sum(len(part["cmps"]) for part in parts.values()) == len(whole["cmps"])
