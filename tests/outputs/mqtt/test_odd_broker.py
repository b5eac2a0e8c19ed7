"""Brokers that misbehave: each is named, and what it does take goes on being delivered."""

import json
import struct
import threading
import time
import tracemalloc
from dataclasses import replace

import pytest

from monitor.outputs.mqtt import delivery
from monitor.outputs.mqtt.learned_limits import SMALL_BYTES
from tests.support.broker import eventually
from tests.support.mqtt_publisher import CONFIG, GLASS, LABELS, MIC, NODE, STATUS, make, running, started
from tests.support.odd_broker import (
    CLOSE,
    MQTT_3,
    MQTT_5,
    SILENCE,
    OddBroker,
    acknowledgement,
    connack,
    disconnect,
    length,
    packet,
    publish,
    text,
)

pytestmark = pytest.mark.usefixtures("no_home_assistant_is_waited_for")

EVENT = f"{MIC}/event"
BOTH = pytest.mark.parametrize("protocol", ["3.1.1", "5"])
VERSION = {"3.1.1": MQTT_3, "5": MQTT_5}


def soon(mqtt, condition):
    """Wait until a condition holds, without the delays between two attempts."""

    def hurried():
        mqtt._session.retry_now()
        mqtt._session.wake()
        return condition()

    return eventually(hurried)


def set_level_until(mqtt, condition):
    """Set the level again and again until a condition holds: those from before a connection are not sent."""

    def set_or_met():
        if condition():
            return True
        if mqtt.status.connected:
            mqtt.set_level("mic0", -40.0)
        return False

    soon(mqtt, set_or_met)


def delivers(broker, mqtt, number=1):
    """Put an event, and wait until the broker has it."""
    event = started(number)
    mqtt.put(event)
    soon(mqtt, lambda: any(event.id in told for told in broker.texts(EVENT)))


def said(caplog):
    return [record.getMessage() for record in caplog.records]


# Which version of MQTT is spoken


def only_3(answer):
    return lambda seen: answer if seen.protocol == MQTT_5 else connack(MQTT_3)


@pytest.mark.parametrize(
    "answer",
    [
        CLOSE,
        SILENCE,
        connack(MQTT_3, 1),
        connack(MQTT_5, 132),
        connack(MQTT_5, 130),
        connack(MQTT_3),
        b"HTTP/1.1",
    ],
    ids=["close", "silence", "code 1", "code 132", "code 130", "as if it were 3.1.1", "not MQTT"],
)
def test_a_broker_of_mqtt_3_1_1_is_connected_in_that_version(answer, caplog):
    caplog.set_level("INFO")
    with OddBroker(on_connect=only_3(answer)) as broker, running(make(broker.port)) as mqtt:
        delivers(broker, mqtt)
        assert {seen.protocol for seen in broker.connections if seen.published} == {MQTT_3}
        assert broker.connections[-1].will == (STATUS, 1, True)
    assert [line for line in said(caplog) if "speaks MQTT 3.1.1; which has no way to report" in line]
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_the_version_of_a_broker_is_remembered():
    with OddBroker(on_connect=only_3(CLOSE)) as broker, running(make(broker.port)) as mqtt:
        delivers(broker, mqtt)
        before = len(broker.connections)
        broker.connections[-1].end()
        delivers(broker, mqtt, 2)
        assert [seen.protocol for seen in broker.connections[before:]] == [MQTT_3]


def test_a_broker_that_is_just_being_restarted_is_not_taken_for_an_old_one():
    answers = iter([CLOSE] * 3)
    with (
        OddBroker(on_connect=lambda seen: next(answers, connack(seen.protocol))) as broker,
        running(make(broker.port)) as mqtt,
    ):
        delivers(broker, mqtt)
        told = [seen for seen in broker.connections if seen.published]
        assert [(seen.protocol, seen.will) for seen in told] == [(MQTT_5, (STATUS, 1, True))]


@pytest.mark.parametrize(("protocol", "spoken"), [("5", MQTT_5), ("3.1.1", MQTT_3), (5, MQTT_5)])
def test_the_configuration_may_set_the_version(protocol, spoken):
    with OddBroker() as broker, running(make(broker.port, protocol=protocol)) as mqtt:
        delivers(broker, mqtt)
        assert {seen.protocol for seen in broker.connections} == {spoken}


