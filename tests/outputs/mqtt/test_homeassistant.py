"""A scripted Home Assistant over a real broker: it keeps discovery and states as its core does."""

import itertools
import json
import time
from contextlib import ExitStack

import pytest

from monitor.audio.source_status import Health
from monitor.config import LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt.commands import Arm
from monitor.types import OfflineReason
from tests.support.broker import Subscriber, eventually, free_port
from tests.support.events import ended
from tests.support.homeassistant import HomeAssistant
from tests.support.mqtt_publisher import (
    CONFIG,
    GLASS,
    LABELS,
    MIC,
    NODE,
    STATUS,
    connected,
    make,
    running,
    started,
    wait_subscribed,
)
from tests.support.snapshots import snapshot

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("discovery_settles_soon")]

GLASS_KEY = "mic0_SOUND_glass"


def queue_file(tmp_path):
    return tmp_path / "state" / "outbox.sqlite"


@pytest.mark.parametrize("order", list(itertools.permutations(("broker", "us", "home"))), ids="-".join)
@pytest.mark.parametrize("lasts", [True, False], ids=["sounding", "silent"])
def test_after_restarts_in_any_order_home_assistant_has_the_current_states(broker, order, lasts):
    with ExitStack() as ours, ExitStack() as homes:

        def restart_us():
            ours.close()
            mqtt = ours.enter_context(running(make(broker.port)))
            mqtt.set_online("mic0", online=True)
            if lasts:
                mqtt.put(started(at=time.time()))

        def restart_home():
            homes.close()
            return homes.enter_context(HomeAssistant(broker))

        restart_us()
        home = restart_home()
        eventually(lambda: home.state(GLASS_KEY) == ("on" if lasts else "off"))
        for who in order:
            if who == "broker":
                broker.kill()
                broker.start()
            elif who == "us":
                restart_us()
            else:
                home = restart_home()
        eventually(lambda: broker.retained().get(STATUS) == "online")  # a new broker knew nothing of us
        home.settle()
        eventually(lambda: home.state(GLASS_KEY) == ("on" if lasts else "off"))
        eventually(lambda: home.state("mic0_SOUND_dog") == "off")
        ours.close()
        eventually(lambda: home.state(GLASS_KEY) == "unavailable")


def test_a_removed_label_and_source_leave_no_entity_and_nothing_retained(tmp_path, broker):
    with HomeAssistant(broker) as home:
        with connected(make(broker.port, queue_file=queue_file(tmp_path), sources=("mic0", "mic1"))):
            eventually(lambda: home.state("mic1_SOUND_dog") == "unavailable")
            eventually(lambda: f"{NODE}/mic1/status" in broker.retained())
        with connected(make(broker.port, queue_file=queue_file(tmp_path), labels=LABELS[:1])):
            eventually(lambda: "mic0_SOUND_dog" not in home.components)
            eventually(lambda: "mic1_LEVEL" not in home.components)
            assert home.state(GLASS_KEY) is not None
            eventually(lambda: not any("dog" in topic or "mic1" in topic for topic in broker.retained()))
            left = broker.retained()
            assert set(left) == {
                CONFIG, STATUS, f"{NODE}/health", f"{MIC}/status", f"{MIC}/health", f"{MIC}/listeners",
                f"{GLASS}/state", f"{GLASS}/attributes", f"{MIC}/threshold/glass",
                f"{NODE}/armed/state", f"{NODE}/labels",
            }  # fmt: skip
            assert "dog" not in left[CONFIG]


def test_another_prefix_and_no_discovery_take_the_old_description_away(tmp_path, broker):
    with connected(make(broker.port, queue_file=queue_file(tmp_path))):
        eventually(lambda: CONFIG in broker.retained())
    other = CONFIG.replace("homeassistant", "ha")
    with connected(make(broker.port, queue_file=queue_file(tmp_path), discovery_prefix="ha")):
        eventually(lambda: other in (kept := broker.retained()) and CONFIG not in kept)
    with connected(make(broker.port, queue_file=queue_file(tmp_path), discovery=False)):
        eventually(lambda: other not in broker.retained())


def test_a_trigger_is_sent_once_for_each_start_and_neither_it_nor_events_are_retained(broker):
    with Subscriber(broker) as subscriber, connected(make(broker.port)) as mqtt:
        mqtt.put(started())
        assert subscriber.wait_for(f"{GLASS}/trigger") == ["detected"]
        subscriber.wait_for(STATUS)  # levels from before the connection are not sent
        mqtt.set_level("mic0", -40.0)
        subscriber.wait_for(f"{MIC}/level")
        kept = broker.retained()
        assert not [topic for topic in kept if topic.endswith(("/trigger", "/event", "/level"))]


