import json
import logging
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from monitor.config import LabelConfig, MqttConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.live.listening import Listen
from monitor.outputs.mqtt.broker_setup import PublisherOptions
from monitor.outputs.mqtt.event_sender import IN_MEMORY, LATE_SECONDS
from monitor.outputs.mqtt.publisher import MqttPublisher
from tests.support.broker import PATIENCE, Broker, Subscriber, eventually, free_port
from tests.support.events import ended
from tests.support.mqtt_publisher import (
    CONFIG,
    GLASS,
    LABELS,
    MIC,
    NODE,
    STATUS,
    connected,
    held_off,
    make,
    phases,
    run_to_the_end,
    running,
    started,
)

LISTEN = Listen("01M8PYBNHXK7Y8NWBH4J582J65", "mic0", "192.168.1.7", 1795435203.4)

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("no_home_assistant_is_waited_for")]


@pytest.fixture
def subscriber(broker):
    with Subscriber(broker) as subscriber:
        yield subscriber


def test_at_start_everything_is_published_and_retained(broker, subscriber):
    with connected(make(broker.port)):
        assert subscriber.wait_for(STATUS) == ["online"]
        retained = broker.retained()
        assert retained.pop(CONFIG)
        assert [label["id"] for label in json.loads(retained.pop(f"{NODE}/labels"))] == ["glass", "dog"]
        assert retained == {
            f"{NODE}/health": '{"late":false}',
            f"{MIC}/health": '{"offline":false,"offline_reason":null,"offline_text":null,'
            '"overloaded":false,"dropped_seconds":0.0}',
            STATUS: "online",
            f"{MIC}/status": "offline",  # nothing has been heard yet
            f"{MIC}/listeners": "0",
            f"{GLASS}/state": "OFF",
            f"{GLASS}/attributes": "{}",
            f"{MIC}/event/dog/state": "OFF",
            f"{MIC}/event/dog/attributes": "{}",
            f"{NODE}/armed/state": "ON",
            f"{MIC}/threshold/glass": "0.6",
            f"{MIC}/threshold/dog": "0.5",
        }
        assert {message.qos for message in subscriber.messages()} == {1}


def test_the_states_are_published_before_the_node_is_online(broker, subscriber):
    with connected(make(broker.port)):
        subscriber.wait_for(STATUS)
        assert subscriber.messages()[-1].topic == STATUS


def test_an_event_is_published_when_it_starts_and_when_it_ends(broker, subscriber):
    before = time.time()
    with connected(make(broker.port)) as mqtt:
        subscriber.wait_for(STATUS)
        mqtt.put(started(at=before))
        subscriber.wait_for(f"{GLASS}/state", "OFF", "ON")
        mqtt.put(ended(started(at=before), 5.0))
        subscriber.wait_for(f"{GLASS}/state", "ON", "OFF")
        eventually(lambda: mqtt.status.published == 2)
        start, end = map(json.loads, subscriber.wait_for(f"{MIC}/event", count=2))
        assert (start["phase"], start["label_name"], start["score"], start["late"]) == (
            "start",
            "Glass breaking",
            0.83,
            False,
        )
        assert (end["phase"], end["duration_seconds"], end["reason"]) == ("end", 5.0, "quiet")
        assert not end["late"]
        assert start["event_id"] == end["event_id"]
        assert before <= start["published_at"] <= time.time()
        assert (start["node"], start["source"], start["model"]) == ("livingroom", "mic0", "starter")
        assert (mqtt.status.waiting, mqtt.status.dropped, mqtt.status.trouble) == (0, 0, None)


def test_latency_is_observed_once_for_each_event(broker):
    with running(make(broker.port)) as mqtt:
        event = started(1, at=time.time() - 1.0)
        mqtt.put(event)
        mqtt.put(ended(event))
        mqtt.put(started(2, label="dog", at=time.time() + 3600))  # of a recording that is replayed fast
        eventually(lambda: mqtt.status.published == 3)
    assert mqtt.latency.count == 1
    assert mqtt.latency.total >= 1.0


def test_events_and_levels_are_not_retained_but_states_are(broker, subscriber):
    with connected(make(broker.port)) as mqtt:
        mqtt.put(started())
        subscriber.wait_for(f"{GLASS}/state", "ON")
        subscriber.wait_for(STATUS)  # levels from before the connection are not sent
        mqtt.set_level("mic0", -41.23)
        subscriber.wait_for(f"{MIC}/level")
        retained = broker.retained()
        assert retained[f"{GLASS}/state"] == "ON"
        assert json.loads(retained[f"{GLASS}/attributes"])["event_id"] == started().id
        assert f"{MIC}/event" not in retained
        assert f"{MIC}/level" not in retained


