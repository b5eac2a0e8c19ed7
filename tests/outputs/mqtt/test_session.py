"""The link without a broker: what comes from it is written out."""

import math
import time
from types import SimpleNamespace

from monitor.outputs.mqtt import notices as broker
from monitor.outputs.mqtt.connection_terms import Negotiation
from monitor.outputs.mqtt.session import MqttSession


class FakeConnection:
    """Remembers what was published; the test says what the broker answers."""

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

    def say(self, *notices):
        for notice in notices:
            self._notify(self, notice)


def linked(**options):
    """Return a link, and the connections that it makes."""
    made = []

    def connect(_terms, notify):
        made.append(FakeConnection(notify))
        return made[-1]

    options = {"silence_seconds": 1000.0, "negotiation": Negotiation("5")} | options
    return SimpleNamespace(link=MqttSession(connect, address="broker:1883", **options), made=made)


def now():
    return time.monotonic()


def accepted(**options):
    it = linked(**options)
    it.link.wait(now())
    it.made[0].say(broker.Opened(), broker.Accepted())
    assert it.link.wait(now())
    return it


def test_a_new_connection_is_reported_once():
    it = linked()
    assert not it.link.wait(now())
    assert not it.link.connected
    it.made[0].say(broker.Opened(), broker.Accepted())
    assert it.link.wait(math.inf)
    assert it.link.connected
    assert not it.link.wait(now())


def test_a_connection_that_is_accepted_and_breaks_at_once_is_not_reported():
    it = linked()
    it.link.wait(now())
    it.made[0].say(broker.Opened(), broker.Accepted(), broker.Ended("closed the connection"))
    assert not it.link.wait(math.inf)
    assert it.link.trouble == "broker:1883 closed the connection"


def test_only_what_has_a_letter_and_is_acknowledged_counts():
    it = accepted()
    it.link.publish("event", "a", qos=1, letter="A")
    it.link.publish("state", "b", qos=1)
    it.link.publish("level", "c", qos=0)
    assert (it.link.unacknowledged, it.link.arrived) == (2, [])
    it.made[0].say(broker.Acknowledged(2), broker.Acknowledged(3))
    it.link.wait(math.inf)
    assert (it.link.unacknowledged, it.link.arrived) == (1, [])
    it.made[0].say(broker.Acknowledged(1))
    it.link.wait(math.inf)
    assert (it.link.unacknowledged, it.link.arrived) == (0, ["A"])


def test_of_a_connection_that_breaks_only_what_was_acknowledged_has_arrived():
    it = accepted()
    for letter in "ABC":
        it.link.publish("event", letter, qos=1, letter=letter)
    it.made[0].say(broker.Acknowledged(2), broker.Ended("closed the connection"))
    it.link.wait(math.inf)
    assert (it.link.unacknowledged, it.link.arrived, it.link.ended) == (0, ["B"], 1)


def test_delays_double_and_stay_bounded():
    it = linked()
    delays = []
    for _ in range(8):
        it.link.hurry()
        it.link.wait(now())
        it.made[-1].say(broker.Ended("refused the connection"))
        before = now()
        it.link.wait(now() + 10)
        delays.append(round(it.link._dial_at - before))
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]


def test_no_attempt_is_made_before_its_time_unless_hurried():
    it = linked()
    it.link.wait(now())
    it.made[0].say(broker.Ended("refused the connection"))
    it.link.wait(now() + 10)
    it.link.wait(now())
    assert len(it.made) == 1
    it.link.hurry()
    it.link.wait(now())
    assert len(it.made) == 2


def test_a_port_that_takes_the_connection_and_stays_silent_does_not_speak_mqtt():
    it = linked(answer_seconds=0.05)
    it.link.wait(now())
    it.made[0].say(broker.Opened())
    it.link.wait(math.inf)
    assert it.link.ended == 0
    it.link.wait(math.inf)
    assert it.link.ended == 1
    assert it.made[0].closed
    assert it.link.trouble.startswith("broker:1883 does not speak MQTT (no answer within 0.05 s)")


def test_a_broker_that_let_us_in_before_and_hangs_now_is_not_said_to_speak_no_mqtt():
    it = accepted(answer_seconds=0.05)
    it.made[0].say(broker.Ended("closed the connection"))
    it.link.wait(now())
    it.link.hurry()
    it.link.wait(now())
    it.made[1].say(broker.Opened())
    it.link.wait(math.inf)
    it.link.wait(math.inf)
    assert it.link.trouble == "broker:1883 does not answer within 0.05 s"


def test_a_broker_that_acknowledges_nothing_any_more_is_left():
    it = accepted(silence_seconds=0.05)
    it.link.publish("event", "a", qos=1, letter="A")
    it.link.wait(math.inf)
    assert it.made[0].closed
    assert (it.link.connected, it.link.trouble) == (False, "broker:1883 stopped answering")
    assert (it.link.unacknowledged, it.link.arrived) == (0, [])


def test_a_connection_that_was_left_is_not_heard_any_more():
    it = accepted(silence_seconds=0.05)
    it.link.publish("event", "a", qos=1, letter="A")
    it.link.wait(math.inf)
    it.made[0].say(broker.Acknowledged(1), broker.Ended(None))
    it.link.wait(now() + 0.1)
    assert (it.link.arrived, it.link.ended) == ([], 1)


def test_trouble_is_logged_once_for_each_change(caplog):
    it = linked()
    for why in ("is away", "is away", "is strange", "is away", "is away"):
        it.link.hurry()
        it.link.wait(now())
        it.made[-1].say(broker.Ended(why))
        it.link.wait(now() + 10)
    assert [record.getMessage() for record in caplog.records] == [
        "mqtt: broker:1883 is away",
        "mqtt: broker:1883 is strange",
        "mqtt: broker:1883 is away",
    ]


def test_taking_leave_is_no_trouble(caplog):
    it = accepted()
    it.link.close()
    assert it.made[0].closed
    it.made[0].say(broker.Ended(None))
    it.link.wait(math.inf)
    assert (it.link.connected, it.link.trouble) == (False, None)
    assert caplog.records == []


def test_a_wake_from_another_thread_is_not_lost():
    it = accepted()
    it.link.wake()
    it.link.wait(math.inf)  # would never return if it was
    assert it.link.connected