def test_a_broker_that_does_not_speak_the_version_that_is_asked_for_is_named():
    with (
        OddBroker(on_connect=only_3(connack(MQTT_5, 132))) as broker,
        running(make(broker.port, protocol="5")) as mqtt,
    ):
        eventually(lambda: "set mqtt.protocol: auto" in (mqtt.status.trouble or ""))


def test_a_broker_with_malformed_mqtt_5_is_connected_in_3_1_1():
    broken = packet(0x40, b"\0\1\0\5\xff")  # properties that are longer than the packet

    def answer(seen, message):
        return broken if seen.protocol == MQTT_5 and message.qos else None

    with OddBroker(on_publish=answer) as broker, running(make(broker.port)) as mqtt:
        delivers(broker, mqtt)
        assert broker.connections[-1].protocol == MQTT_3


# The last will


def refuses_will(code):
    def answer(seen):
        if seen.will is None or not seen.will[2]:
            return connack(seen.protocol)
        return CLOSE if code is None or seen.protocol == MQTT_3 else connack(MQTT_5, code)

    return answer


@pytest.mark.parametrize(
    ("protocol", "code"),
    [("3.1.1", None), ("5", 154), ("5", 155), ("5", None), ("auto", None), ("auto", 154)],
)
def test_a_broker_that_refuses_a_retained_will_gets_everything_without_one(protocol, code, caplog):
    caplog.set_level("INFO")
    with (
        OddBroker(on_connect=refuses_will(code)) as broker,
        running(make(broker.port, protocol=protocol)) as mqtt,
    ):
        delivers(broker, mqtt)
        assert broker.connections[-1].will == (STATUS, 0, False)
    assert [line for line in said(caplog) if "last will: not retained" in line]


# What an access list refuses


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (135, "not authorised"),
        (128, "no reason given"),
        (131, "implementation-specific reason"),
        (144, "topic not allowed"),
        (149, "too large"),
        (151, "quota used up"),
        (153, "content not allowed"),
    ],
)
def test_a_refused_event_waits_is_named_and_is_not_sent_again_and_again(code, words, qos, caplog):
    tries = []

    def refuse(seen, message):
        if message.topic != EVENT:
            return None
        tries.append(message)
        return acknowledgement(seen, message, code)

    with OddBroker(on_publish=refuse) as broker, running(make(broker.port, qos=qos)) as mqtt:
        for number in range(30):
            mqtt.put(started(number))
        eventually(lambda: mqtt.status.problems and mqtt._events.queue.is_blocked)
        set_level_until(mqtt, lambda: broker.texts(f"{MIC}/level"))
        assert len(tries) <= 20  # those that were on their way when the first answer came
        assert (mqtt.status.waiting, mqtt.status.published, mqtt.status.dropped) == (30, 0, 0)
        assert mqtt.status.refused == len(tries)
        assert mqtt.status.problems[0].startswith(f"127.0.0.1:{broker.port} refuses messages under {EVENT}")
        assert words in mqtt.status.problems[0]
    assert len([line for line in said(caplog) if words in line]) == 1


def test_refused_events_are_delivered_in_order_once_the_broker_accepts_them():
    allowed = threading.Event()

    def refuse(seen, message):
        refused = message.topic == EVENT and not allowed.is_set()
        return acknowledgement(seen, message, 135) if refused else None

    with OddBroker(on_publish=refuse) as broker, running(make(broker.port)) as mqtt:
        for number in range(50):
            mqtt.put(started(number))
        eventually(lambda: mqtt.status.problems and mqtt._events.queue.is_blocked)
        allowed.set()
        broker.connections[-1].end()
        soon(mqtt, lambda: mqtt.status.published == 50)
        assert [json.loads(told)["event_id"] for told in broker.texts(EVENT)] == [
            started(number).id for number in range(50)
        ]
        assert mqtt.status.problems == []


