"""Late events wait until Home Assistant is back; live ones do not, and nothing is lost or sent twice."""

import json

import pytest

from monitor.outputs.mqtt import late_events
from tests.support.broker import Subscriber, eventually, free_port
from tests.support.events import ended
from tests.support.mqtt_publisher import (
    GLASS,
    MIC,
    connected,
    make,
    phases,
    run_to_the_end,
    running,
    started,
    wait_subscribed,
)

pytestmark = pytest.mark.broker


@pytest.fixture
def for_ever(monkeypatch):
    """Only a birth ends the wait."""
    monkeypatch.setattr(late_events, "HOLD_SECONDS", 10_000.0)
    monkeypatch.setattr(late_events, "BIRTH_SECONDS", 0.2)


def is_born(subscriber):
    subscriber._client.publish("homeassistant/status", "online", qos=1)


def restarted_with_late_events(mqtt, broker, *events):
    """Let events happen while the broker is away."""
    wait_subscribed(mqtt)
    broker.kill()
    eventually(lambda: not mqtt.status.connected)
    for event in events:
        mqtt.put(event)
    broker.start()
    wait_subscribed(mqtt)


@pytest.mark.usefixtures("for_ever")
def test_late_events_wait_for_the_birth_and_live_events_do_not(broker, queue_file):
    with connected(make(broker.port, queue_file=queue_file)) as mqtt:
        restarted_with_late_events(mqtt, broker, started(1), ended(started(1)))
        with Subscriber(broker) as subscriber:
            mqtt.put(started(2))
            subscriber.wait_for(f"{MIC}/event")
            subscriber.wait_for(f"{GLASS}/trigger")
            eventually(lambda: mqtt.status.waiting == 2)
            subscriber.settle()
            assert phases(subscriber) == [("2", "start")]
            is_born(subscriber)
            subscriber.wait_for(f"{MIC}/event", count=3)
            eventually(lambda: mqtt.status.waiting == 0)
            subscriber.settle()
            assert phases(subscriber) == [("2", "start"), ("1", "start"), ("1", "end")]
            assert broker.retained()[f"{GLASS}/state"] == "ON"
            assert not json.loads(subscriber.texts(f"{MIC}/event")[0])["late"]


@pytest.mark.usefixtures("for_ever")
def test_the_end_of_an_event_whose_start_waits_comes_after_it_and_its_state_at_once(broker, queue_file):
    with connected(make(broker.port, queue_file=queue_file)) as mqtt:
        restarted_with_late_events(mqtt, broker, started(1), started(2, label="dog"))
        with Subscriber(broker) as subscriber:
            subscriber.wait_for(f"{GLASS}/state", "ON")
            mqtt.put(ended(started(1)))
            subscriber.wait_for(f"{GLASS}/state", "OFF")
            mqtt.put(started(3))
            subscriber.wait_for(f"{GLASS}/state", "ON")
            assert phases(subscriber) == [("3", "start")]
            is_born(subscriber)
            subscriber.wait_for(f"{MIC}/event", count=4)
            subscriber.settle()
            assert phases(subscriber) == [("3", "start"), ("1", "start"), ("2", "start"), ("1", "end")]
            assert broker.retained()[f"{GLASS}/state"] == "ON"


def test_without_a_birth_the_hold_ends_by_itself(broker, queue_file, monkeypatch):
    monkeypatch.setattr(late_events, "HOLD_SECONDS", 1.0)
    with connected(make(broker.port, queue_file=queue_file)) as mqtt:
        restarted_with_late_events(mqtt, broker, started(1))
        eventually(lambda: mqtt.status.waiting == 0)


@pytest.mark.usefixtures("for_ever")
@pytest.mark.parametrize("options", [{"discovery": False}, {"discovery_prefix": "ha"}], ids=["off", "prefix"])
def test_without_home_assistant_late_events_are_not_held(broker, queue_file, options):
    with connected(make(broker.port, queue_file=queue_file, **options)) as mqtt:
        restarted_with_late_events(mqtt, broker, started(1))
        with Subscriber(broker) as subscriber:
            if "discovery_prefix" in options:
                subscriber._client.publish("ha/status", "online", qos=1)
            eventually(lambda: mqtt.status.waiting == 0)


@pytest.mark.usefixtures("for_ever")
def test_a_monitor_that_stops_meanwhile_keeps_late_events_for_the_next_run(broker, queue_file):
    with Subscriber(broker) as subscriber:
        before = make(free_port(), queue_file=queue_file)
        before.put(started(1))
        before.put(ended(started(1)))
        run_to_the_end(before)
        with connected(make(broker.port, queue_file=queue_file)) as mqtt:
            subscriber.wait_for(f"{GLASS}/state", "OFF")
        assert (mqtt.status.waiting, mqtt.status.published) == (2, 0)
        assert "Home Assistant has not come back" in mqtt.status.trouble
        with connected(make(broker.port, queue_file=queue_file)) as mqtt:
            wait_subscribed(mqtt)
            is_born(subscriber)
            eventually(lambda: mqtt.status.waiting == 0)
        run_to_the_end(make(broker.port, queue_file=queue_file))
        subscriber.settle()
        assert phases(subscriber) == [("1", "start"), ("1", "end")]


@pytest.mark.usefixtures("for_ever")
def test_late_events_in_memory_only_are_sent_when_the_monitor_stops(broker):
    with connected(make(broker.port)) as mqtt:
        restarted_with_late_events(mqtt, broker, started(1))
    assert (mqtt.status.waiting, mqtt.status.published) == (0, 1)


@pytest.mark.usefixtures("for_ever")
def test_a_broker_that_stops_again_meanwhile_loses_and_repeats_nothing(broker, queue_file):
    with connected(make(broker.port, queue_file=queue_file)) as mqtt:
        restarted_with_late_events(mqtt, broker, started(1))
        restarted_with_late_events(mqtt, broker, ended(started(1)), started(2))
        with Subscriber(broker) as subscriber:
            is_born(subscriber)
            eventually(lambda: mqtt.status.waiting == 0)
            subscriber.settle()
            assert phases(subscriber) == [("1", "start"), ("1", "end"), ("2", "start")]


@pytest.mark.usefixtures("for_ever")
def test_a_recording_replayed_at_the_start_is_not_held(broker, queue_file):
    mqtt = make(broker.port, queue_file=queue_file)
    with running(mqtt):
        mqtt.put(started(1))
        mqtt.put(ended(started(1)))
    assert (mqtt.status.waiting, mqtt.status.published) == (0, 2)
