import json

from monitor.audio.source_status import Health
from monitor.outputs.mqtt.retained_states import RetainedStates
from monitor.outputs.mqtt.topics import Topics
from monitor.types import OfflineReason
from tests.support.queued_messages import letter

TOPICS = Topics("home", "attic")


def made():
    """Return states, and a list of what they say: last part of the topic, text, whether it is retained."""
    said = []

    def publish(topic, text, *, qos, retain=False):
        del qos
        said.append((topic.rpartition("/")[2], text, retain))

    return RetainedStates(TOPICS, labels={"mic0": ["glass"]}, publish=publish), said


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
    assert json.loads(said[-2][1])["event_id"] == again.event_id


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


def test_what_goes_wrong_and_what_is_over_is_told_once_and_not_retained():
    states, said = made()
    for health in (
        Health(),
        Health(OfflineReason.LOST, "unplugged"),
        Health(OfflineReason.NOT_OPENED, "busy"),
        Health(overloaded=True, dropped_seconds=0.5),
        Health(overloaded=True, dropped_seconds=1.0),
        Health(dropped_seconds=1.0),
    ):
        states.health("mic0", health)
    states.say_healths()
    states.say_healths()
    told = [json.loads(text) for topic, text, retained in said if topic == "warning" and not retained]
    assert [(each["warning"], each["phase"], each["text"]) for each in told] == [
        ("offline", "start", "unplugged"),
        ("offline", "end", None),
        ("overloaded", "start", "windows are left out: the model is slower than the hop"),
        ("overloaded", "end", None),
    ]
    assert (told[2]["node"], told[2]["source"], told[3]["dropped_seconds"]) == ("attic", "mic0", 1.0)
