"""Replay route: events that a label would have started, asked over the web."""

import time

import numpy as np
import pytest

from tests.support.broker import eventually
from tests.support.events import ended, event
from tests.support.remembered import remember
from tests.support.web_server import LABELS, Engine, serving

AT = float(int(time.time()) - 7_200)
"""End of the first window."""

BARKS, HUSHES = (600, 1_800, 3_000), (4_200,)
"""First windows of eight in a row, at two a second."""


def unlike(*sounds):
    """Return the embedding of a sound to which none of these is similar."""
    beside = np.linalg.svd(np.stack(sounds))[2][-1]
    return beside.astype(np.float32)


@pytest.fixture
def served(tmp_path):
    dog, hush = Engine().embed_text(["a dog barking", "hush"])
    rows = np.tile(unlike(dog, hush), (7_200, 1))
    for first in BARKS:
        rows[first : first + 8] = dog
    for first in HUSHES:
        rows[first : first + 8] = hush
    remember(tmp_path, Engine(), rows, since=AT)
    with serving(directory=tmp_path) as it:
        eventually(lambda: it.ask("GET", "/api/events").status == 200)
        yield it


def replay(served, **query):
    answer = served.write("POST", "/api/replay", query)
    assert answer.status == 200, answer.body
    return answer.json


def test_a_label_in_force_is_replayed_and_compared_with_what_did_start(served):
    known = ended(event(number=1, source="crib", at=AT + BARKS[0] / 2), 4)
    before = ended(event(number=2, source="crib", at=AT - 600), 4)
    gone = ended(event(number=3, source="crib", at=AT + 1_200), 4)
    for each in (known, before, gone):
        served.store.on_event(each, LABELS[0])
    eventually(lambda: len(served.ask("GET", "/api/events").json["rows"]) == 3)
    found = replay(served, label="dog")
    assert (found["count"], found["both"], found["new"], found["gone"]) == (3, 1, 2, 1)
    assert [each["outcome"] for each in found["events"]] == ["new", "gone", "new", "both"]
    starts = [each["started_at"] for each in found["events"] if each["outcome"] != "gone"]
    assert starts == pytest.approx([AT + first / 2 for first in reversed(BARKS)], abs=1.5)
    assert found["since"] == pytest.approx(AT)


def test_events_are_counted_by_the_hour_of_the_day(served):
    hours = replay(served, label="dog")["hours"]
    expected = [0] * 24
    for first in BARKS:
        expected[time.localtime(AT + first / 2).tm_hour] += 1
    assert hours == expected


def test_another_threshold_gives_other_events_and_changes_nothing(served):
    assert replay(served, label="dog", keys={"threshold": 1.0})["count"] == 0
    assert replay(served, label="dog", keys={"threshold": 0.5})["count"] == 3
    assert served.control.active_labels.find("dog").threshold == 0.5


def test_a_threshold_of_its_own_holds_at_a_source_unless_another_is_tried(served):
    served.write("PUT", "/api/labels/dog/threshold", {"threshold": 1.0, "source": "crib"})
    assert replay(served, label="dog")["count"] == 0
    assert replay(served, label="dog", keys={"threshold": 0.5})["count"] == 3


def test_a_sentence_that_is_no_label_yet_is_replayed(served):
    found = replay(served, keys={"prompts": ["hush"]})
    assert (found["count"], found["new"], found["both"], found["gone"]) == (1, 1, 0, 0)
    assert found["events"][0]["started_at"] == pytest.approx(AT + HUSHES[0] / 2, abs=1.5)


def test_a_label_that_is_switched_off_is_replayed_all_the_same(served):
    served.write("PUT", "/api/labels/dog/enabled", {"enabled": False})
    served.write("PUT", "/api/armed", {"armed": False})
    assert replay(served, label="dog")["count"] == 3


def test_only_the_period_and_the_source_that_are_asked_for_count(served):
    assert replay(served, label="dog", since=AT + 800)["count"] == 2
    assert replay(served, label="dog", since=AT + 800, until=AT + 1_000)["count"] == 1
    nowhere = replay(served, label="dog", source="attic")
    assert (nowhere["count"], nowhere["since"]) == (0, None)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"label": "bird"}, 404),
        ({}, 422),
        ({"keys": {"nonsense": 1}}, 422),
        ({"label": "dog", "keys": {"threshold": 2}}, 422),
        ({"label": "dog", "keys": {"prompts": []}}, 422),
        ({"label": "No Id"}, 422),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_a_reason(served, query, status):
    refused = served.write("POST", "/api/replay", query)
    assert refused.status == status
    assert refused.json["detail"]


def test_without_a_memory_the_answer_says_so(tmp_path):
    with serving(directory=tmp_path, remembers=False) as served:
        refused = served.write("POST", "/api/replay", {"label": "dog"})
        assert (refused.status, refused.json["detail"]) == (
            503,
            "Nothing is remembered: memory.enabled is false",
        )