def test_a_refused_event_is_tried_again_without_a_new_connection_after_a_while(monkeypatch):
    monkeypatch.setattr("monitor.outputs.mqtt.refused_topics.RETRY_SECONDS", 0.5)
    answers = iter([135, 135, 135])

    def refuse(seen, message):
        code = next(answers, 0) if message.topic == EVENT else 0
        return acknowledgement(seen, message, code) if code else None

    with OddBroker(on_publish=refuse) as broker, running(make(broker.port)) as mqtt:
        mqtt.put(started())
        eventually(lambda: mqtt.status.published == 1)
        assert len(broker.connections) == 1
        assert mqtt.status.problems == []


def test_events_of_another_source_are_not_held_back():
    def refuse(seen, message):
        return acknowledgement(seen, message, 135) if message.topic == EVENT else None

    with (
        OddBroker(on_publish=refuse) as broker,
        running(make(broker.port, sources=("mic0", "porch"))) as mqtt,
    ):
        for number in range(60):
            mqtt.put(replace(started(number), source=("mic0", "porch")[number % 2]))
        eventually(lambda: mqtt.status.published == 30)
        assert (mqtt.status.waiting, len(broker.texts(f"{NODE}/porch/event"))) == (30, 30)


def test_shutdown_does_not_wait_for_refused_events_and_the_next_run_sends_them(tmp_path):
    queue_file = tmp_path / "outbox.sqlite"

    def refuse(seen, message):
        return acknowledgement(seen, message, 135) if message.topic == EVENT else None

    with OddBroker(on_publish=refuse) as broker, running(make(broker.port, queue_file=queue_file)) as mqtt:
        mqtt.put(started())
        eventually(lambda: mqtt.status.problems)
    assert mqtt.status.waiting == 1
    assert "not authorised" in mqtt.status.trouble
    with OddBroker() as broker, running(make(broker.port, queue_file=queue_file)):
        eventually(lambda: broker.texts(EVENT))


@pytest.mark.parametrize(
    "topic", [CONFIG, f"{GLASS}/state", f"{NODE}/labels", STATUS, f"{MIC}/threshold/dog"]
)
def test_a_refused_state_or_description_is_named_and_events_go_on(topic):
    def refuse(seen, message):
        return acknowledgement(seen, message, 135) if message.topic == topic else None

    with OddBroker(on_publish=refuse) as broker, running(make(broker.port)) as mqtt:
        delivers(broker, mqtt)
        eventually(lambda: topic in " ".join(mqtt.status.problems))


def test_when_everything_is_refused_an_event_and_a_description_are_named_first():
    with (
        OddBroker(on_publish=lambda seen, message: acknowledgement(seen, message, 135)) as broker,
        running(make(broker.port)) as mqtt,
    ):
        mqtt.put(started())
        eventually(lambda: EVENT in " ".join(mqtt.status.problems))
        assert CONFIG in mqtt.status.problems[0]
        assert "more topics" in mqtt.status.problems[0]


# Subscriptions


@pytest.mark.parametrize(
    ("protocol", "code", "words"),
    [
        ("3.1.1", 128, "no reason given"),
        ("5", 128, "no reason given"),
        ("5", 135, "not authorised"),
        ("5", 143, "topic filter not allowed"),
        ("5", 162, "no wildcards"),
        ("5", 151, "quota used up"),
    ],
)
def test_a_refused_subscription_is_a_problem_and_everything_is_published(protocol, code, words):
    def refuse(_seen, filters):
        return [code if topic.endswith("/set") else 1 for topic in filters]

    with (
        OddBroker(on_subscribe=refuse, echo=True) as broker,
        running(make(broker.port, protocol=protocol)) as mqtt,
    ):
        delivers(broker, mqtt)
        eventually(lambda: "commands do not arrive" in " ".join(mqtt.status.problems))
        assert f"{NODE}/armed/set ({words})" in mqtt.status.problems[0]


@BOTH
def test_a_broker_that_closes_the_connection_on_a_subscription_is_not_asked_again(protocol):
    with (
        OddBroker(on_subscribe=lambda *_: CLOSE) as broker,
        running(make(broker.port, protocol=protocol)) as mqtt,
    ):
        soon(mqtt, lambda: "when this monitor subscribes" in " ".join(mqtt.status.problems))
        delivers(broker, mqtt)
        assert len(broker.connections) == 3


