"""Learning by example over the web: from events, and from what was just heard."""

import time
from types import SimpleNamespace

import pytest

from monitor.detection.quantised import restored
from tests.support.broker import eventually
from tests.support.events import ended, event
from tests.support.web_server import LABELS, Engine, serving


@pytest.fixture
def served(tmp_path):
    """A monitor that has just heard a bell and then rain; the bell was an event."""
    with serving(directory=tmp_path) as it:
        bell, rain = Engine().embed_text(["a bell", "rain falling"])
        now = time.time()
        heard = [(rain, -60), (bell, -20), (bell, -20), (bell, -60), (rain, -60), (rain, -60)]
        for number, (sound, level) in enumerate(heard):
            window = SimpleNamespace(
                source="crib", ended_at=now - 3 + number / 2, level_dbfs=float(level), embedding=sound
            )
            it.memory.add(window)
        it.store.on_event(ended(event(number=1, at=now - 4, source="crib")), LABELS[0])
        eventually(lambda: it.ask("GET", "/api/events").json.get("rows"))
        yield it


def event_id(served):
    [row] = served.ask("GET", "/api/events").json["rows"]
    return row["event_id"]


def test_a_new_label_is_learned_from_what_was_just_heard(served):
    answer = served.write("POST", "/api/labels/bell/learn", {"seconds": 10, "name": "Our bell"})
    assert answer.status == 200
    assert answer.json["label"]["name"] == "Our bell"
    assert (answer.json["label"]["examples"], answer.json["label"]["prompts"]) == (True, [])
    assert answer.json["examples"]["origins"][0].startswith("crib 20")
    learned = served.control.examples["bell"].embeddings[0]
    bell, rain = Engine().embed_text(["a bell", "rain falling"])
    assert learned @ bell > 0.99 > learned @ rain


def test_a_label_learns_from_events_lists_its_examples_and_forgets_them(served):
    wanted = event_id(served)
    answer = served.write("POST", "/api/labels/dog/learn", {"events": [wanted]})
    assert answer.json["examples"] == {"label": "dog", "origins": [wanted], "wrong": []}
    assert served.ask("GET", "/api/labels/dog/examples").json["origins"] == [wanted]
    same = served.write("POST", "/api/labels/dog/learn", {"seconds": 30, "source": "crib"})
    assert len(same.json["examples"]["origins"]) == 1
    once = served.write("POST", "/api/labels/dog/learn", {"events": [wanted], "replace": True})
    assert once.json["examples"]["origins"] == [wanted]
    gone = served.write("DELETE", "/api/labels/dog/examples")
    assert (gone.json["label"]["examples"], gone.json["examples"]["origins"]) == (False, [])


def test_an_event_marked_wrong_is_a_rival_of_its_label_until_the_mark_is_taken_back(served):
    wrong, path = event_id(served), f"/api/events/{event_id(served)}/review"
    answer = served.write("PUT", path, {"mark": "wrong"})
    assert (answer.status, answer.json) == (200, {"done": True, "rival": True})
    label = LABELS[0].id
    assert served.ask("GET", f"/api/labels/{label}/examples").json["wrong"] == [wrong]
    bell, rain = Engine().embed_text(["a bell", "rain falling"])
    [rival] = restored(served.control.examples[label].rivals)
    assert rival @ bell > 0.99 > rival @ rain
    for mark in ("right", "wrong", None):
        assert served.write("PUT", path, {"mark": mark}).json["rival"] is (mark == "wrong")
    assert served.ask("GET", f"/api/labels/{label}/examples").json["wrong"] == []
    served.store.on_event(ended(event(number=2, at=time.time() - 900, source="crib")), LABELS[0])
    eventually(lambda: len(served.ask("GET", "/api/events").json["rows"]) == 2)
    [old] = {row["event_id"] for row in served.ask("GET", "/api/events").json["rows"]} - {wrong}
    answer = served.write("PUT", f"/api/events/{old}/review", {"mark": "wrong"})
    assert (answer.status, answer.json["rival"]) == (200, False)  # nothing is remembered of that time


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("bell/learn", {}, 422, "there is nothing to learn from: give events, or seconds"),
        ("bell/learn", {"events": ["nothing"]}, 404, "There is no event 'nothing'"),
        ("bell/learn", {"seconds": 3, "source": "attic"}, 422, "source: give one of crib"),
        ("bell/learn", {"seconds": 31}, 422, ""),
        ("bell/learn", {"seconds": 3, "record": 3}, 422, ""),
        ("UPPER/learn", {"seconds": 3}, 422, ""),
    ],
)
def test_what_cannot_be_learned_is_refused_with_a_reason(served, path, body, status, words):
    refused = served.write("POST", f"/api/labels/{path}", body)
    assert (refused.status, words in refused.body.decode()) == (status, True)
    assert [label.id for label in served.control.active_labels.labels] == ["dog", "cat"]


def test_a_label_without_prompts_keeps_its_examples(served):
    served.write("POST", "/api/labels/bell/learn", {"seconds": 10})
    refused = served.write("DELETE", "/api/labels/bell/examples")
    assert (refused.status, "has no prompts" in refused.body.decode()) == (422, True)
    assert served.ask("GET", "/api/labels/none/examples").status == 404


def test_a_reader_may_not_teach(served):
    assert served.ask("POST", "/api/labels/bell/learn", {"seconds": 10}).status == 401
