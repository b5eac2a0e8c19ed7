import json

from monitor.outputs.mqtt.retained_states import RetainedStates
from monitor.outputs.mqtt.topics import Topics
from tests.support.queued_messages import queued


def made():
    """Return states, and a list of what they publish: last level of the topic, text, retain."""
    published = []

    def publish(topic, text, *, qos, retain=False):
        assert qos == 1
        published.append((topic.rpartition("/")[2], text, retain))

    return RetainedStates(Topics("home", "attic"), {"mic0": ["glass"]}, publish), published


def on_off(published):
    return [text for topic, text, _ in published if topic == "state"]


def test_the_newest_state_is_published_and_nothing_older_after_it():
    states, published = made()
    start, end, again = queued(1), queued(2, phase="end"), queued(3)
    states.on_event(start)
    states.on_event(end)
    states.publish_labels()
    states.publish_label(start)
    states.publish_label(end)
    assert on_off(published) == ["OFF"]
    states.on_event(again)
    states.publish_label(again)
    assert on_off(published) == ["OFF", "ON"]
    assert json.loads(published[-2][1])["event_id"] == again.event_id


def test_an_event_of_an_earlier_run_does_not_change_the_state():
    states, published = made()
    states.publish_labels()
    states.publish_label(queued(0))
    assert on_off(published) == ["OFF"]


def test_the_status_of_a_source_is_published_when_it_changes_and_on_every_connection():
    states, published = made()
    states.republish()
    assert states.set_online("mic0", online=True)
    assert not states.set_online("mic0", online=True)
    states.publish_sources()
    states.publish_sources()
    states.republish()
    statuses = [text for topic, text, _ in published if topic == "status"]
    of_source, of_node = ["offline", "online", "online"], ["online", "online"]
    assert statuses == [of_source[0], of_node[0], of_source[1], of_source[2], of_node[1]]


def test_everything_is_retained():
    states, published = made()
    states.publish_offline()
    assert published == [
        ("state", "OFF", True),
        ("listeners", "0", True),
        ("status", "offline", True),
        ("status", "offline", True),
    ]
