"""Session with a fake connection: each test writes out the events of the broker."""

import math
import time
from types import SimpleNamespace

from monitor.outputs.mqtt import connection_events as broker
from monitor.outputs.mqtt.delivery import Delivery
from monitor.outputs.mqtt.negotiation import Negotiation
from monitor.outputs.mqtt.session import MqttSession


class FakeConnection:
    """Connection that remembers what was published, and emits what the test wants."""

    def __init__(self, notify):
        self.texts = []
        self.closed = False
        self._notify = notify

    def publish(self, _topic, text, *, qos, retain):
        del qos, retain
        self.texts.append(text)
        return len(self.texts)

    def close(self):
        self.closed = True

    def emit(self, *events):
        for event in events:
            self._notify(self, event)


def made(timeout_seconds=1000.0):
    """Return a session, and the connections that it makes."""
    connections = []

    def connect(_options, notify):
        connections.append(FakeConnection(notify))
        return connections[-1]

    session = MqttSession(
        connect,
        Delivery("broker:1883", timeout_seconds),
        address="broker:1883",
        client_id="test",
        receive=lambda _: None,
        negotiation=Negotiation("5"),
    )
    return SimpleNamespace(session=session, connections=connections, delivery=session.delivery)


def now():
    return time.monotonic()


def connected(timeout_seconds=1000.0):
    it = made(timeout_seconds)
    it.session.wait(now())
    it.connections[0].emit(broker.SocketOpened(), broker.Connected(), broker.Subscribed(()))
    assert it.session.wait(now())
    return it


def let_the_answer_be_late(it):
    """Let the time for the answer to the connect request be over."""
    assert now() < it.session._answer_by < math.inf
    it.session._answer_by = now()
    it.session.wait(math.inf)


def test_a_new_connection_is_reported_once():
    it = made()
    assert not it.session.wait(now())
    assert not it.session.connected
    it.connections[0].emit(broker.SocketOpened(), broker.Connected())
    assert it.session.wait(math.inf)
    assert it.session.connected
    assert not it.session.wait(now())


def test_a_connection_that_breaks_at_once_is_not_reported():
    it = made()
    it.session.wait(now())
    it.connections[0].emit(
        broker.SocketOpened(), broker.Connected(), broker.Disconnected("closed the connection")
    )
    assert not it.session.wait(math.inf)
    assert it.session.trouble == "broker:1883 closed the connection"


def test_only_events_are_reported_as_acknowledged():
    it = connected()
    it.session.publish("event", "a", qos=1, event=7)
    it.session.publish("state", "b", qos=1)
    it.session.publish("level", "c", qos=0)
    assert (it.delivery.unacknowledged, it.delivery.acknowledged) == (2, [])
    it.connections[0].emit(broker.Acknowledged(2), broker.Acknowledged(3))
    it.session.wait(math.inf)
    assert (it.delivery.unacknowledged, it.delivery.acknowledged) == (1, [])
    it.connections[0].emit(broker.Acknowledged(1))
    it.session.wait(math.inf)
    assert (it.delivery.unacknowledged, it.delivery.acknowledged) == (0, [7])


def test_when_a_connection_breaks_only_acknowledged_events_are_delivered():
    it = connected()
    for number in (1, 2, 3):
        it.session.publish("event", "x", qos=1, event=number)
    it.connections[0].emit(broker.Acknowledged(2), broker.Disconnected("closed the connection"))
    it.session.wait(math.inf)
    assert (it.delivery.unacknowledged, it.delivery.acknowledged, it.session.ended) == (0, [2], 1)


def test_delays_double_and_stay_bounded():
    it = made()
    delays = []
    for _ in range(8):
        it.session.retry_now()
        it.session.wait(now())
        it.connections[-1].emit(broker.Disconnected("refused the connection"))
        before = now()
        it.session.wait(now() + 10)
        delays.append((it.session._connect_at - now(), it.session._connect_at - before))
    expected = [1, 2, 4, 8, 16, 30, 30, 30]
    assert all(low <= delay <= high for (low, high), delay in zip(delays, expected, strict=True)), delays


def test_the_next_attempt_waits_for_the_delay_unless_retried_now():
    it = made()
    it.session.wait(now())
    it.connections[0].emit(broker.Disconnected("refused the connection"))
    it.session.wait(now() + 10)
    it.session.wait(now())
    assert len(it.connections) == 1
    it.session.retry_now()
    it.session.wait(now())
    assert len(it.connections) == 2


def test_a_port_that_accepts_the_connection_and_stays_silent_does_not_speak_mqtt():
    it = made()
    it.session.wait(now())
    it.connections[0].emit(broker.SocketOpened())
    it.session.wait(math.inf)
    assert it.session.ended == 0
    let_the_answer_be_late(it)
    assert it.session.ended == 1
    assert it.connections[0].closed
    assert it.session.trouble.startswith("broker:1883 does not speak MQTT (no answer within 5 s)")


def test_a_broker_that_connected_before_and_hangs_now_does_speak_mqtt():
    it = connected()
    it.connections[0].emit(broker.Disconnected("closed the connection"))
    it.session.wait(now())
    it.session.retry_now()
    it.session.wait(now())
    it.connections[1].emit(broker.SocketOpened())
    it.session.wait(math.inf)
    let_the_answer_be_late(it)
    assert it.session.trouble == "broker:1883 does not answer within 5 s"


def test_a_broker_that_acknowledges_nothing_is_disconnected():
    it = connected(timeout_seconds=0.05)
    it.session.publish("event", "a", qos=1, event=1)
    it.session.wait(math.inf)
    assert it.connections[0].closed
    assert (it.session.connected, it.session.trouble) == (False, "broker:1883 stopped answering")
    assert (it.delivery.unacknowledged, it.delivery.acknowledged) == (0, [])


def test_events_of_a_dropped_connection_are_ignored():
    it = connected(timeout_seconds=0.05)
    it.session.publish("event", "a", qos=1, event=1)
    it.session.wait(math.inf)
    it.connections[0].emit(broker.Acknowledged(1), broker.Disconnected(None))
    it.session.wait(now() + 0.1)
    assert (it.delivery.acknowledged, it.session.ended) == ([], 1)


def test_trouble_is_logged_once_for_each_change(caplog):
    it = made()
    for reason in ("is away", "is away", "is strange", "is away", "is away"):
        it.session.retry_now()
        it.session.wait(now())
        it.connections[-1].emit(broker.Disconnected(reason))
        it.session.wait(now() + 10)
    assert [record.getMessage() for record in caplog.records] == [
        "mqtt: broker:1883 is away",
        "mqtt: broker:1883 is strange",
        "mqtt: broker:1883 is away",
    ]


def test_a_clean_disconnect_is_no_trouble(caplog):
    it = connected()
    it.session.close()
    assert it.connections[0].closed
    it.connections[0].emit(broker.Disconnected(None))
    it.session.wait(math.inf)
    assert (it.session.connected, it.session.trouble) == (False, None)
    assert caplog.records == []


def test_a_wake_before_the_wait_is_not_lost():
    it = connected()
    it.session.wake()
    it.session.wait(math.inf)  # would never return otherwise
    assert it.session.connected