def test_an_event_that_ends_at_once_still_goes_on_and_off(broker, subscriber):
    with connected(make(broker.port)) as mqtt:
        subscriber.wait_for(STATUS)
        for number in range(3):
            mqtt.put(started(number))
            mqtt.put(ended(started(number)))
        states = subscriber.wait_for(f"{GLASS}/state", count=7)
        assert states == ["OFF", "ON", "OFF", "ON", "OFF", "ON", "OFF"]
        assert phases(subscriber) == [(n, phase) for n in "012" for phase in ("start", "end")]


def test_how_many_listen_is_retained_until_the_end(broker, subscriber):
    with connected(make(broker.port)) as mqtt:
        subscriber.wait_for(f"{MIC}/listeners", "0")
        mqtt.on_listen(LISTEN, 1)
        subscriber.wait_for(f"{MIC}/listeners", "0", "1")
        assert broker.retained()[f"{MIC}/listeners"] == "1"
        mqtt.on_listen(LISTEN, 0)
        subscriber.wait_for(f"{MIC}/listeners", "0", "1", "0")
        mqtt.on_listen(LISTEN, 2)
        subscriber.wait_for(f"{MIC}/listeners", "0", "1", "0", "2")
    assert broker.retained()[f"{MIC}/listeners"] == "0"


def test_a_source_that_stops_delivering_is_offline(broker, subscriber):
    with connected(make(broker.port, sources=("mic0", "mic1"))) as mqtt:
        subscriber.wait_for(STATUS)  # now both are offline, and that is published
        mqtt.set_online("mic0", online=True)
        mqtt.set_online("mic1", online=True)
        subscriber.wait_for(f"{MIC}/status", "offline", "online")
        mqtt.set_online("mic0", online=True)
        mqtt.set_online("mic0", online=False)
        subscriber.wait_for(f"{MIC}/status", "offline", "online", "offline")
        subscriber.wait_for(f"{NODE}/mic1/status", "offline", "online")
        retained = broker.retained()
        assert (retained[f"{MIC}/status"], retained[f"{NODE}/mic1/status"]) == ("offline", "online")


def test_only_the_newest_level_of_each_second_is_sent(broker, subscriber):
    with connected(make(broker.port)) as mqtt:
        subscriber.wait_for(STATUS)  # levels from before the connection are not sent
        began = time.monotonic()
        mqtt.set_level("mic0", -30.0)
        subscriber.wait_for(f"{MIC}/level", '{"level_dbfs":-30.0}')
        for dbfs in (*range(-31, -91, -1), float("-inf")):
            mqtt.set_level("mic0", dbfs)
        texts = subscriber.wait_for(f"{MIC}/level", '{"level_dbfs":null}')
        assert len(texts) <= 1 + time.monotonic() - began  # two, but on a machine that is very busy
        assert {message.qos for message in subscriber.messages(f"{MIC}/level")} == {0}


def test_a_clean_shutdown_leaves_nothing_on(broker, subscriber):
    with connected(make(broker.port)) as mqtt:
        mqtt.set_online("mic0", online=True)
        mqtt.put(started())
        subscriber.wait_for(f"{GLASS}/state", "ON")
    assert (mqtt.status.connected, mqtt.status.waiting) == (False, 0)
    retained = broker.retained()
    assert retained[STATUS] == retained[f"{MIC}/status"] == "offline"
    assert retained[f"{GLASS}/state"] == "OFF"
    subscriber.settle()
    assert subscriber.messages()[-1].topic == STATUS
    assert subscriber.texts(STATUS) == ["online", "offline"]  # once: the last will is not sent


def test_events_put_just_before_shutdown_are_delivered(broker, subscriber):
    mqtt = make(broker.port)
    for number in range(3):
        mqtt.put(started(number))
    run_to_the_end(mqtt)
    subscriber.settle()
    assert phases(subscriber) == [("0", "start"), ("1", "start"), ("2", "start")]
    assert (mqtt.status.published, mqtt.status.waiting) == (3, 0)


