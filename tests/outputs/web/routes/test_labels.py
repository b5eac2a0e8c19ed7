"""Label routes: labels are changed over the web."""

from types import SimpleNamespace

import numpy as np
import pytest

from monitor.outputs.live.broadcast import labels_message
from tests.support.broker import eventually
from tests.support.web_server import Engine, serving


@pytest.fixture
def served(tmp_path):
    with serving(directory=tmp_path) as it:
        yield it


def test_labels_are_listed_as_they_are_listened_for(served):
    found = served.ask("GET", "/api/labels").json
    assert [(label["id"], label["name"]) for label in found["rows"]] == [("dog", "Dog"), ("cat", "The cat")]
    assert found["rows"][0]["thresholds"] == {"crib": 0.5}
    assert found["armed"] is True


def test_a_label_that_a_source_does_not_detect_has_no_threshold_there(tmp_path):
    with serving(directory=tmp_path, detects=("dog",)) as served:
        found = served.ask("GET", "/api/labels").json["rows"]
        assert [label["thresholds"] for label in found] == [{"crib": 0.5}, {}]
        assert labels_message(served.control.active_labels)["labels"][1]["thresholds"] == {}


def test_a_threshold_is_set_everywhere_or_at_one_source(served):
    answer = served.write("PUT", "/api/labels/dog/threshold", {"threshold": 0.7})
    assert (answer.status, answer.json["threshold"]) == (200, 0.7)
    served.write("PUT", "/api/labels/dog/threshold", {"threshold": 0.6, "source": "crib"})
    assert served.control.active_labels.label("crib", "dog").threshold == 0.6
    assert served.control.active_labels.find("dog").threshold == 0.7


@pytest.mark.parametrize("threshold", [1.1, -0.1, "high", None, "NaN"])
def test_a_threshold_that_is_none_is_refused(served, threshold):
    refused = served.write("PUT", "/api/labels/dog/threshold", {"threshold": threshold})
    assert refused.status == 422
    assert served.control.active_labels.find("dog").threshold == 0.5


def test_a_label_is_added_by_its_sentence_changed_and_removed(served):
    added = served.write("POST", "/api/labels", {"prompts": ["Water running!"], "name": "Tap"})
    assert (added.status, added.json["id"], added.json["name"]) == (201, "water_running", "Tap")
    assert served.write("POST", "/api/labels", {"prompts": ["water running"]}).status == 409
    changed = served.write("PATCH", "/api/labels/water_running", {"against": ["rain"], "name": None})
    assert (changed.json["against"], changed.json["name"]) == (["rain"], "Water running")
    served.write("PUT", "/api/labels/water_running/enabled", {"enabled": False})
    assert not served.control.active_labels.find("water_running").enabled
    left = served.write("DELETE", "/api/labels/water_running").json["rows"]
    assert [label["id"] for label in left] == ["dog", "cat"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/labels/bird/what-if", None, 404),
        ("PUT", "/api/labels/bird/threshold", {"threshold": 0.5}, 404),
        ("PUT", "/api/labels/dog/threshold", {"threshold": 0.5, "source": "attic"}, 422),
        ("PATCH", "/api/labels/dog", {"prompts": []}, 422),
        ("PATCH", "/api/labels/dog", {"nonsense": 1}, 422),
        ("PATCH", "/api/labels/dog", {"threshold": 0.2, "release_threshold": 0.4}, 422),
        ("POST", "/api/labels", {"prompts": []}, 422),
        ("POST", "/api/labels", {"id": "No Id", "prompts": ["a bird"]}, 422),
        ("POST", "/api/labels", {"prompts": ["x" * 301]}, 422),
        ("POST", "/api/labels", {"prompts": ["a bird"] * 31}, 422),
        ("DELETE", "/api/labels/UPPER", None, 422),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(served, method, path, body, status):
    refused = served.write(method, path, body)
    assert refused.status == status
    assert refused.json["detail"]


def test_the_last_label_stays(served):
    assert served.write("DELETE", "/api/labels/cat").status == 200
    refused = served.write("DELETE", "/api/labels/dog")
    assert refused.status == 422
    assert "none would be enabled" in refused.json["detail"]


def test_listening_is_switched_off_and_on(served):
    assert served.write("PUT", "/api/armed", {"armed": False}).json == {"armed": False}
    assert not served.control.active_labels.armed
    assert served.write("PUT", "/api/armed", {"armed": True}).json == {"armed": True}


def test_a_prompt_is_tried_on_the_last_minute_and_changes_nothing(served):
    dog, rain = Engine().embed_text(["a dog barking", "rain falling"])
    for at, sound in enumerate([rain] * 100 + [dog]):
        served.memory.add(
            SimpleNamespace(source="crib", ended_at=float(at), level_dbfs=-30.0, embedding=sound)
        )
    tried = served.write("POST", "/api/try", {"prompts": ["a dog barking loudly"]}).json
    heard = tried["heard"]["crib"]
    assert len(heard["scores"]) == len(heard["at"]) == 101
    assert np.argmax(heard["scores"]) == 100
    assert tried["near"][0] == {
        "text": "a dog barking",
        "label": "dog",
        "likeness": tried["near"][0]["likeness"],
    }
    assert [label.id for label in served.control.active_labels.labels] == ["dog", "cat"]


def test_what_would_have_been_is_counted_for_every_threshold(served):
    path = "/api/labels/dog/what-if?seconds=3600"
    eventually(lambda: served.ask("GET", path).status == 200)
    assert len(served.ask("GET", path).json["events"]) == 101
    assert served.ask("GET", "/api/labels/dog/what-if?seconds=inf").status == 422


def test_a_reader_may_not_try_nor_change(served):
    assert served.ask("POST", "/api/try", {"prompts": ["a dog"]}).status == 401
    assert served.ask("PUT", "/api/armed", {"armed": False}).status == 401
    assert served.control.active_labels.armed
