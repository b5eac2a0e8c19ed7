"""Labels that go while their events are still on their way: Home Assistant ignores types it does not know."""

import json

import pytest

from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt import late_events
from tests.support.broker import Subscriber, eventually, free_port
from tests.support.events import ended
from tests.support.mqtt_publisher import CONFIG, LABELS, MIC, connected, make, run_to_the_end, started

pytestmark = pytest.mark.broker

GLASS, DOG = LABELS


def ignored(subscriber):
    """Events whose type the description before them did not have, as Home Assistant would find it."""
    types, found = [], []
    for message in subscriber.messages():
        if message.topic == CONFIG and "mic0_EVENTS" in (components := json.loads(message.text)["cmps"]):
            types = components["mic0_EVENTS"].get("evt_typ", [])
        elif message.topic == f"{MIC}/event" and json.loads(message.text)["event_type"] not in types:
            found.append(message.text)
    return found


def types_at(broker):
    return json.loads(broker.retained()[CONFIG])["cmps"]["mic0_EVENTS"]["evt_typ"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_end_of_an_event_of_a_removed_label_precedes_the_description_without_it(broker, queue_file, qos):
    with (
        Subscriber(broker) as subscriber,
        connected(make(broker.port, queue_file=queue_file, qos=qos)) as mqtt,
    ):
        mqtt.put(started(1, label="dog"))
        subscriber.wait_for(f"{MIC}/event")
        mqtt.put(ended(started(1, label="dog")))
        mqtt.set_labels(ActiveLabels((GLASS,), ("mic0",)))
        subscriber.wait_for(f"{MIC}/event", count=2)
        eventually(lambda: types_at(broker) == ["glass"])
        assert "mic0_SOUND_dog" not in json.loads(broker.retained()[CONFIG])["cmps"]
        assert ignored(subscriber) == []


def test_events_of_a_removed_label_that_wait_for_the_broker_precede_it_too(broker, queue_file, monkeypatch):
    monkeypatch.setattr(late_events, "HOLD_SECONDS", 1.0)
    with connected(make(broker.port, queue_file=queue_file)) as mqtt:
        broker.kill()
        eventually(lambda: not mqtt.status.connected)
        mqtt.put(started(1, label="dog"))
        mqtt.put(ended(started(1, label="dog")))
        mqtt.set_labels(ActiveLabels((GLASS,), ("mic0",)))
        broker.start()
        with Subscriber(broker) as subscriber:
            subscriber.wait_for(f"{MIC}/event", count=2)
            eventually(lambda: types_at(broker) == ["glass"])
            assert ignored(subscriber) == []


def test_events_of_an_earlier_run_with_the_removed_label_precede_it_too(broker, queue_file, monkeypatch):
    monkeypatch.setattr(late_events, "HOLD_SECONDS", 1.0)
    with connected(make(broker.port, queue_file=queue_file)):
        eventually(lambda: CONFIG in broker.retained())
    without_broker = make(free_port(), queue_file=queue_file)
    without_broker.put(started(1, label="dog"))
    run_to_the_end(without_broker)
    with (
        Subscriber(broker) as subscriber,
        connected(make(broker.port, queue_file=queue_file, labels=(GLASS,))),
    ):
        subscriber.wait_for(f"{MIC}/event", count=2)
        eventually(lambda: types_at(broker) == ["glass"])
        assert ignored(subscriber) == []


def test_without_waiting_events_a_removed_label_is_not_described(broker, queue_file):
    with connected(make(broker.port, queue_file=queue_file)):
        eventually(lambda: CONFIG in broker.retained())
    with Subscriber(broker, CONFIG) as subscriber:
        subscriber.wait_for(CONFIG)
        with connected(make(broker.port, queue_file=queue_file, labels=(GLASS,))):
            eventually(lambda: types_at(broker) == ["glass"])

            def types():
                described = [json.loads(message.text)["cmps"] for message in subscriber.messages(CONFIG)[1:]]
                events = [each["mic0_EVENTS"] for each in described if "mic0_EVENTS" in each]
                return [each["evt_typ"] for each in events if "evt_typ" in each]

            eventually(types)
            assert not [each for each in types() if each != ["glass"]]