def test_the_health_of_a_source_is_published_while_it_is_offline(broker):
    with HomeAssistant(broker) as home, connected(make(broker.port)) as mqtt:
        mqtt.on_health(
            {
                "mic0": Health(
                    offline_reason=OfflineReason.LOST, offline_text="unplugged", dropped_seconds=2.04
                )
            },
            snapshot,
        )
        eventually(lambda: '"offline_text":"unplugged"' in broker.retained().get(f"{MIC}/health", ""))
        eventually(lambda: home.state(GLASS_KEY) == "unavailable")
        eventually(lambda: home.state("mic0_OFFLINE") == "on")


def test_a_broken_discovery_record_is_replaced(tmp_path, broker, caplog):
    path = queue_file(tmp_path).with_name("announced.json")
    path.parent.mkdir()
    path.write_text("[]")
    with connected(make(broker.port, queue_file=queue_file(tmp_path))):
        eventually(lambda: CONFIG in broker.retained())
    assert "announced.json: not readable" in caplog.text
    assert CONFIG in json.loads(path.read_text())["announced"]


def test_a_birth_republishes_everything_unless_it_is_retained(broker):
    with Subscriber(broker) as subscriber:
        subscriber._client.publish("homeassistant/status", "online", qos=1, retain=True)
        eventually(lambda: "homeassistant/status" in broker.retained())
        with connected(make(broker.port)):
            subscriber.wait_for(STATUS, "online")
            for text in ("offline", "\udcff", "online"):
                subscriber._client.publish("homeassistant/status", text.encode(errors="replace"), qos=1)
            subscriber.wait_for(STATUS, "online", "online")
            assert len(subscriber.texts(CONFIG)) == len(subscriber.texts(f"{GLASS}/state")) == 2


@pytest.mark.usefixtures("no_home_assistant_is_waited_for")
def test_a_late_event_fires_no_trigger_and_the_broker_counts_as_late(tmp_path, broker):
    before = make(free_port(), queue_file=queue_file(tmp_path))
    before.put(started())
    with running(before):
        pass
    with Subscriber(broker) as subscriber, connected(make(broker.port, queue_file=queue_file(tmp_path))):
        subscriber.wait_for(f"{NODE}/health", '{"late":true}')
        assert json.loads(subscriber.texts(f"{MIC}/event")[0])["late"]
        assert subscriber.texts(f"{GLASS}/trigger") == []


def test_an_unchanged_description_leaves_the_record_as_it_is(tmp_path, broker):
    for _ in range(2):
        with connected(make(broker.port, queue_file=queue_file(tmp_path))):
            eventually(lambda: CONFIG in broker.retained())
    content = json.loads(queue_file(tmp_path).with_name("announced.json").read_text())
    assert set(content["announced"]) == {CONFIG}
    assert set(content["retained"]) - {f"{MIC}/last", f"{NODE}/info"} == set(broker.retained()) - {CONFIG}


def test_labels_added_and_removed_at_run_time_leave_nothing_behind(tmp_path, broker):
    glass, dog = LABELS
    kettle = LabelConfig(id="kettle", prompts=("a kettle",), threshold=0.7)
    with HomeAssistant(broker) as home, connected(make(broker.port, queue_file=queue_file(tmp_path))) as mqtt:
        mqtt.set_online("mic0", online=True)
        mqtt.put(started(label="dog"))
        eventually(lambda: home.state("mic0_SOUND_dog") == "on")
        mqtt.put(ended(started(label="dog")))
        mqtt.set_labels(ActiveLabels((glass, kettle), ("mic0",)))
        eventually(lambda: home.state("mic0_SOUND_kettle") == "off")
        eventually(lambda: home.state("mic0_THRESHOLD_kettle") is not None)
        eventually(lambda: "mic0_SOUND_dog" not in home.components)
        eventually(lambda: not [topic for topic in broker.retained() if "dog" in topic])
        assert broker.retained()[f"{MIC}/threshold/kettle"] == "0.7"
        mqtt.set_labels(ActiveLabels((glass, dog), ("mic0",)))
        eventually(lambda: home.state("mic0_SOUND_dog") == "off")
        eventually(lambda: not [topic for topic in broker.retained() if "kettle" in topic])
    kept = broker.retained()
    assert "kettle" not in kept[CONFIG]
    assert json.loads(kept[f"{MIC}/last"])["event_type"] == "dog"


def test_labels_removed_while_the_broker_is_away_leave_nothing_behind(tmp_path, broker):
    with HomeAssistant(broker) as home, connected(make(broker.port, queue_file=queue_file(tmp_path))) as mqtt:
        eventually(lambda: home.state("mic0_SOUND_dog") is not None)
        with broker.frozen():
            mqtt.put(started(label="dog"))
            mqtt.put(ended(started(label="dog")))
            mqtt.set_labels(ActiveLabels(LABELS[:1], ("mic0",)))
        eventually(lambda: "mic0_SOUND_dog" not in home.components)
        eventually(lambda: mqtt.status.published == 2)
        eventually(lambda: not [topic for topic in broker.retained() if "/dog" in topic])