@BOTH
def test_a_subscription_without_an_answer_is_a_problem(protocol):
    with (
        OddBroker(on_subscribe=lambda *_: SILENCE) as broker,
        running(make(broker.port, protocol=protocol, keepalive_seconds=5)) as mqtt,
    ):
        delivers(broker, mqtt)
        eventually(lambda: "does not answer the subscribe request" in " ".join(mqtt.status.problems))
        assert len(broker.connections) == 1


# Limits that are told, and limits that are not


def limited(seen, properties):
    return connack(seen.protocol, 0, properties if seen.protocol == MQTT_5 else b"")


@pytest.mark.parametrize("most", [5000, 1200, 700])
def test_an_announced_size_limit_is_respected_and_messages_left_out_are_named(most):
    properties = b"\x27" + struct.pack("!I", most)
    with (
        OddBroker(on_connect=lambda seen: limited(seen, properties)) as broker,
        running(make(broker.port)) as mqtt,
    ):
        mqtt.put(started())
        eventually(lambda: CONFIG in " ".join(mqtt.status.problems))
        eventually(lambda: broker.texts(STATUS))
        assert f"the broker accepts {most:,}" in mqtt.status.problems[0]
        assert all(message.size <= most for message in broker.published)
        assert len(broker.connections) == 1
        if most > 1000:
            eventually(lambda: broker.texts(EVENT))


@pytest.mark.parametrize("qos", [0, 1])
def test_a_highest_quality_of_service_is_obeyed(qos):
    with (
        OddBroker(on_connect=lambda seen: limited(seen, bytes([0x24, qos]))) as broker,
        running(make(broker.port, qos=2)) as mqtt,
    ):
        delivers(broker, mqtt)
        assert {message.qos for message in broker.published} == {qos}
        eventually(lambda: mqtt.status.published == 1)


def test_a_broker_that_keeps_nothing_is_asked_to_keep_nothing(caplog):
    caplog.set_level("INFO")
    with (
        OddBroker(on_connect=lambda seen: limited(seen, b"\x25\0")) as broker,
        running(make(broker.port)) as mqtt,
    ):
        delivers(broker, mqtt)
        assert not any(message.retain for message in broker.published)
    assert [line for line in said(caplog) if "does not keep retained messages" in line]


def test_no_more_messages_are_in_flight_than_the_broker_allows():
    unanswered, most = [], []

    def answer(seen, message):
        if not message.qos:
            return None
        unanswered.append(message)
        most.append(len(unanswered))
        if len(unanswered) < 3:
            return SILENCE
        answers = b"".join(acknowledgement(seen, each) for each in unanswered)
        seen.published += unanswered
        unanswered.clear()
        return answers

    with (
        OddBroker(on_connect=lambda seen: limited(seen, b"\x21\0\3"), on_publish=answer) as broker,
        running(make(broker.port, drain_seconds=0.1)) as mqtt,
    ):
        eventually(lambda: broker.texts(f"{GLASS}/state"))
        assert mqtt.status.connected
    assert max(most) == 3


def closes(is_too_much, code=None):
    """Return what a broker does that ends the connection on some messages, in MQTT 5 with a reason."""

    def answer(seen, message):
        if not is_too_much(message):
            return None
        if code is not None and seen.protocol == MQTT_5:
            seen.send(disconnect(code))
        return CLOSE

    return answer


@pytest.mark.parametrize(
    ("protocol", "code"), [("3.1.1", None), ("5", None), ("5", 149), ("5", 151), ("5", 135)]
)
@pytest.mark.parametrize("most", [SMALL_BYTES + 500, 4000])
def test_a_broker_that_closes_on_a_large_message_gets_everything_else(protocol, code, most, caplog):
    with (
        OddBroker(on_publish=closes(lambda message: message.size > most, code)) as broker,
        running(make(broker.port, protocol=protocol)) as mqtt,
    ):
        delivers(broker, mqtt)
        eventually(lambda: CONFIG in " ".join(mqtt.status.problems))
        eventually(lambda: broker.texts(f"{GLASS}/state")[-1:] == ["ON"])
        assert any(message.retain for message in broker.published)
        assert len(broker.connections) == 3
    (line,) = [line for line in said(caplog) if "closes the connection on a message of" in line]
    assert CONFIG in line


