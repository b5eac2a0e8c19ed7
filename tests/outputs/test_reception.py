"""What others say, without a broker: they choose some levels of a topic, line breaks included."""

from collections import deque

from monitor.outputs.broker import Received
from monitor.outputs.payload import Topics
from monitor.outputs.reception import LONGEST_TOPIC, Reception


def taken(*heard):
    """Return a reception that has taken what was said, and what it handed on."""
    said = []
    reception = Reception(
        Topics("home", "attic"),
        birth="ha/status",
        commands=True,
        on_command=lambda *words: said.append(words),
    )
    reception.take(deque(heard))
    return reception, said


def test_a_topic_is_repeated_without_line_breaks_and_not_for_ever(caplog):
    topic = "home/attic/a\nERROR b/threshold/" + "x" * 60_000 + "/set"
    _, said = taken(Received(topic, "1", retained=False), Received(topic, "1", retained=True))
    ((shown, command),) = said
    assert shown.startswith("home/attic/a?ERROR b/threshold/xxx")
    assert len(shown) == LONGEST_TOPIC
    assert command.label == "x" * 60_000
    assert "\n" not in caplog.records[0].getMessage()
    assert len(caplog.records[0].getMessage()) < LONGEST_TOPIC + 200


def test_a_birth_is_no_command_and_counts_only_if_it_happened_now():
    for text, retained, born in (("online", False, True), ("online", True, False), ("offline", False, False)):
        reception, said = taken(Received("ha/status", text, retained=retained))
        assert (reception.born, said) == (born, [])


def test_refusals_are_told_once_and_of_too_many_the_newest():
    reception, _ = taken()
    for number in range(150):
        reception.refuse("home/attic/armed/set", str(number))
    told = []
    for _ in range(2):
        reception.say(lambda topic, text, *, qos: told.append((topic, text, qos)))
    assert len(told) == 100
    assert told[-1] == ("home/attic/refused", '{"topic":"home/attic/armed/set","reason":"149"}', 1)
