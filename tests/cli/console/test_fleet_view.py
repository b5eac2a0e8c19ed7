"""The table of a fleet on a terminal."""

import io

from rich.console import Console

from monitor.cli.console.fleet_view import screen
from monitor.fleet.nodes import Nodes, summary_of
from tests.support.fleet_nodes import info, told
from tests.support.snapshots import NOW


def drawn(room, *messages, trouble=None):
    nodes = Nodes("clap-monitor", now=lambda: NOW)
    for message in messages:
        nodes.receive(message)
    text = io.StringIO()
    states = nodes.states()
    Console(file=text, width=200).print(screen(states, summary_of(states), trouble, room))
    return text.getvalue()


def test_nodes_that_do_not_hear_come_first_and_the_rest_is_counted():
    refuses = {"version": 1, "refused_version": 2, "reason": "too loud"}
    hall = [told("hall/status", "online"), told("hall/info", info())]
    picky = [told("picky/status", "online"), told("picky/info", info(watchlist=refuses))]
    shed = [told("shed/status", "offline"), told("shed/info", info())]
    everything = drawn(None, *hall, *picky, *shed)
    places = [everything.index(f"\n{name}") for name in ("shed", "picky", "hall")]
    assert places == sorted(places)
    assert "3 nodes: 2 online, 1 without audio, 1 refuse the watchlist" in everything
    assert "refused: too loud" in everything
    few = drawn(1, *hall, *picky, *shed)
    assert "hall" not in few
    assert "and 2 more; see --node, --label and --no-audio" in few


def test_a_narrow_terminal_shows_what_matters_whole():
    nodes = Nodes("clap-monitor", now=lambda: NOW)
    for message in (told("hall-by-the-door/status", "online"), told("hall-by-the-door/info", info())):
        nodes.receive(message)
    text = io.StringIO()
    states = nodes.states()
    Console(file=text, width=80).print(screen(states, summary_of(states), None, None, width=80))
    assert "hall-by-the-door" in text.getvalue()
    assert "calibration" not in text.getvalue()
    assert "…" not in text.getvalue()


def test_trouble_with_the_broker_is_said():
    assert "! broker.local:1883 closed the connection" in drawn(
        None, trouble="broker.local:1883 closed the connection"
    )
