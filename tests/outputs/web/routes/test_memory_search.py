"""Memory routes: the memory is searched over the web."""

import socket
import time

import numpy as np
import pytest

from tests.support.broker import eventually
from tests.support.events import ended, event
from tests.support.remembered import remember
from tests.support.web_server import LABELS, TOKEN, Engine, serving

AT = time.time() - 3_600
"""End of the first window."""


def sounds(*places, windows=240, sound="a dog barking"):
    """Return embeddings of rain, and of a sound at some places."""
    rain, other = Engine().embed_text(["rain falling", sound])
    rows = np.tile(rain, (windows, 1))
    rows[list(places)] = other
    return rows


@pytest.fixture
def served(tmp_path):
    remember(tmp_path, Engine(), sounds(100, 101, 200), since=AT)
    with serving(directory=tmp_path) as it:
        eventually(lambda: it.ask("GET", "/api/events").status == 200)
        yield it


def test_what_is_kept_is_listed(served):
    found = served.ask("GET", "/api/memory").json
    assert found["enabled"] is True
    assert found["other_checkpoints"] == 0
    (kept,) = found["sources"]
    assert kept["source"] == "crib"
    assert (kept["since"], kept["until"]) == pytest.approx((AT, AT + 239 / 2))
    assert kept["bytes"] > 240 * 2 * Engine.dimension


def test_a_sentence_finds_its_moments_best_first(served):
    found = served.write("POST", "/api/search", {"prompts": ["a dog barking"], "top": 2}).json
    first, second = sorted(moment["started_at"] for moment in found["moments"])
    assert first == pytest.approx(AT + 100 / 2 - 1)
    assert second == pytest.approx(AT + 200 / 2 - 1)
    assert {moment["source"] for moment in found["moments"]} == {"crib"}
    assert found["moments"][0]["level_dbfs"] == -40


def test_a_moment_comes_with_the_events_that_overlap_it(served):
    bark = event(number=7, source="crib", at=AT + 49.5)
    long_ago = event(number=8, source="crib", at=AT - 600)
    elsewhere = event(number=9, source="attic", at=AT + 49.5)
    for each in (bark, long_ago, elsewhere):
        served.store.on_event(ended(each), LABELS[0])
    eventually(lambda: len(served.ask("GET", "/api/events").json["rows"]) == 3)
    moments = served.write("POST", "/api/search", {"prompts": ["a dog barking"], "top": 2}).json["moments"]
    events = {round(moment["peak_at"] - AT): moment["events"] for moment in moments}
    assert [each["event_id"] for each in events[50]] == [bark.id]
    assert events[100] == []


def test_only_the_period_and_the_source_that_are_asked_for_are_searched(served):
    query = {"prompts": ["a dog barking"], "top": 1, "since": AT + 60, "until": AT + 110}
    (moment,) = served.write("POST", "/api/search", query).json["moments"]
    assert moment["peak_at"] == pytest.approx(AT + 100)
    nothing = served.write("POST", "/api/search", query | {"source": "attic"}).json
    assert nothing["moments"] == []


def test_more_like_an_event_is_found(served):
    bark = ended(event(number=7, source="crib", at=AT + 49), 1.5)
    unknown = ended(event(number=8, source="attic", at=AT + 49), 1.5)
    for each in (bark, unknown):
        served.store.on_event(each, LABELS[0])
    eventually(lambda: len(served.ask("GET", "/api/events").json["rows"]) == 2)
    found = served.ask("GET", f"/api/events/{bark.id}/similar?top=2").json["moments"]
    assert sorted(round(moment["peak_at"] - AT) for moment in found) == [50, 100]
    refused = served.ask("GET", f"/api/events/{unknown.id}/similar")
    assert refused.status == 404
    assert "nothing is remembered of that moment at attic" in refused.json["detail"]
    assert served.ask("GET", "/api/events/unknown/similar").status == 404


def test_more_like_a_moment_is_found(served):
    like = {"source": "crib", "started_at": AT + 99.3, "ended_at": AT + 99.8}
    found = served.write("POST", "/api/search", {"like": like, "top": 2}).json["moments"]
    assert sorted(round(moment["peak_at"] - AT) for moment in found) == [50, 100]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"prompts": []},
        {"like": {"source": "crib", "started_at": 1, "ended_at": "later"}},
        {"prompts": [" "]},
        {"prompts": ["x" * 301]},
        {"prompts": ["a dog"], "top": 0},
        {"prompts": ["a dog"], "since": -1},
        {"prompts": ["a dog"], "source": ""},
    ],
)
def test_what_cannot_be_searched_is_refused(served, query):
    refused = served.write("POST", "/api/search", query)
    assert refused.status == 422
    assert refused.json["detail"]


def test_a_reader_may_look_but_not_search(served):
    assert served.ask("GET", "/api/memory").status == 200
    assert served.ask("POST", "/api/search", {"prompts": ["a dog"]}).status == 401


def test_without_a_memory_the_answer_says_so(tmp_path):
    with serving(directory=tmp_path, remembers=False) as served:
        assert served.ask("GET", "/api/memory").json["enabled"] is False
        refused = served.write("POST", "/api/search", {"prompts": ["a dog"]})
        assert refused.status == 503
        assert refused.json["detail"] == "Nothing is remembered: memory.enabled is false"


def test_a_search_whose_client_has_gone_does_not_hold_up_the_next(served):
    body = b'{"prompts": ["a dog barking"]}'
    head = f"POST /api/search HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.port)) as client:
            client.sendall(head.encode() + body)
    eventually(lambda: served.write("POST", "/api/search", {"prompts": ["a dog"]}).status == 200)
    assert served.web.faults.count == 0
