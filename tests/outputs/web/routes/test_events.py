"""Event routes: events are found, played, marked, kept, deleted."""

import time

import pytest

from monitor.detection.near_misses import MissReason, NearMiss
from tests.support import events
from tests.support.broker import eventually
from tests.support.events import ended
from tests.support.web_server import LABELS, RATE, serving

BEGAN = float(int(time.time()) - 20_000)
"""What is too old is deleted, so that the past is a recent one."""

CLIP = "2026-11-26/20261126T120000Z_crib_dog_01JDPM0000000000000000000A.flac"


def event(number, label="dog", **fields):
    start = events.event(label, number=number, at=BEGAN + 1000.0 * number, source="crib", score=0.5)
    return ended(start, 1.0, **{"peak_score": 0.6} | fields)


@pytest.fixture
def served(tmp_path):
    with serving(directory=tmp_path) as it:
        file = tmp_path / CLIP
        file.parent.mkdir()
        file.write_bytes(bytes(range(256)) * 4)
        file.with_suffix(".png").write_bytes(b"picture")
        for number in range(1, 8):
            label = LABELS[(number + 1) % 2]
            it.store.on_event(event(number, label.id, peak_score=number / 10), label)
        it.store.on_clip_outcome(event(7).id, CLIP, "kept")
        it.store.on_near_miss(
            NearMiss("crib", "dog", 0, RATE, BEGAN, 0.4, 0.5, MissReason.BELOW_THRESHOLD, None, 0, 2, -30.0)
        )
        eventually(lambda: any(row["clip"] for row in it.ask("GET", "/api/events").json.get("rows", ())))
        yield it


def ids(answer):
    return [int(row["event_id"][3:]) for row in answer.json["rows"]]


def test_events_come_newest_first_page_by_page(served):
    first = served.ask("GET", "/api/events?limit=3")
    assert ids(first) == [7, 6, 5]
    second = served.ask("GET", f"/api/events?limit=3&after={first.json['next']}")
    assert ids(second) == [4, 3, 2]
    last = served.ask("GET", f"/api/events?limit=3&after={second.json['next']}")
    assert (ids(last), last.json["next"]) == ([1], None)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("label=cat", [6, 4, 2]),
        (f"label=cat&label=dog&since={BEGAN + 4000}&until={BEGAN + 6000}", [5, 4]),
        ("text=the", [6, 4, 2]),
        ("min_score=0.55", [7, 6]),
        ("with_clip=true", [7]),
        ("source=attic", []),
        ("review=right", []),
    ],
    ids=["label", "labels and times", "text", "score", "clip", "source", "mark"],  # the same in every process
)
def test_filters_go_together(served, query, wanted):
    assert ids(served.ask("GET", f"/api/events?{query}")) == wanted


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "since=nan", "since=-1", "after=nonsense", "review=maybe", "text=" + "x" * 101,
     "&".join(["label=a"] * 65), "min_score=2"],
)  # fmt: skip
def test_questions_without_bounds_are_refused(served, query):
    assert served.ask("GET", f"/api/events?{query}").status == 422


def test_a_mark_is_set_and_taken_back(served):
    path = f"/api/events/{event(3).id}"
    assert served.write("PUT", f"{path}/review", {"mark": "wrong"}).status == 200
    assert served.ask("GET", path).json["review"] == "wrong"
    assert served.write("PUT", f"{path}/review", {"mark": None}).status == 200
    assert served.ask("GET", path).json["review"] is None
    assert served.write("PUT", f"{path}/review", {"mark": "perhaps"}).status == 422
    assert served.write("PUT", "/api/events/nobody/review", {"mark": "right"}).status == 404
    assert served.ask("PUT", f"{path}/review", {"mark": "right"}).status == 401


def test_a_clip_is_played_from_anywhere_in_it(served):
    whole = served.ask("GET", f"/api/clips/{CLIP}")
    assert (whole.status, whole.headers["content-type"], len(whole.body)) == (200, "audio/flac", 1024)
    part = served.ask("GET", f"/api/clips/{CLIP}", range="bytes=100-199")
    assert (part.status, part.body) == (206, whole.body[100:200])
    assert part.headers["content-range"] == "bytes 100-199/1024"
    assert served.ask("GET", f"/api/clips/{CLIP}", range="bytes=5000-").status == 416
    assert (
        served.ask("GET", f"/api/clips/{CLIP.replace('.flac', '.png')}").headers["content-type"]
        == "image/png"
    )
    named = served.ask("GET", f"/api/clips/{CLIP}?download=true").headers["content-disposition"]
    assert named.startswith("attachment")


@pytest.mark.parametrize(
    "path",
    [
        "../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "2026-11-26/..%2f..%2fhistory.sqlite",
        "2026-11-26/../history.sqlite",
        "2026-11-26/%2e%2e",
        "%2e%2e/history.sqlite",
        "2026-11-26/no.flac",
        "2026-11-26/a%00.flac",
    ],
)
def test_nothing_but_clips_is_to_be_had(served, path):
    answer = served.ask("GET", f"/api/clips/{path}")
    assert answer.status in {404, 422}
    assert b"SQLite" not in answer.body


def test_a_clip_is_kept_for_good_or_no_longer(served):
    path = f"/api/events/{event(7).id}"
    assert served.write("PUT", f"{path}/lock", {"locked": True}).status == 200
    assert served.ask("GET", path).json["locked"] is True
    assert served.write("PUT", f"{path}/lock", {"locked": False}).status == 200
    assert served.ask("GET", path).json["locked"] is False
    assert served.write("PUT", f"/api/events/{event(1).id}/lock", {"locked": True}).status == 404


def test_an_event_is_deleted_for_good(served):
    path = f"/api/events/{event(2).id}"
    assert served.ask("DELETE", path).status == 401
    assert served.write("DELETE", path).status == 200
    assert served.ask("GET", path).status == 404
    assert served.write("DELETE", path).status == 404
    assert 2 not in ids(served.ask("GET", "/api/events"))


def test_near_misses_come_with_their_reason(served):
    (miss,) = served.ask("GET", "/api/misses?reason=below_threshold").json["rows"]
    assert (miss["label"], miss["peak_score"], miss["threshold"]) == ("dog", 0.4, 0.5)
    assert served.ask("GET", "/api/misses?label=cat").json["rows"] == []


def test_a_day_is_had_at_a_glance_and_no_more_than_8(served):
    day = served.ask("GET", f"/api/day?since={BEGAN}&until={BEGAN + 9000}").json
    assert {lane["label"]: lane["events"] for lane in day["lanes"]} == {"dog": 4, "cat": 3}
    assert len(day["events"]) == 7
    assert served.ask("GET", "/api/day?since=0&until=864000").status == 422
    assert served.ask("GET", "/api/day?since=5&until=1").status == 422


def test_where_nothing_is_kept_it_is_said():
    with serving() as served:
        assert served.ask("GET", "/api/events").status == 503
        assert "store.enabled" in served.write("DELETE", "/api/events/x").json["detail"]
