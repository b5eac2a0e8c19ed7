"""Thresholds from a desired rate of false alarms, on the command line."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from monitor.config import load
from monitor.detection.engine import load_engine
from monitor.outputs.store import FILE
from tests.support.command_line import ROOT, clap_monitor
from tests.support.events import label_of
from tests.support.remembered import remember
from tests.support.stored_events import event, storing

BEGIN = 1_795_435_200.0
CONFIGURATION = """
sources:
  - {name: crib, kind: microphone}
labels:
  - {id: dog, prompts: [a dog barking]}
  - {id: rooster, prompts: [a rooster crowing], target: 6/hour}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with four hours of a room in the memory of the embedded checkpoint."""
    place = tmp_path_factory.mktemp("place")
    (place / "monitor.yaml").write_text(CONFIGURATION)
    engine = load_engine(load(place / "monitor.yaml").model_copy(update={"state": place / "state"}))
    dimension, random = engine.model.dimension, np.random.default_rng(1)
    rows = random.normal(size=(4 * 7_200, dimension)) / math.sqrt(dimension)
    for direction in engine.prototypes.directions.vectors:
        at = random.choice(len(rows) // 40, 300, replace=False) * 40
        for strength, first in zip(random.exponential(0.4, 300), at, strict=True):
            rows[first : first + 2] += strength * direction
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    windows = SimpleNamespace(
        identity=engine.model.identity, rate=engine.rate, length=engine.length, hop=engine.hop
    )
    remember(place / "state", windows, rows, since=BEGIN)
    return place


def run(place, *arguments):
    return clap_monitor("thresholds", "-c", "monitor.yaml", "--since", "2020-01-01", *arguments, cwd=place)


def lines_of(done):
    assert done.returncode == 0, done.stderr
    return {each["label"]: each for each in map(json.loads, done.stdout.splitlines())}


def test_every_label_has_a_threshold_with_its_grade(place):
    found = lines_of(run(place, "--target", "3/hour", "--json"))
    assert list(found) == ["dog", "rooster"]
    for line in found.values():
        assert (line["source"], line["now"], line["target"]) == ("crib", 0.5, "3/hour")
        assert (line["grade"], line["right"], line["missed"]) == ("measured", 0, 0)
        assert line["interval"][0] < line["threshold"] < line["interval"][1]
        assert line["expected"] == pytest.approx(12, rel=0.01)


def test_without_a_target_those_of_the_labels_count(place):
    done = run(place)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("crib              rooster               0.50 -> 0.")
    assert "for 6/hour (80 %: " in line
    assert line.endswith("measured: 24 expected in 4 h, 100 sounds")


def test_what_is_too_rare_for_what_was_heard_is_refused_with_how_long_to_listen(place):
    done = run(place, "--target", "1/day", "--label", "dog")
    assert done.returncode == 65
    assert (
        "0.50 -> refused: too little was heard for so low a rate: 4 h so far, listen for 12 h" in done.stdout
    )
    assert done.stderr == "clap-monitor: no threshold could be found from the sounds of the past\n"


def test_thresholds_are_applied_for_the_next_start_and_taken_back(place):
    done = run(place, "--target", "3/hour", "--apply", "--json")
    set_now = {label: line["threshold"] for label, line in lines_of(done).items()}
    assert "from the next start on" in done.stderr
    again = lines_of(run(place, "--target", "1/hour", "--json"))
    assert {label: line["now"] for label, line in again.items()} == set_now
    assert again["dog"]["threshold"] > set_now["dog"]
    assert again["dog"]["grade"] == "factor_of_2"
    assert run(place, "--undo").stdout == (
        "the thresholds before the last --apply hold again from the next start on\n"
    )
    done = run(place, "--undo")
    assert (done.returncode, done.stdout) == (78, "")
    assert "there is nothing to take back" in done.stderr


def test_events_that_were_right_are_no_false_alarms_and_are_counted_if_missed(place):
    events = [event(at=BEGIN + 3_600 + 60 * number, source="crib") for number in range(20)]
    with storing(place / "state" / FILE) as store:
        for each in events:
            store.on_event(each, label_of("dog"))
        for each in events:
            store.review(each.id, "right").result(60)
    line = lines_of(run(place, "--target", "3/hour", "--label", "dog", "--json"))["dog"]
    assert line["right"] == 20
    assert 10 <= line["missed"] <= 20  # chance alone put sounds there
    assert line["hours"] < 3.99


def test_a_recording_takes_the_place_of_the_memory(place):
    demo = ROOT / "recordings/demo.flac"
    done = run(place, "--target", "12/hour", "--file", demo)
    assert done.returncode == 65
    assert (
        "crib              dog                   0.50 -> refused: less than 15 minutes were heard"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--target", "daily"), 2, "'daily' is not a rate of false alarms; write it like 0.5/day"),
        (("--target", "1/day", "--label", "cow"), 78, "there is no label 'cow'"),
        (("--target", "1/day", "--source", "attic"), 78, "nothing is remembered of 'attic'; only of crib"),
        (("--target", "1/day", "--source", "attic", "--file", "a.wav"), 78, "there is no 'attic'"),
        (("--target", "1/day", "--listen", "long"), 2, "'long' is no length of time"),
        (("--label", "dog"), 2, "give --target, such as 0.5/day: none of the labels has a target"),
        (("--target", "1/day", "--listen", "1h", "--file", "a.wav"), 2, "give --file or --listen, not both"),
        (("--target", "1/day", "--file", "a.wav"), 66, "a.wav"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_one_line(place, arguments, code, text):
    done = run(place, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr
