"""Advice on labels over the web: which are confused, and thresholds for desired rates of false alarms."""

import time

import numpy as np
import pytest

from tests.support.remembered import remember
from tests.support.web_server import Engine, serving

DAY = 86_400


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A day in which something like both the dog and the cat is heard now and then, at any hour."""
    directory = tmp_path_factory.mktemp("advice")
    numbers = np.random.default_rng(5)
    dog, cat = Engine().embed_text(["a dog barking", "a cat meowing"])
    other = np.linalg.svd(np.stack([dog, cat]))[2][-1].astype(np.float32)
    shares = np.zeros((2 * DAY, 1), np.float32)
    for first in numbers.choice(len(shares) // 20, 300, replace=False) * 20:
        shares[first : first + 8] = numbers.uniform(0.3, 1.0)
    rows = shares * (dog + cat) + (1 - shares) * other
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    remember(directory, Engine(), rows.astype(np.float32), since=float(int(time.time()) - DAY - 60))
    with serving(directory=directory) as it:
        yield it


def test_labels_that_fire_together_are_named(served):
    answer = served.write("POST", "/api/lint", {})
    assert answer.status == 200, answer.body
    (pair,) = answer.json["together"]
    assert {pair["label"], pair["other"]} == {"dog", "cat"}
    assert (pair["source"], pair["both"] >= 0.9 * pair["firings"] > 3) == ("crib", True)
    assert {(pair["label"], pair["other"]) for pair in answer.json["alike"]} <= {("dog", "cat")}


def test_a_wished_rate_of_false_alarms_gives_a_threshold_and_says_how_well_it_is_known(served):
    rare, often = (
        served.write("POST", "/api/labels/dog/advice", {"target": target}).json["rows"][0]
        for target in ("1/hour", "3/hour")
    )
    assert rare["source"] == "crib"
    assert 0 < often["threshold"] < rare["threshold"] < 1
    assert rare["words"].startswith("measured: ")


def test_what_cannot_be_said_is_refused_with_the_reason(served):
    (row,) = served.write("POST", "/api/labels/dog/advice", {"target": "0.1/week"}).json["rows"]
    assert row["threshold"] is None
    assert "listen for" in row["words"]


@pytest.mark.parametrize(
    ("target", "why"), [("soon", "is not a rate of false alarms"), ("99/hour", "out of range")]
)
def test_what_is_no_rate_is_refused(served, target, why):
    refused = served.write("POST", "/api/labels/dog/advice", {"target": target})
    assert (refused.status, why in refused.json["detail"]) == (422, True)


def test_who_asks_about_nothing_is_told(served):
    assert served.write("POST", "/api/labels/nobody/advice", {"target": "1/day"}).status == 404
    with serving() as forgetful:
        for path, body in (("lint", {}), ("labels/dog/advice", {"target": "1/day"})):
            refused = forgetful.write("POST", f"/api/{path}", body)
            assert (refused.status, refused.json["detail"]) == (
                503,
                "Nothing is remembered: memory.enabled is false",
            )


def test_a_target_takes_the_place_of_a_threshold_and_back(served):
    served.write("PUT", "/api/labels/cat/threshold", {"threshold": 0.7})
    with_target = served.write("PATCH", "/api/labels/cat", {"target": "1/day", "threshold": None})
    assert (with_target.status, with_target.json["keys"]["target"]) == (200, "1/day")
    without = served.write("PATCH", "/api/labels/cat", {"target": None})
    assert (without.json["keys"]["target"], without.json["threshold"]) == (None, 0.5)
