"""A real broker with an access list and limits: what it refuses is known, kept, and delivered later."""

import pytest

from monitor.outputs.mqtt import delivery_check
from tests.support.broker import Broker, Subscriber, eventually
from tests.support.mqtt_publisher import MIC, NODE, make, running, started

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("no_home_assistant_is_waited_for")]

EVENT = f"{MIC}/event"
USERS = {"monitor": "secret", "home": "secret"}
ALL = """
user home
topic readwrite #
user monitor
topic readwrite clap-monitor/#
topic readwrite homeassistant/#
"""
HOME = {"username": "home", "password": "secret"}
NOT_EVENTS = ALL + f"topic deny {EVENT}\n"
NOTHING = ALL.replace("clap-monitor/#", "elsewhere/#").replace("homeassistant/#", "nowhere/#")
ONLY_WRITE = ALL.replace("topic readwrite clap", "topic write clap")


def monitor(broker, **config):
    return make(broker.port, username="monitor", password="secret", **config)


@pytest.mark.parametrize("qos", [1, 2])
def test_events_that_the_access_list_denies_wait_until_it_allows_them(tmp_path, qos):
    with (
        Broker(tmp_path, users=USERS, access=NOT_EVENTS) as broker,
        Subscriber(broker, EVENT, **HOME) as home,
        running(monitor(broker, qos=qos)) as mqtt,
    ):
        for number in range(45):
            mqtt.put(started(number))
        eventually(lambda: EVENT in " ".join(mqtt.status.problems) and mqtt._events.queue.is_blocked)
        assert (mqtt.status.waiting, mqtt.status.published) == (45, 0)
        assert 1 <= broker.log.count("Denied PUBLISH") <= 20
        broker.allow(ALL)
        mqtt._session.delivery.refused_topics.on_connect()  # as if some minutes had gone by
        mqtt._session.wake()
        home.wait_for(EVENT, count=45)
        eventually(lambda: (mqtt.status.waiting, mqtt.status.problems) == (0, []))


def test_everything_that_is_denied_is_named_and_nothing_is_sent_again_and_again(tmp_path):
    with (
        Broker(tmp_path, users=USERS, access=NOTHING) as broker,
        running(monitor(broker)) as mqtt,
    ):
        mqtt.put(started())
        eventually(lambda: EVENT in " ".join(mqtt.status.problems))
        assert (
            "homeassistant/device/clap_monitor_livingroom/config (not authorised)" in mqtt.status.problems[0]
        )
        denied = broker.log.count("Denied PUBLISH")
        with Subscriber(broker, "#", **HOME) as home:
            home.settle()
        assert broker.log.count("Denied PUBLISH") == denied
    assert mqtt.status.waiting == 1


@pytest.mark.parametrize(
    ("access", "config", "missed"),
    [
        (NOT_EVENTS, {"protocol": "3.1.1"}, EVENT),
        (NOT_EVENTS, {"qos": 0}, EVENT),
        (NOT_EVENTS, {"protocol": "3.1.1", "qos": 2}, EVENT),
        (NOTHING, {"protocol": "3.1.1"}, f"{NODE}/status"),
        (ONLY_WRITE, {"protocol": "3.1.1"}, "denies this user either writing or reading"),
        (ONLY_WRITE, {"protocol": "3.1.1"}, EVENT),
    ],
)
def test_where_mqtt_cannot_report_a_refusal_an_undelivered_message_is_a_problem(
    tmp_path, monkeypatch, access, config, missed
):
    monkeypatch.setattr(delivery_check, "TIMEOUT_SECONDS", 1.0)
    with Broker(tmp_path, users=USERS, access=access) as broker, running(monitor(broker, **config)) as mqtt:
        mqtt.put(started())
        eventually(lambda: missed in " ".join(mqtt.status.problems))


@pytest.mark.parametrize("config", [{"protocol": "3.1.1"}, {"qos": 0}, {"qos": 2}, {}], ids=str)
def test_allowed_topics_are_no_problem(tmp_path, monkeypatch, config):
    monkeypatch.setattr(delivery_check, "TIMEOUT_SECONDS", 1.0)
    commands = []
    with (
        Broker(tmp_path, users=USERS, access=ALL) as broker,
        Subscriber(broker, EVENT, **HOME) as home,
        running(monitor(broker, on_command=lambda *words: commands.append(words), **config)) as mqtt,
    ):
        mqtt.put(started())
        home.wait_for(EVENT, count=1)
        eventually(lambda: mqtt.status.published == 1)
        home._client.publish(f"{NODE}/armed/set", "OFF", qos=1)
        eventually(lambda: commands)  # our own messages, which come back, are none
        eventually(lambda: mqtt._session.delivery.due() > 1e300)  # nothing is waited for any more
        assert mqtt.status.problems == []
        assert len(commands) == 1


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_size_limit_affects_only_larger_messages(tmp_path, protocol):
    with (
        Broker(tmp_path, options=["max_packet_size 3000"]) as broker,
        Subscriber(broker, EVENT) as home,
        running(make(broker.port, protocol=protocol)) as mqtt,
    ):
        mqtt.put(started())
        home.wait_for(EVENT, count=1)
        eventually(lambda: "homeassistant/device" in " ".join(mqtt.status.problems))


def test_a_second_monitor_with_the_same_client_id_is_named(tmp_path):
    with (
        Broker(tmp_path) as broker,
        running(make(broker.port, client_id="same", drain_seconds=0.1)) as first,
    ):
        eventually(lambda: first.status.connected)
        with running(make(broker.port, client_id="same", base_topic="other", drain_seconds=0.1)) as second:
            eventually(lambda: second.status.connected)
            eventually(
                lambda: "the client id 'same'" in " ".join(first.status.problems + second.status.problems)
            )
