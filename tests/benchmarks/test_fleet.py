"""The trial of a fleet, with few nodes."""

import pytest

from benchmarks.fleet import trial

pytestmark = pytest.mark.broker


def test_every_event_arrives_every_node_answers_and_one_refuses_with_its_reason(tmp_path):
    figures = trial(20, seconds=3.0, rate=100.0, directory=tmp_path)
    assert figures.sent == figures.received > 100
    assert figures.listed == 20
    assert figures.accepted == 19
    why = "refused: source porch detects dog, which is not in the watchlist"
    assert figures.refused == [f"n0010: {why}"]
