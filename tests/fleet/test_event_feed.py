"""Events of all nodes in one stream, in bounded memory."""

import pytest

from monitor.fleet.event_feed import EventFeed, EventFilter, event_filter
from tests.support.fleet_nodes import event, told


def feed_of(*events, size=10, **filters):
    feed = EventFeed(EventFilter(**filters), size=size, wait_seconds=0.01, now=lambda: 12.5)
    for each in events:
        node = each.get("node", "hall") if isinstance(each, dict) else "hall"
        feed.receive(told(f"{node}/porch/event", each, retained=False))
    return feed


def test_an_event_is_what_its_node_said_and_when_it_came():
    (found,) = feed_of(event("hall", "dog")).take(1.0)
    assert found == event("hall", "dog") | {"received_at": 12.5}


def test_events_come_in_order_and_only_those_wanted():
    feed = feed_of(event("hall", "dog"), event("attic", "dog"), event("hall", "cat"), label="dog")
    assert [each["node"] for each in feed.take(1.0)] == ["hall", "attic"]
    assert feed.take(0.0) == []
    assert [each["label"] for each in feed_of(event("a-1"), event("b-1"), node="b*").take(1.0)] == ["dog"]


@pytest.mark.parametrize("content", ["", "null", "{}", "[" * 999, {"event_id": 1}, event() | {"label": None}])
def test_what_is_no_event_is_counted(content):
    feed = feed_of(content)
    assert (feed.unreadable, feed.take(0.0)) == (1, [])


@pytest.mark.parametrize(
    ("topic", "content"),
    [
        ("attic/porch/event", event("hall")),
        ("hall/garden/event", event("hall")),
        ("hall/porch/event", event("hall", more="x" * 20_000)),
    ],
    ids=["of another node", "of another source", "huge"],
)
def test_an_event_that_no_node_would_send_is_none(topic, content):
    feed = feed_of()
    feed.receive(told(topic, content, retained=False))
    assert (feed.unreadable, feed.take(0.0)) == (1, [])


def test_what_a_slow_reader_does_not_take_is_bounded_and_counted():
    feed = feed_of(*[event(number=i) for i in range(5)], size=3)
    assert feed.lost == 2
    assert [each["number"] for each in feed.take(0.0)] == [0, 1, 2]


def test_readers_with_one_name_share_the_events():
    assert event_filter("clap-monitor") == "clap-monitor/+/+/event"
    assert event_filter("clap-monitor", "east") == "$share/east/clap-monitor/+/+/event"
