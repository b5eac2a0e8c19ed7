"""Other settings of the broker while the monitor runs: the old place is left tidy, and nothing is lost."""

import json

import pytest

from monitor.config import MqttConfig
from monitor.outputs.mqtt.commands import Arm
from tests.support.broker import Broker, Subscriber, eventually
from tests.support.events import ended
from tests.support.mqtt_publisher import CONFIG, GLASS, MIC, NODE, STATUS, connected, make, started

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("discovery_settles_soon")]


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path) as broker:
        yield broker


def settings(broker, **others):
    return MqttConfig(host="127.0.0.1", port=broker.port, **others)


def test_another_base_topic_republishes_everything_and_clears_the_old_one(tmp_path, broker):
    said = []
    options = {
        "queue_file": tmp_path / "state/outbox.sqlite",
        "on_command": lambda *words: said.append(words),
    }
    with Subscriber(broker) as subscriber, connected(make(broker.port, **options)) as mqtt:
        mqtt.set_online("mic0", online=True)
        mqtt.put(started())
        subscriber.wait_for(f"{GLASS}/state", "ON")
        mqtt.reconfigure(settings(broker, base_topic="house/ears"))
        new = "house/ears/livingroom"
        subscriber.wait_for(f"{new}/status", "online")
        subscriber.wait_for(f"{new}/mic0/event/glass/state", "ON")
        assert subscriber.texts(STATUS)[:2] == ["online", "offline"]
        eventually(lambda: not [topic for topic in broker.retained() if topic.startswith(NODE)])
        assert f'"stat_t":"{new}/mic0/event/glass/state"' in broker.retained()[CONFIG]
        mqtt.put(ended(started()))
        subscriber.wait_for(f"{new}/mic0/event/glass/state", "ON", "OFF")
        subscriber._client.publish(f"{new}/armed/set", "OFF", qos=1)
        eventually(lambda: said == [(f"{new}/armed/set", Arm(False))])
        eventually(lambda: len(subscriber.texts(f"{MIC}/event") + subscriber.texts(f"{new}/mic0/event")) == 2)
        eventually(lambda: (mqtt.status.published, mqtt.status.waiting, mqtt.status.dropped) == (2, 0, 0))


@pytest.mark.usefixtures("no_home_assistant_is_waited_for")
def test_another_broker_gets_what_the_old_one_did_not_acknowledge(tmp_path, broker):
    (tmp_path / "other").mkdir()
    options = {"queue_file": tmp_path / "state/outbox.sqlite"}
    with (
        Broker(tmp_path / "other") as other,
        Subscriber(other) as subscriber,
        connected(make(broker.port, **options)) as mqtt,
    ):
        eventually(lambda: broker.retained().get(STATUS) == "online")
        with broker.frozen():
            mqtt.put(started())
            eventually(lambda: mqtt.status.waiting == 1)
            mqtt.reconfigure(settings(other))
            subscriber.wait_for(STATUS, "online")
            assert json.loads(subscriber.wait_for(f"{MIC}/event")[0])["event_id"] == started().id
            subscriber.wait_for(f"{GLASS}/state", "ON")
            eventually(lambda: (mqtt.status.published, mqtt.status.waiting) == (1, 0))


def test_unusable_settings_keep_the_old_ones(tmp_path, broker, caplog):
    with Subscriber(broker) as subscriber, connected(make(broker.port)) as mqtt:
        mqtt.reconfigure(settings(broker, username="me", password_file=tmp_path / "not there"))
        eventually(lambda: "keeping the old ones" in caplog.text)
        mqtt.put(started())
        subscriber.wait_for(f"{MIC}/event")
        assert subscriber.texts(STATUS) == ["online"]
