import pytest

from monitor.config import LabelConfig
from monitor.daemon.snapshot import _label, problems
from monitor.detection.active_labels import ActiveLabels
from tests.support.snapshots import offline, snapshot
from tests.support.stored_events import event


def found(told):
    return [(each["what"], each["why"]) for each in problems(told)]


def test_a_monitor_that_works_has_no_problems():
    assert problems(snapshot()) == []


def test_outputs_that_are_not_configured_are_no_problems():
    assert problems(snapshot(mqtt=None, store=None, clips=None, notify=[], hooks=[])) == []


def test_a_source_that_hears_nothing_is_one():
    assert found(offline()) == [("crib", "offline: device lost")]


def test_a_source_that_has_ended_is_none():
    told = snapshot()
    told["sources"]["crib"] |= {"online": False, "ended": True}
    assert problems(told) == []


def test_windows_that_are_left_out_are_one():
    told = snapshot()
    told["sources"]["porch"]["overloaded"] = True
    assert found(told) == [("porch", "windows are left out: the model is slower than the hop")]


@pytest.mark.parametrize(("trouble", "why"), [(None, "not reached yet"), ("h:1 refused", "h:1 refused")])
def test_a_broker_that_is_away_is_one(trouble, why):
    told = snapshot()
    told["mqtt"] |= {"connected": False, "trouble": trouble}
    assert found(told) == [("broker", f"not connected: {why}")]


def test_what_cannot_be_kept_told_or_run_is_one_each():
    told = snapshot(reload={"at": 0.0, "faults": ["monitor.yaml:3: node: x"]})
    told["store"]["trouble"] = told["clips"]["trouble"] = "the disk is full"
    told["notify"][0]["trouble"] = "no answer in time"
    told["hooks"][0]["trouble"] = "failed: exit code 3"
    assert found(told) == [
        ("store", "cannot be written: the disk is full"),
        ("clips", "cannot be written: the disk is full"),
        ("notify phone", "no answer in time"),
        ("hook siren", "failed: exit code 3"),
        ("reload", "refused: monitor.yaml:3: node: x"),
    ]


def test_a_directory_that_is_not_what_it_was_is_a_problem():
    told = snapshot(directories={"state": "was replaced while the monitor ran", "recordings": None})
    assert {"what": "state", "why": "was replaced while the monitor ran"} in problems(told)
    assert "recordings" not in {problem["what"] for problem in problems(told)}


def test_what_a_broker_does_not_take_is_one_though_it_is_connected():
    told = snapshot()
    told["mqtt"] |= {
        "problems": ["h:1 refuses messages under a (not authorised)"],
        "refused": 3,
    }
    assert found(told) == [("broker", "h:1 refuses messages under a (not authorised)")]


def test_the_last_event_of_a_label_has_its_score_and_its_peak_by_their_names():
    active_labels = ActiveLabels((LabelConfig(id="dog", prompts=("a dog barking",)),), ("mic",))
    told = _label(active_labels, "dog", event(peak_score=0.9))["last_event"]
    assert (told["score"], told["peak_score"]) == (0.7, 0.9)
