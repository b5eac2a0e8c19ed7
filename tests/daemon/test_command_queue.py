"""Changes that are asked for while the monitor runs, with a control plane that only notes them."""

import logging

import pytest

from monitor.config import LabelConfig
from monitor.daemon.command_queue import LABELS, LOST, UNKNOWN, WAITING, CommandQueue
from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt.commands import Arm, PutLabel, RemoveLabel, SetThreshold
from monitor.types import ConfigError


class Noted:
    """Notes what it is asked for; refuses to remove, and fails at what no library should do."""

    def __init__(self):
        self.done = []
        labels = tuple(LabelConfig(id=f"l{number}", prompts=("a",)) for number in range(200))
        self.active_labels = ActiveLabels(labels, tuple(f"s{number}" for number in range(8)))

    def arm(self, *, armed):
        self.done.append(armed)

    def set_threshold(self, label, threshold, source):
        if label not in {each.id for each in self.active_labels.labels}:
            raise ConfigError(f"there is no label {label!r}")
        self.done.append((source, label, threshold))

    def put_label(self, keys):
        if "fails" in keys:
            raise IndexError("list index out of range")
        self.done.append(keys)

    def remove_label(self, label):
        raise ConfigError(f"{label}: there is no such label")

    def reload(self):
        self.done.append("reload")
        raise ConfigError("monitor.yaml:1: is no configuration")


def run(*asked):
    """Ask, run to the end; return the requests, what was done and what was refused."""
    control, refusals = Noted(), []
    requests = CommandQueue(control, lambda topic, why: refusals.append((topic, why)))
    for ask in asked:
        ask(requests)
    requests.close()
    requests.run()
    return requests, control.done, refusals


def said(topic, command):
    return lambda requests: requests.command(topic, command)


def threshold(number, value, source="s0"):
    return said(f"{source}/threshold/l{number}/set", SetThreshold(source, f"l{number}", value))


def test_what_is_asked_for_is_done_in_order_and_a_reload_that_fails_ends_nothing():
    _, done, refusals = run(
        said("labels/set", PutLabel({"id": "a"})),
        lambda requests: requests.reload(),
        said("labels/set", PutLabel({"id": "b"})),
    )
    assert done == ["reload", {"id": "a"}, {"id": "b"}]
    assert refusals == []


def test_every_refusal_is_counted_and_told(caplog):
    caplog.set_level(logging.WARNING)
    requests, done, refusals = run(
        said("labels/set", "is not JSON"), said("labels/set", RemoveLabel("kettle"))
    )
    assert (requests.refused, done) == (2, [])
    assert refusals == [("labels/set", "is not JSON"), ("labels/set", "kettle: there is no such label")]
    assert "labels/set: refused, 1 in all: is not JSON" in caplog.text


def test_what_a_command_makes_a_library_raise_refuses_that_command_only(caplog):
    requests, done, refusals = run(
        said("labels/set", PutLabel({"fails": True})), said("labels/set", PutLabel({"id": "a"}))
    )
    assert done == [{"id": "a"}]
    why = "the command cannot be carried out: IndexError: list index out of range"
    assert refusals == [("labels/set", why)]
    assert why in caplog.text
    assert (requests.done, requests.refused) == (1, 1)


def test_of_a_flood_of_refusals_all_are_told_and_a_few_are_logged(caplog):
    requests, _, refusals = run(*[said("labels/set", "is not JSON")] * 3000)
    assert (requests.refused, len(refusals)) == (3000, 3000)
    assert 1 <= len(caplog.records) <= 10


def test_of_commands_that_are_carried_out_a_few_are_logged(caplog):
    caplog.set_level(logging.INFO)
    requests, _, _ = run(*[said("labels/set", PutLabel({"id": "a"})) for _ in range(100)])
    assert requests.done == 100
    assert 1 <= len(caplog.records) <= 10


BURSTS = {
    "many topics": (
        [threshold(number, 0.5, source) for source in ("s0", "s1", "s7") for number in range(200)],
        [(source, f"l{number}", 0.5) for source in ("s0", "s1", "s7") for number in range(200)],
        0,
    ),
    "one topic ten thousand times": (
        [threshold(3, number) for number in range(10_000)],
        [("s0", "l3", 9999)],
        9999,
    ),
    "two topics in turn": (
        [threshold(number % 2, number) for number in range(1000)],
        [("s0", "l0", 998), ("s0", "l1", 999)],
        998,
    ),
    "labels of one topic each": (
        [said("labels/set", PutLabel({"id": f"n{number}"})) for number in range(200)],
        [{"id": f"n{number}"} for number in range(200)],
        0,
    ),
    "keys of one label": (
        [
            said("labels/set", PutLabel(keys))
            for keys in ({"id": "a", "name": "A"}, {"id": "a", "clips": False})
        ],
        [{"id": "a", "name": "A"}, {"id": "a", "clips": False}],
        0,
    ),
    "a threshold after the label that it needs": (
        [threshold(1, 0.1), said("labels/set", PutLabel({"id": "l1"})), threshold(1, 0.9)],
        [{"id": "l1"}, ("s0", "l1", 0.9)],
        1,
    ),
    "armed at the end of a flood": (
        [*[threshold(number % 200, number) for number in range(5000)], said("armed/set", Arm(armed=False))],
        [False, *[("s0", f"l{number % 200}", number) for number in range(4800, 5000)]],
        4800,
    ),
    "armed and again": (
        [said("armed/set", Arm(armed=armed)) for armed in (False, True, False)],
        [False],
        2,
    ),
}


@pytest.mark.parametrize(("asked", "wanted", "replaced"), BURSTS.values(), ids=BURSTS)
def test_of_a_burst_the_newest_of_each_topic_is_carried_out_and_nothing_is_lost(asked, wanted, replaced):
    requests, done, refusals = run(*asked)
    assert done == wanted
    assert (requests.replaced, requests.lost, refusals) == (replaced, 0, [])


def test_labels_beyond_what_can_wait_are_told_counted_and_logged(caplog):
    most = WAITING[LABELS]
    requests, done, refusals = run(
        *[said("labels/set", PutLabel({"id": f"n{number}"})) for number in range(most + 50)]
    )
    assert done == [{"id": f"n{number}"} for number in range(50, most + 50)]
    assert (requests.lost, refusals) == (50, [("labels/set", LOST)] * 50)
    assert "labels/set: lost, 1 in all" in caplog.text
    assert len(caplog.records) <= 10


def test_a_flood_about_labels_that_there_are_not_pushes_nothing_else_out():
    flood = [
        said(f"s0/threshold/x{number}/set", SetThreshold("s0", f"x{number}", 0.5)) for number in range(5000)
    ]
    requests, done, refusals = run(
        said("armed/set", Arm(armed=False)), threshold(1, 0.1), said("labels/set", PutLabel({"id": "a"})),
        *flood, threshold(2, 0.2),
    )  # fmt: skip
    assert done == [False, ("s0", "l1", 0.1), {"id": "a"}, ("s0", "l2", 0.2)]
    assert (requests.lost, requests.refused) == (5000 - WAITING[UNKNOWN], WAITING[UNKNOWN])
    assert len(refusals) == 5000


def test_what_still_waits_long_after_the_end_is_counted_and_told(monkeypatch):
    monkeypatch.setattr("monitor.daemon.command_queue.LAST_SECONDS", -1.0)
    requests, done, refusals = run(threshold(1, 0.1), threshold(2, 0.2))
    assert (done, requests.lost, len(refusals)) == ([], 2, 2)