@pytest.mark.parametrize(("protocol", "code"), [("3.1.1", None), ("5", None), ("5", 154)])
def test_a_broker_that_closes_on_a_retained_message_gets_all_of_it_without_the_flag(protocol, code, caplog):
    with (
        OddBroker(on_publish=closes(lambda message: message.retain, code)) as broker,
        running(make(broker.port, protocol=protocol)) as mqtt,
    ):
        delivers(broker, mqtt)
        soon(mqtt, lambda: broker.texts(CONFIG))
        assert not any(message.retain for message in broker.published)
        eventually(lambda: not mqtt.status.problems)
    assert [line for line in said(caplog) if "retained message" in line]


@pytest.mark.parametrize(("protocol", "code"), [("3.1.1", None), ("5", None), ("5", 155)])
def test_a_broker_that_closes_on_qos_2_gets_events_with_qos_1(protocol, code):
    with (
        OddBroker(on_publish=closes(lambda message: message.qos == 2, code)) as broker,
        running(make(broker.port, protocol=protocol, qos=2)) as mqtt,
    ):
        delivers(broker, mqtt)
        assert {message.qos for message in broker.published if message.topic == EVENT} == {1}


@BOTH
@pytest.mark.parametrize("topic", [f"{NODE}/health", f"{GLASS}/state", f"{NODE}/labels", CONFIG])
def test_a_broker_that_closes_on_one_topic_gets_all_others(protocol, topic):
    with (
        OddBroker(on_publish=closes(lambda message: message.topic == topic)) as broker,
        running(make(broker.port, protocol=protocol)) as mqtt,
    ):
        delivers(broker, mqtt)
        soon(mqtt, lambda: topic in " ".join(mqtt.status.problems))
        soon(mqtt, lambda: broker.texts(f"{MIC}/event/dog/state"))


@BOTH
def test_a_broker_that_closes_on_events_gets_the_rest_and_events_wait(protocol):
    with (
        OddBroker(on_publish=closes(lambda message: message.topic == EVENT)) as broker,
        running(make(broker.port, protocol=protocol)) as mqtt,
    ):
        mqtt.put(started())
        soon(mqtt, lambda: EVENT in " ".join(mqtt.status.problems))
        eventually(lambda: mqtt.status.connected)
        before = len(broker.connections)
        set_level_until(mqtt, lambda: broker.texts(f"{MIC}/level"))
        assert (mqtt.status.waiting, len(broker.connections)) == (1, before)


@BOTH
def test_a_broker_that_closes_on_levels_gets_the_rest(protocol):
    level = f"{MIC}/level"
    with (
        OddBroker(on_publish=closes(lambda message: message.topic == level)) as broker,
        running(make(broker.port, protocol=protocol)) as mqtt,
    ):
        for _ in range(2):
            soon(mqtt, lambda: mqtt.status.connected and mqtt._session.delivery.unacknowledged == 0)
            before = len(broker.connections)
            set_level_until(mqtt, lambda before=before: len(broker.connections) > before)
        delivers(broker, mqtt)
        set_level_until(mqtt, lambda: level in " ".join(mqtt.status.problems))


@BOTH
def test_a_network_that_fails_now_and_then_is_not_taken_for_a_limit(protocol):
    with OddBroker() as broker, running(make(broker.port, protocol=protocol)) as mqtt:
        for number in range(4):
            delivers(broker, mqtt, number)
            mqtt.put(started(100 + number))
            broker.connections[-1].end()
        soon(mqtt, lambda: mqtt.status.published == 8)
        assert not any("does not take" in problem for problem in mqtt.status.problems)


@BOTH
def test_a_failing_network_is_not_taken_for_a_broker_that_closes_on_levels(protocol, monkeypatch):
    monkeypatch.setattr(delivery, "ACCEPTED_SECONDS", 0.2, raising=False)
    level = f"{MIC}/level"
    with OddBroker() as broker, running(make(broker.port, protocol=protocol)) as mqtt:
        for _ in range(4):
            soon(mqtt, lambda: mqtt.status.connected and mqtt._session.delivery.unacknowledged == 0)
            before = len(broker.texts(level))
            set_level_until(mqtt, lambda before=before: len(broker.texts(level)) > before)
            sent_at = time.monotonic()
            eventually(lambda sent_at=sent_at: time.monotonic() > sent_at + 0.5)
            connections = len(broker.connections)
            broker.connections[-1].end()
            soon(mqtt, lambda connections=connections: len(broker.connections) > connections)
        (problem,) = mqtt.status.problems
        assert "another client uses the client id" in problem