def test_settings_are_published_when_they_change_and_to_a_new_broker(broker):
    with connected(make(broker.port)) as mqtt:
        eventually(lambda: broker.retained().get(f"{NODE}/armed/state") == "ON")
        quiet = LABELS[0].model_copy(update={"threshold": 0.9})
        mqtt.set_labels(ActiveLabels(LABELS, ("mic0",), armed=False, own={("mic0", "glass"): quiet}))
        eventually(lambda: broker.retained()[f"{NODE}/armed/state"] == "OFF")
        eventually(lambda: broker.retained()[f"{MIC}/threshold/glass"] == "0.9")
        broker.kill()
        broker.start()
        eventually(lambda: broker.retained().get(f"{MIC}/threshold/glass") == "0.9")
        assert broker.retained()[f"{NODE}/armed/state"] == "OFF"


def test_commands_are_passed_on_unless_they_are_retained(broker, caplog):
    said = []
    with Subscriber(broker) as subscriber:
        publish = subscriber._client.publish
        for _ in range(2):
            publish(f"{NODE}/armed/set", "OFF", qos=1, retain=True)
        publish(f"{NODE}/labels/set", "{}", qos=1, retain=True)
        subscriber.wait_for(f"{NODE}/labels/set")
        with connected(make(broker.port, on_command=lambda *words: said.append(words))) as mqtt:
            subscriber.wait_for(STATUS, "online")
            publish(f"{NODE}/armed/set", "ON", qos=1)
            publish(f"{MIC}/threshold/glass/set", "high", qos=1)
            publish(f"{NODE}/other/set", "ON", qos=1)
            eventually(lambda: len(said) == 2)
            mqtt.refuse(f"{NODE}/armed/set", "not today")
            refusal = json.loads(subscriber.wait_for(f"{NODE}/refused")[0])
            assert refusal == {"topic": f"{NODE}/armed/set", "reason": "not today"}
    assert said[0] == (f"{NODE}/armed/set", Arm(True))
    assert said[1] == (f"{MIC}/threshold/glass/set", '"high" is not a number')
    assert sum("a retained command is ignored" in record.getMessage() for record in caplog.records) == 1
    assert f"{NODE}/refused" not in broker.retained()


def test_without_commands_nothing_is_subscribed(broker):
    said = []
    with Subscriber(broker) as subscriber:
        options = {"commands": False, "on_command": lambda *words: said.append(words)}
        with connected(make(broker.port, **options)):
            subscriber.wait_for(STATUS, "online")
            subscriber._client.publish(f"{NODE}/armed/set", "OFF", qos=1)
            subscriber._client.publish("homeassistant/status", "online", qos=1)
            subscriber.wait_for(STATUS, "online", "online")
    assert said == []
    assert "cmd_t" not in broker.retained()[CONFIG]


def test_a_flood_of_commands_loses_none_and_stops_nothing_else(broker):
    said = []
    mqtt = make(broker.port, on_command=lambda *words: said.append(words))
    with Subscriber(broker, f"{MIC}/event") as subscriber, connected(mqtt):
        wait_subscribed(mqtt)  # the broker keeps none for a client that has not subscribed
        for _ in range(3000):
            subscriber._client.publish(f"{NODE}/armed/set", "ON", qos=0)
        mqtt.put(started())
        subscriber.wait_for(f"{MIC}/event")
        eventually(lambda: len(said) == 3000)
        assert mqtt.status.connected


def test_a_summary_is_a_handful_of_entities_and_replaces_the_others(broker, tmp_path):
    queue = queue_file(tmp_path)
    with HomeAssistant(broker) as home:
        with connected(make(broker.port, queue_file=queue)):
            eventually(lambda: GLASS_KEY in home.components)
        with connected(make(broker.port, queue_file=queue, discovery="summary")) as mqtt:
            few = {"PROBLEM", "LAST", "ARMED", "mic0_EVENTS"}
            eventually(lambda: home.components.keys() == few)
            mqtt.set_online("mic0", online=True)
            eventually(lambda: home.state("PROBLEM") == "off")
            told = snapshot(problems=[{"what": "broker", "why": "slow"}])
            mqtt.on_watchlist()
            mqtt.on_health({}, lambda: told)
            eventually(lambda: home.state("PROBLEM") == "on")
            eventually(lambda: json.loads(broker.retained()[f"{NODE}/info"])["entities"] == 4)


def test_a_node_with_very_many_entities_is_warned_of_once(broker, caplog):
    many = tuple(LabelConfig(id=f"l{i}", prompts=(f"sound {i}",)) for i in range(130))
    make(broker.port, labels=many)
    assert caplog.text.count("entities, and takes 10,000 from all nodes together") == 1
    caplog.clear()
    make(broker.port, labels=many, discovery="summary")
    assert "10,000" not in caplog.text