def test_the_last_will_reports_a_crash_and_the_next_start_clears_it(broker, subscriber):
    program = f"""
import time
from tests.support.mqtt_publisher import connected, make, started
with connected(make({broker.port})) as mqtt:
    mqtt.set_online("mic0", online=True)
    mqtt.put(started())
    time.sleep(1000)
"""
    child = subprocess.Popen([sys.executable, "-c", program])
    try:
        subscriber.wait_for(f"{GLASS}/state", "ON")
        assert subscriber.wait_for(STATUS) == ["online"]
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE)
    subscriber.wait_for(STATUS, "online", "offline")
    assert broker.retained()[f"{GLASS}/state"] == "ON"
    with connected(make(broker.port)):
        subscriber.wait_for(STATUS, "offline", "online")
        assert broker.retained()[f"{GLASS}/state"] == "OFF"
        assert broker.retained()[f"{MIC}/status"] == "offline"


def test_after_a_restart_of_the_broker_all_states_are_published_again(broker):
    with connected(make(broker.port)) as mqtt:
        mqtt.set_online("mic0", online=True)
        mqtt.put(started())
        mqtt.put(started(1, label="dog"))
        eventually(lambda: mqtt.status.published == 2)
        broker.kill()
        eventually(lambda: mqtt._session.ended == 1)
        assert mqtt.status.trouble is not None
        mqtt.put(ended(started(1, label="dog")))
        with ExitStack() as stack:
            with held_off(mqtt):
                broker.start()
                subscriber = stack.enter_context(Subscriber(broker))
            subscriber.wait_for(STATUS)
            subscriber.wait_for(f"{MIC}/event")
            retained = broker.retained()
            assert retained[STATUS] == retained[f"{MIC}/status"] == "online"
            assert retained[f"{GLASS}/state"] == "ON"
            assert retained[f"{MIC}/event/dog/state"] == "OFF"
            assert phases(subscriber) == [("1", "end")]
            assert mqtt.status.trouble is None


def test_a_broker_that_starts_later_gets_waiting_events_marked_as_late(tmp_path, caplog):
    broker = Broker(tmp_path)
    caplog.set_level(logging.INFO, "monitor.outputs")
    mqtt = make(broker.port)
    mqtt.put(started())
    put_at = time.monotonic()
    with running(mqtt):
        eventually(lambda: mqtt._session.ended)
        assert (
            mqtt.status.trouble == f"127.0.0.1:{broker.port} refused the connection: is the broker running?"
        )
        with ExitStack() as stack:
            with held_off(mqtt):
                stack.enter_context(broker)
                subscriber = stack.enter_context(Subscriber(broker))
                eventually(lambda: time.monotonic() > put_at + LATE_SECONDS)
            subscriber.wait_for(f"{MIC}/event")
            mqtt.put(ended(started()))
            subscriber.wait_for(f"{MIC}/event", count=2)
            assert [json.loads(text)["late"] for text in subscriber.texts(f"{MIC}/event")] == [True, False]
            assert subscriber.wait_for(f"{GLASS}/state")[0] == "ON"
            mqtt.close()
            eventually(lambda: not mqtt.status.connected)
    assert [record.getMessage() for record in caplog.records] == [
        f"mqtt: 127.0.0.1:{broker.port} refused the connection: is the broker running?",
        f"mqtt: 127.0.0.1:{broker.port}: connected; 1 messages waited, 0 were dropped",
    ]


def test_beyond_the_limit_the_newest_events_are_kept_and_the_others_counted(broker, subscriber):
    mqtt = make(broker.port)
    for number in range(IN_MEMORY):
        mqtt.put(started(number))
        mqtt.put(ended(started(number)))
    mqtt.put(started(4))
    assert (mqtt.status.waiting, mqtt.status.dropped) == (IN_MEMORY, IN_MEMORY + 1)
    with running(mqtt):
        subscriber.wait_for(f"{MIC}/event", count=IN_MEMORY)
        eventually(lambda: mqtt.status.published == IN_MEMORY)
        assert phases(subscriber)[-2:] == [("9", "end"), ("4", "start")]
        # The newest, not what led to it; another time if a busy machine lost the connection.
        assert set(subscriber.texts(f"{GLASS}/state")) == {"ON"}