@BOTH
def test_a_broker_that_acknowledges_nothing_loses_nothing(protocol, caplog):
    with (
        OddBroker(on_publish=lambda *_: SILENCE) as broker,
        running(make(broker.port, protocol=protocol, keepalive_seconds=5, drain_seconds=0.1)) as mqtt,
    ):
        mqtt.put(started())
        eventually(lambda: len(broker.connections) > 1)
        assert mqtt.status.waiting == 1
    assert [line for line in said(caplog) if "stopped answering" in line]


# Why a broker lets nobody in, or ends a connection


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (133, "refuses the client id 'clap-monitor-livingroom': set another mqtt.client_id"),
        (134, "check mqtt.username and mqtt.password_file"),
        (135, "check mqtt.username and mqtt.password_file"),
        (136, "unavailable"),
        (137, "too busy"),
        (138, "has banned this monitor"),
        (140, "another authentication method"),
        (144, "topic of the last will"),
        (151, "a quota is used up"),
        (156, "use another server for now (elsewhere:1883)"),
        (157, "has moved to another server (elsewhere:1883)"),
        (159, "connects too often"),
    ],
)
def test_the_reason_of_a_refused_connection_is_the_trouble(code, words):
    properties = b"\x1c" + text("elsewhere:1883") if code in {156, 157} else b""
    with (
        OddBroker(on_connect=lambda seen: connack(seen.protocol, code, properties)) as broker,
        running(make(broker.port)) as mqtt,
    ):
        eventually(lambda: words in (mqtt.status.trouble or ""))


@pytest.mark.parametrize(
    ("code", "words"), [(2, "client id"), (3, "unavailable"), (4, "username"), (5, "username")]
)
def test_the_reason_of_a_refused_connection_in_3_1_1_is_the_trouble(code, words):
    with (
        OddBroker(on_connect=lambda seen: connack(seen.protocol, code)) as broker,
        running(make(broker.port, protocol="3.1.1")) as mqtt,
    ):
        eventually(lambda: words in (mqtt.status.trouble or ""))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (139, "is shutting down"),
        (141, "mqtt.keepalive_seconds"),
        (142, "another client uses the client id 'clap-monitor-livingroom'"),
        (150, "message rate"),
        (151, "quota"),
        (152, "administrator"),
        (157, "has moved to another server (elsewhere:1883)"),
        (160, "maximum connect time"),
        (199, "sent something that is not MQTT"),
        (0, "closed the connection"),
    ],
)
def test_the_reason_of_a_disconnect_is_the_trouble(code, words, caplog):
    properties = b"\x1c" + text("elsewhere:1883") if code == 157 else b""
    with OddBroker() as broker, running(make(broker.port, protocol="5")) as mqtt:
        soon(mqtt, lambda: broker.texts(STATUS))
        broker.connections[-1].send(disconnect(code, properties))
        eventually(lambda: [line for line in said(caplog) if words in line])
        delivers(broker, mqtt)


def test_a_client_id_that_is_taken_over_is_named_and_no_war_is_waged():
    with (
        OddBroker(then=lambda seen: seen.send(disconnect(142))) as broker,
        running(make(broker.port, drain_seconds=0.1)) as mqtt,
    ):
        eventually(lambda: "an mqtt.client_id of its own" in " ".join(mqtt.status.problems))
        eventually(lambda: not mqtt.status.connected)
        assert mqtt._session._client_id_conflict.delay() >= 7.5
        assert len(broker.connections) == 1


def test_connections_that_end_again_and_again_without_a_word_are_named_and_become_rarer():
    with (
        OddBroker() as broker,
        running(make(broker.port, protocol="3.1.1", drain_seconds=0.1)) as mqtt,
    ):
        told, number = "another client uses the client id 'clap-monitor-livingroom'", 0
        while told not in " ".join(mqtt.status.problems):
            number += 1  # not each counts: one that ends while a message is on its way may have that reason
            assert number <= 20
            soon(mqtt, lambda number=number: len(broker.connections) == number and mqtt.status.connected)
            eventually(lambda: mqtt._session.delivery.unacknowledged == 0)
            broker.connections[-1].end()
            eventually(lambda number=number: mqtt._session.ended >= number)
        assert number >= 3
        assert mqtt._session._client_id_conflict.delay() >= 7.5


