"""Nodes of a broker, and what is known of them."""

import json
import pickle

import pytest

from monitor.fleet.node_state import SILENT_SECONDS, Acknowledgement
from monitor.fleet.nodes import ENTITIES, NodeFilter, Nodes, summary_of
from monitor.system.clock_sync import ClockSync
from tests.support.fleet_nodes import event, info, told
from tests.support.snapshots import NOW


def nodes_of(*messages, now=NOW):
    nodes = Nodes("clap-monitor", now=lambda: now)
    for message in messages:
        nodes.receive(message)
    return nodes


def state_of(*messages, now=NOW):
    (state,) = nodes_of(*messages, now=now).states()
    return state


ONLINE = told("hall/status", "online")


def test_a_node_is_what_it_says_of_itself():
    state = state_of(ONLINE, told("hall/info", info()))
    assert (state.node, state.online, state.no_audio, state.armed) == ("hall", True, None, True)
    assert (state.version, state.calibration, state.real_time_factor) == ("0.1.0", "qualified", 0.021)
    assert (state.clock_synchronised, state.clock_error_seconds) == (True, 0.004)
    assert (state.sources, state.entities) == (2, 12)
    assert json.loads(json.dumps(state.document()))["last_event"]["label"] == "dog"


@pytest.mark.parametrize(
    ("messages", "now", "why"),
    [
        ([told("hall/status", "offline"), told("hall/info", info())], NOW, "offline"),
        ([ONLINE], NOW, "says nothing of itself: its version is too old for a fleet"),
        ([ONLINE, told("hall/info", info())], NOW + SILENT_SECONDS + 100, "silent for 7 minutes"),
        (
            [
                ONLINE,
                told(
                    "hall/info",
                    info(
                        sources={
                            "crib": {
                                "online": False,
                                "offline_reason": "lost",
                                "offline_text": "unplugged",
                                "overloaded": False,
                                "level_dbfs": None,
                            }
                        }
                    ),
                ),
            ],
            NOW,
            "crib: unplugged",
        ),
    ],
    ids=["offline", "old", "silent", "unplugged"],
)
def test_a_node_without_audio_has_a_reason(messages, now, why):
    assert state_of(*messages, now=now).no_audio == why


def test_the_newest_event_is_that_which_came_last():
    later = event("hall", "cat", started_at=NOW + 100.0)
    state = state_of(ONLINE, told("hall/info", info()), told("hall/porch/event", later, retained=False))
    assert (state.last_event.label, state.last_event.source) == ("cat", "porch")


def test_an_unset_clock_is_said():
    state = state_of(ONLINE, told("hall/info", info(clock=ClockSync(synchronised=False, error_seconds=None))))
    assert (state.clock_synchronised, state.clock_error_seconds) == (False, None)


def test_a_refusal_of_the_watchlist_is_kept_with_its_reason():
    said = {"version": 6, "refused_version": 7, "reason": "labels[0]: no prompts", "left_out": ["a", 5]}
    state = state_of(ONLINE, told("hall/info", info(watchlist=said)))
    assert state.watchlist == Acknowledgement(6, 7, "labels[0]: no prompts", ("a",))


def test_a_node_whose_messages_were_deleted_is_gone():
    nodes = nodes_of(ONLINE, told("hall/info", info()), told("hall/info", ""), told("hall/status", ""))
    assert nodes.states() == []


NONSENSE = ["", "null", "[]", "7", '"x"', "{", '{"sources": 5, "problems": {"a": 1}, "version": 3}', "\x00"]
NONSENSE += [
    '{"at": "yesterday", "entities": -4, "last_event": {"label": 5}, "watchlist": "yes"}',
    "[" * 5000,
]


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_a_node_that_says_nothing(text):
    state = state_of(ONLINE, told("hall/info", text))
    assert state.online
    assert (state.version, state.entities, state.problems, state.last_event) == (None, 0, (), None)


def test_of_a_huge_node_little_is_kept():
    huge = {f"s{i}": {"offline_reason": "x" * 150} for i in range(250)}
    problems = [{"what": "y" * 300, "why": "z" * 300}] * 60
    tree = {"deeper": ["a" * 30] * 300}
    nodes = nodes_of(
        ONLINE, told("hall/info", info() | {"sources": huge, "problems": problems, "more": tree})
    )
    (state,) = nodes.states()
    assert len(pickle.dumps(nodes._told)) < 20_000
    assert (state.sources, state.no_audio, len(state.problems)) == (250, f"s0: {'x' * 150}", 20)


@pytest.mark.parametrize(
    "topic", ["fleet/status", "Hall/status", "a b/status", f"{'x' * 33}/status", "status"]
)
def test_what_is_no_name_of_a_node_is_none(topic):
    assert nodes_of(told(topic, "online")).states() == []


def test_nodes_are_counted_with_their_entities():
    messages = [told(f"n{i}/status", "online") for i in range(3)]
    messages += [told(f"n{i}/info", info(entities=4000)) for i in range(2)]
    messages.append(told("n0/status", "offline"))
    counts = summary_of(nodes_of(*messages).states())
    assert (counts.nodes, counts.online, counts.no_audio, counts.entities) == (3, 2, 2, 8000)
    assert counts.entities < ENTITIES


def test_filters_choose_nodes_by_name_newest_label_and_missing_audio():
    nodes = nodes_of(
        told("hall-1/status", "online"), told("hall-1/info", info()), told("attic/status", "offline")
    )

    def chosen(**filters):
        return [state.node for state in nodes.states() if NodeFilter(**filters).admits(state)]

    assert chosen() == ["attic", "hall-1"]
    assert chosen(node="hall-*") == ["hall-1"]
    assert chosen(label="dog") == ["hall-1"]
    assert chosen(label="c*") == []
    assert chosen(no_audio=True) == ["attic"]
