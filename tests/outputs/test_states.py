import json

from monitor.outputs.payload import Topics
from monitor.outputs.states import States
from tests.outputs.letters import letter

TOPICS = Topics("home", "attic")


def made():
    """Return states, and a list of what they say: last part of the topic, text, whether it is retained."""
    said = []

    def publish(topic, text, *, qos, retain=False):
        del qos
        said.append((topic.rpartition("/")[2], text, retain))

    return States(TOPICS, sources=["mic0"], labels=["glass"], publish=publish), said


def on_off(said):
    return [text for topic, text, _ in said if topic == "state"]


def test_of_all_that_was_noted_the_newest_is_said_and_nothing_older_after_it():
    states, said = made()
    start, end, again = letter(1), letter(2, phase="end"), letter(3)
    states.event(start)
    states.event(end)
    states.say_labels()
    states.say_label(start)
    states.say_label(end)
    assert on_off(said) == ["OFF"]
    states.event(again)
    states.say_label(again)
    assert on_off(said) == ["OFF", "ON"]
    assert json.loads(said[-1][1])["event_id"] == again.event_id


def test_what_an_earlier_run_left_is_no_state_of_now():
    states, said = made()
    states.say_labels()
    states.say_label(letter(0))
    assert on_off(said) == ["OFF"]


def test_a_source_is_said_when_it_changes_and_to_every_new_connection():
    states, said = made()
    states.say_anew()
    assert states.source("mic0", online=True)
    assert not states.source("mic0", online=True)
    states.say_sources()
    states.say_sources()
    states.say_anew()
    statuses = [text for topic, text, _ in said if topic == "status"]
    of_source, of_node = ["offline", "online", "online"], ["online", "online"]
    assert statuses == [of_source[0], of_node[0], of_source[1], of_source[2], of_node[1]]


def test_only_levels_are_not_retained():
    states, said = made()
    states.level("mic0", -40.0)
    assert states.due() == 0.0
    states.say_levels()
    states.say_over()
    assert {topic for topic, _, retained in said if not retained} == {"level"}
    assert [text for _, text, retained in said if retained] == ["OFF", "offline", "offline"]