# Broken packets


def properties_of(content):
    return length(len(content)) + content


BROKEN = {
    "a message longer than said": b"\x30\x02\x00\x10",
    "a message with half a topic": packet(0x30, b"\0\x20ab"),
    "an empty message": packet(0x30, b""),
    "QoS 3": packet(0x36, text("a") + b"\0\1x"),
    "QoS 1 without a number": packet(0x32, text("a")),
    "unknown packet 0": b"\0\0",
    "unknown packet 15": packet(0xF0, b"abc"),
    "AUTH": packet(0xF0, b"\x18\0"),
    "five bytes of length": b"\x30\xff\xff\xff\xff\xff",
    "SUBACK without codes": packet(0x90, b"\0"),
    "SUBACK of nothing": packet(0x90, b""),
    "SUBACK with unknown codes": packet(0x90, b"\0\1" + b"\x55" * 9),
    "PUBACK of nothing": packet(0x40, b""),
    "PUBACK too long": packet(0x40, b"\0\1" + b"\xff" * 300),
    "PUBREC of nothing": packet(0x50, b""),
    "PUBREC with an unknown code": packet(0x50, b"\0\1\xee"),
    "PUBREL of nothing": packet(0x62, b"\1"),
    "PUBCOMP of nothing": packet(0x70, b"\1"),
    "UNSUBACK of nothing": packet(0xB0, b""),
    "PINGRESP with content": packet(0xD0, b"abc"),
    "PINGREQ with content": packet(0xC0, b"abc"),
    "CONNECT": packet(0x10, text("MQTT") + b"\4\2\0\0\0\0"),
    "SUBSCRIBE": packet(0x82, b"\0\1" + text("a") + b"\0"),
    "DISCONNECT with an unknown code": packet(0xE0, b"\x77\0"),
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}
"""What breaks the protocol in both versions, or in one of them."""

HARMLESS = {
    "PUBACK that nobody asked for": packet(0x40, b"\xff\xf0"),
    "PUBREC that nobody asked for": packet(0x50, b"\xff\xf0"),
    "PUBREL that nobody asked for": packet(0x62, b"\xff\xf0"),
    "PUBCOMP that nobody asked for": packet(0x70, b"\xff\xf0"),
    "SUBACK that nobody asked for": packet(0x90, b"\xff\xf0\0\x80"),
    "PINGRESP that nobody asked for": packet(0xD0, b""),
    "reserved flags": packet(0x4F, b"\xff\xf0"),
}

PROPERTIES = {
    "unknown": b"\x7f\1",
    "longer than the packet": None,
    "cut": b"\x1f\0\x10ab",
    "not UTF-8": b"\x1f\0\2\xff\xfe",
    "twice": b"\x01\0\x01\0",
    "of another packet": b"\x13\0\1",
    "number without end": b"\x0b\xff\xff\xff\xff\xff",
    "alias 0": b"\x23\0\0",
}


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@BOTH
@pytest.mark.parametrize("what", BROKEN)
def test_after_a_broken_packet_events_are_delivered(protocol, what):
    once = iter([True])

    def then(seen):
        if next(once, False):
            seen.send(BROKEN[what])
            # What follows would make up the rest of a packet that is cut.
            threading.Timer(0.5, seen.end).start()

    with OddBroker(then=then) as broker, running(make(broker.port, protocol=protocol)) as mqtt:
        soon(mqtt, lambda: len(broker.connections) > 1)
        delivers(broker, mqtt)
        assert not any("does not take" in problem for problem in mqtt.status.problems)


