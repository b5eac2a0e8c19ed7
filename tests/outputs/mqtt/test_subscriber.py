"""Subscriber, without a broker: others choose some levels of a topic, line breaks included."""

import json

import pytest

from monitor.outputs.mqtt.commands import FollowWatchlist
from monitor.outputs.mqtt.connection_events import Received
from monitor.outputs.mqtt.subscriber import MAX_REFUSALS, MAX_TOPIC, UNREPORTED, MqttSubscriber
from monitor.outputs.mqtt.topics import Topics


def taken(*heard):
    """Return a subscriber that has taken what was said, and what it handed on."""
    said = []
    subscriber = MqttSubscriber(
        Topics("home", "attic"),
        birth="ha/status",
        commands=True,
        on_command=lambda *words: said.append(words),
    )
    for each in heard:
        subscriber.receive(each)
    return subscriber, said


def test_a_topic_is_repeated_without_line_breaks_and_not_for_ever(caplog):
    topic = "home/attic/a\nERROR b/threshold/" + "x" * 60_000 + "/set"
    _, said = taken(Received(topic, "1", retained=False), Received(topic, "1", retained=True))
    ((shown, command),) = said
    assert shown.startswith("home/attic/a?ERROR b/threshold/xxx")
    assert len(shown) == MAX_TOPIC
    assert command == "is not a command topic"
    assert "\n" not in caplog.records[0].getMessage()
    assert len(caplog.records[0].getMessage()) < MAX_TOPIC + 200


def test_a_birth_is_no_command_and_counts_only_if_it_happened_now():
    for text, retained, born in (("online", False, True), ("online", True, False), ("offline", False, False)):
        subscriber, said = taken(Received("ha/status", text, retained=retained))
        assert (subscriber.born, said) == (born, [])


def test_the_watchlist_of_a_fleet_is_the_one_command_that_is_retained():
    said = []
    subscriber = MqttSubscriber(
        Topics("home", "attic"),
        birth=None,
        commands=False,
        on_command=lambda *words: said.append(words),
        follow=True,
    )
    assert subscriber.filters() == ("home/fleet/labels",)
    subscriber.receive(Received("home/fleet/labels", "{}", retained=True))
    subscriber.receive(Received("home/attic/armed/set", "OFF", retained=True))
    assert said == [("home/fleet/labels", FollowWatchlist("{}"))]
    assert "home/fleet/labels" not in taken()[0].filters()


def told_by(subscriber, most=1000):
    told = []
    subscriber.publish_refusals(
        lambda topic, text, *, qos: told.append((topic, json.loads(text)["reason"], qos)), most
    )
    return told


def test_refusals_are_published_once_and_beyond_the_limit_only_counted():
    subscriber, _ = taken()
    for number in range(150):
        subscriber.refuse("home/attic/armed/set", str(number))
    told = told_by(subscriber)
    assert told_by(subscriber) == []
    assert told[0] == ("home/attic/refused", UNREPORTED.format(50), 1)
    assert [why for _, why, _ in told[1:]] == [str(number) for number in range(50, 150)]


def test_refusals_are_published_a_few_at_a_time():
    subscriber, _ = taken()
    for number in range(MAX_REFUSALS):
        subscriber.refuse("home/attic/armed/set", str(number))
    assert told_by(subscriber, most=-3) == []
    assert [len(told_by(subscriber, most=7)) for _ in range(3)] == [7, 7, 7]
    assert told_by(subscriber, most=1)[0][1] == "21"


@pytest.mark.parametrize(
    "topic", ["home/attic/labels/set", "home/attic/armed/set", "home/attic/a/threshold/b/set"]
)
def test_an_exception_while_parsing_a_command_is_a_refusal(monkeypatch, topic):
    def fail(*_):
        raise IndexError("list index out of range")

    monkeypatch.setattr("monitor.outputs.mqtt.subscriber.parse_command", fail)
    _, ((shown, why),) = taken(Received(topic, "{}", retained=False))
    assert (shown, why) == (topic, "the command cannot be read: IndexError: list index out of range")