def test_a_long_queue_is_delivered_completely_and_in_order(broker, subscriber):
    mqtt = make(broker.port)
    for number in range(500):
        mqtt.put(started(number))
    run_to_the_end(mqtt)
    subscriber.settle()
    numbers = [int(json.loads(text)["event_id"]) for text in subscriber.texts(f"{MIC}/event")]
    assert numbers == list(range(500))
    assert (mqtt.status.published, mqtt.status.waiting, mqtt.status.dropped) == (500, 0, 0)


def test_an_event_that_a_frozen_broker_did_not_acknowledge_waits(broker):
    with connected(make(broker.port)) as mqtt:
        with broker.frozen():
            mqtt.put(started())
            eventually(lambda: mqtt._events.queue._taken == {1})
            assert (mqtt.status.published, mqtt.status.waiting) == (0, 1)
        eventually(lambda: mqtt.status.published == 1)


def test_a_frozen_broker_does_not_delay_shutdown(broker):
    mqtt = make(broker.port, drain_seconds=0.5)
    with connected(mqtt), broker.frozen():
        mqtt.put(started())
        mqtt.put(ended(started()))
        mqtt.close()
        eventually(lambda: not any(thread.name == "mqtt" for thread in threading.enumerate()))
        assert mqtt.status.waiting == 2


def test_shutdown_without_a_broker_counts_undelivered_events():
    mqtt = make(free_port())
    for number in range(12):
        mqtt.put(started(number))
    run_to_the_end(mqtt)
    assert (mqtt.status.waiting, mqtt.status.published, mqtt.status.dropped) == (12, 0, 0)
    assert mqtt.status.trouble.endswith("refused the connection: is the broker running?")


def test_shutdown_without_a_broker_and_events_waits_for_nothing():
    mqtt = make(free_port())
    run_to_the_end(mqtt)
    assert (mqtt.status.waiting, mqtt.status.published, mqtt.status.dropped) == (0, 0, 0)