@BOTH
@pytest.mark.parametrize("what", HARMLESS)
def test_an_unexpected_answer_changes_nothing(protocol, what):
    with (
        OddBroker(then=lambda seen: seen.send(HARMLESS[what])) as broker,
        running(make(broker.port, protocol=protocol)) as mqtt,
    ):
        delivers(broker, mqtt)
        assert mqtt.status.problems == []


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("where", ["message", "PUBACK", "DISCONNECT", "CONNACK", "SUBACK"])
@pytest.mark.parametrize("what", PROPERTIES)
def test_after_broken_properties_of_mqtt_5_events_are_delivered(where, what):
    content = PROPERTIES[what]
    broken = b"\x7e" if content is None else properties_of(content)
    packets = {
        "message": packet(0x30, text("a") + broken),
        "PUBACK": packet(0x40, b"\0\1\0" + broken),
        "DISCONNECT": packet(0xE0, b"\0" + broken),
        "CONNACK": packet(0x20, b"\0\0" + broken),
        "SUBACK": packet(0x90, b"\0\1" + broken + b"\1" * 4),
    }
    once = iter([True])

    def answer(seen):
        first = next(once, False)
        if where == "CONNACK" and first:
            return packets[where]
        return connack(seen.protocol) + (packets[where] if first else b"")

    with OddBroker(on_connect=answer) as broker, running(make(broker.port)) as mqtt:
        delivers(broker, mqtt)


@BOTH
@pytest.mark.parametrize(
    "topic", [b"\xff", f"{NODE}/armed/set".encode() + b"\xff", b"a/\xc3", b"\xed\xa0\x80", b"a\0b"]
)
def test_a_topic_that_is_not_utf_8_is_left_out_and_commands_go_on(protocol, topic, caplog):
    taken = []

    def then(seen):
        for _ in range(20):
            seen.send(publish(topic, b"ON", protocol=seen.protocol))
        seen.send(publish(f"{NODE}/armed/set", b"OFF", protocol=seen.protocol))

    mqtt_of = lambda port: make(port, protocol=protocol, on_command=lambda *words: taken.append(words))  # noqa: E731
    with OddBroker(then=then) as broker, running(mqtt_of(broker.port)) as mqtt:
        eventually(lambda: [words for words in taken if words[0] == f"{NODE}/armed/set"])
        delivers(broker, mqtt)
        assert len(broker.connections) == 1
    if topic != b"a\0b":
        assert mqtt.status.unreadable == 20
        assert len([line for line in said(caplog) if "not UTF-8" in line]) == 1


@BOTH
def test_a_message_of_many_megabytes_is_left_out_and_never_held_in_memory(protocol, caplog):
    size = 64_000_000
    taken = []

    def then(seen):
        topic = text(f"{NODE}/armed/set") + (b"\0" if seen.protocol == MQTT_5 else b"")
        seen.send(b"\x30" + length(len(topic) + size) + topic)
        for _ in range(size // 1_000_000):
            seen.send(b" " * 1_000_000)
        seen.send(publish(f"{NODE}/armed/set", b"OFF", protocol=seen.protocol))

    tracemalloc.start()
    try:
        with OddBroker(then=then) as broker:
            mqtt = make(broker.port, protocol=protocol, on_command=lambda *words: taken.append(words))
            with running(mqtt):
                eventually(lambda: taken)
                delivers(broker, mqtt)
                assert len(broker.connections) == 1
                _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(taken) == 1
    assert peak < 10_000_000
    assert [line for line in said(caplog) if "64,000,0" in line and "too large" in line]


@BOTH
def test_messages_with_qos_2_that_are_never_completed_do_not_pile_up(protocol):
    topic = text(f"{NODE}/armed/set")

    def then(seen):
        properties = b"\0" if seen.protocol == MQTT_5 else b""
        for number in range(1, 3000):  # until the connection is ended
            seen.send(packet(0x34, topic + struct.pack("!H", number) + properties + b" " * 60_000))

    tracemalloc.start()
    try:
        with OddBroker(then=then) as broker, running(make(broker.port, protocol=protocol)) as mqtt:
            soon(mqtt, lambda: len(broker.connections) > 1)
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000


def test_labels_that_no_message_can_hold_are_refused_alone():
    labels = (*LABELS, replace_name(LABELS[1], "a\ud800b"))
    with OddBroker() as broker, running(make(broker.port, labels=labels)) as mqtt:
        delivers(broker, mqtt)


def replace_name(label, name):
    return label.model_copy(update={"id": "broken", "name": name})