def test_a_wrong_password_is_explained_and_never_logged(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    user = {"username": "monitor", "password": "wrong-secret"}
    with (
        Broker(tmp_path, users={"monitor": "right-secret"}) as broker,
        running(make(broker.port, **user)) as mqtt,
    ):
        trouble = eventually(lambda: mqtt.status.trouble)
        said = "says not authorised: check mqtt.username and mqtt.password_file"
        assert trouble == f"127.0.0.1:{broker.port} {said}"
    assert "not authorised" in caplog.text
    assert "secret" not in caplog.text + repr(vars(mqtt))


def test_password_and_tls_together_deliver(tmp_path):
    user = {"username": "monitor", "password": "secret"}
    with (
        Broker(tmp_path, users={"monitor": "secret"}, tls=True) as broker,
        Subscriber(broker, **user) as subscriber,
    ):
        mqtt = make(broker.port, tls=True, ca_file=broker.ca_file, **user)
        mqtt.put(started())
        run_to_the_end(mqtt)
        subscriber.settle()
        assert phases(subscriber) == [("0", "start")]


def test_a_silent_web_server_is_reported_as_not_mqtt():
    class Quiet(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, args=[0.01]).start()
        mqtt = make(server.server_port, drain_seconds=1.0)
        mqtt.put(started())
        run_to_the_end(mqtt)
        server.shutdown()
    assert mqtt.status.waiting == 1
    assert mqtt.status.trouble.startswith(f"127.0.0.1:{server.server_port} does not speak MQTT (no answer ")


@pytest.mark.parametrize("qos", [0, 2])
def test_events_are_delivered_with_any_quality_of_service(broker, subscriber, qos):
    with connected(make(broker.port, qos=qos)) as mqtt:
        mqtt.put(started())
        subscriber.wait_for(f"{MIC}/event")
        eventually(lambda: mqtt.status.published == 1)
        assert [message.qos for message in subscriber.messages(f"{MIC}/event")] == [min(qos, 1)]


def test_two_monitors_with_other_nodes_share_a_broker(broker, subscriber):
    second = MqttPublisher(
        MqttConfig(host="127.0.0.1", port=broker.port, base_topic="home/sounds"),
        PublisherOptions(node="kitchen", model="starter"),
        ActiveLabels(LABELS, ("mic0",)),
    )
    with connected(make(broker.port)), connected(second):
        subscriber.wait_for(STATUS, "online")
        subscriber.wait_for("home/sounds/kitchen/status", "online")


def outbox(tmp_path):
    return tmp_path / "state" / "outbox.sqlite"


def test_events_of_an_earlier_run_are_delivered_first_unchanged_and_late(tmp_path, broker, subscriber):
    before = make(free_port(), queue_file=outbox(tmp_path))
    before.put(started())
    before.put(ended(started(), 5.0))
    run_to_the_end(before)
    assert (before.status.waiting, before.status.published) == (2, 0)
    other = LabelConfig(id="dog", name="Hound", prompts=("a hound",))
    with running(make(broker.port, queue_file=outbox(tmp_path), labels=[other], base_topic="x")) as mqtt:
        mqtt.put(started(1, label="dog"))
        subscriber.wait_for("x/livingroom/mic0/event")
        eventually(lambda: mqtt.status.published == 3)
    start, end = map(json.loads, subscriber.texts(f"{MIC}/event"))
    assert (start["event_id"], start["phase"], start["late"]) == (started().id, "start", True)
    assert (end["event_id"], end["phase"], end["late"]) == (started().id, "end", True)
    assert (start["label_name"], start["threshold"], end["duration_seconds"]) == ("Glass breaking", 0.6, 5.0)
    topics = [message.topic for message in subscriber.messages() if message.topic.endswith("/event")]
    assert topics == [f"{MIC}/event", f"{MIC}/event", "x/livingroom/mic0/event"]
    assert mqtt.status.waiting == 0


def test_putting_an_event_does_not_touch_the_disk(tmp_path):
    mqtt = make(free_port(), queue_file=outbox(tmp_path))
    mqtt.put(started())
    assert mqtt.status.waiting == 1
    assert list(tmp_path.iterdir()) == []


def test_acknowledged_events_are_not_delivered_again_by_the_next_run(tmp_path, broker, subscriber):
    for number in range(2):
        mqtt = make(broker.port, queue_file=outbox(tmp_path))
        mqtt.put(started(number))
        mqtt.put(ended(started(number)))
        run_to_the_end(mqtt)
        assert (mqtt.status.published, mqtt.status.waiting) == (2, 0)
    subscriber.settle()
    assert phases(subscriber) == [(n, phase) for n in "01" for phase in ("start", "end")]


def test_an_event_during_which_the_monitor_was_killed_ends_after_the_restart(tmp_path, broker, subscriber):
    program = f"""
import os, signal
from pathlib import Path
from tests.support.broker import eventually
from tests.support.mqtt_publisher import connected, make, started
with connected(make({broker.port}, queue_file=Path({str(outbox(tmp_path))!r}))) as mqtt:
    mqtt.put(started())
    eventually(lambda: mqtt.status.published == 1 and not mqtt.status.waiting)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with connected(make(broker.port, queue_file=outbox(tmp_path))):
        subscriber.wait_for(f"{MIC}/event", count=2)
    start, end = map(json.loads, subscriber.texts(f"{MIC}/event"))
    assert {key: end[key] for key in end if end[key] != start[key]} == {
        "phase": "end",
        "reason": "restart",
        "published_at": end["published_at"],
        "latency_seconds": None,
        "late": True,
    }
    assert broker.retained()[f"{GLASS}/state"] == "OFF"
    run_to_the_end(make(broker.port, queue_file=outbox(tmp_path)))
    subscriber.settle()
    assert len(subscriber.texts(f"{MIC}/event")) == 2


def test_a_broker_killed_during_publishing_gets_unacknowledged_events_again(tmp_path, broker):
    with connected(make(broker.port, queue_file=outbox(tmp_path))) as mqtt:
        with broker.frozen():
            mqtt.put(started())
            eventually(lambda: mqtt._events.queue._taken == {1})
            mqtt.put(ended(started()))
            broker.kill()
        eventually(lambda: not mqtt.status.connected)
        assert (mqtt.status.published, mqtt.status.waiting) == (0, 2)
        broker.start()
        eventually(lambda: mqtt.status.published == 2)
    assert mqtt.status.waiting == 0


def test_events_go_out_though_the_disk_is_full(full_disk, broker, subscriber, caplog):
    with connected(make(broker.port, queue_file=full_disk / "outbox.sqlite")) as mqtt:
        mqtt.put(started())
        mqtt.put(ended(started()))
        subscriber.wait_for(f"{MIC}/event", count=2)
        eventually(lambda: mqtt.status.published == 2)
    assert (mqtt.status.waiting, mqtt.status.dropped) == (0, 0)
    assert sum("events wait in memory only" in record.getMessage() for record in caplog.records) == 1
