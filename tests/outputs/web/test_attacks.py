"""Whatever is sent, it is answered with a 4xx or cut off; nothing breaks, and the log stays short."""

import http.client
import logging
import random
import tracemalloc
from pathlib import Path

import pytest

from tests.support.broker import eventually
from tests.support.web_attacks import attack, send, statuses
from tests.support.web_server import TOKEN, serving

JSON = {"content_type": "application/json"}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    with serving(directory=tmp_path_factory.mktemp("attacked")) as it:
        it.web.access._writes._burst = 1_000_000  # what is tried here is not how often
        eventually(lambda: it.ask("GET", "/api/events").status == 200)
        yield it


@pytest.mark.parametrize("seed", range(6))
def test_nothing_that_is_sent_is_a_fault_of_ours(kept, seed, caplog):
    chance = random.Random(seed)
    for number in range(150):
        before = chance.getstate()
        found = attack(kept.port, chance)
        if any(status >= 500 and status != 503 for status in found):
            pytest.fail(f"seed {seed}, {number}: {found}, {before[1][:3]}")
    assert kept.web.counts()["faults"] == 0
    assert kept.ask("GET", "/api/health").status == 200
    assert sum(record.levelno > logging.INFO for record in caplog.records) < 50
    eventually(lambda: len(kept.web._server.server_state.connections) <= 1)


@pytest.mark.parametrize(
    "body",
    [
        b'{"token":"\\ud800"}', b'{"token":NaN}', b'{"token":Infinity}', b'{"token":1e999}', b"\xff\xfe\x00",
        b"nonsense",
        b'{"token":' + b"9" * 5000 + b"}", b'{"\\udfff":1}', b"[" * 60_000, b"[" * 100 + b"]" * 100,
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/session"), ("POST", "/api/labels"), ("PUT", "/api/armed"), ("DELETE", "/api/events/x"),
     ("PUT", "/api/labels/dog/threshold"), ("POST", "/api/try"), ("POST", "/api/nothing"), ("POST", "/")],
)  # fmt: skip
def test_a_body_that_cannot_be_kept_is_refused_with_a_line_and_logged_nowhere(
    kept, method, path, body, caplog
):
    answer = kept.write(method, path, body, **JSON)
    assert answer.status == 400
    assert answer.json["detail"].startswith("The body ")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "x" * 300, "\xff"]
)
def test_a_body_that_is_not_json_is_said_to_be_none(kept, kind):
    assert kept.write("POST", "/api/session", b"\xff\xfe", content_type=kind).status == 415


def test_of_two_of_the_same_key_there_is_only_one_for_everybody(kept):
    body = b'{"threshold": 0.2, "threshold": 0.75}'
    assert kept.write("PUT", "/api/labels/dog/threshold", body, **JSON).json["threshold"] == 0.75


@pytest.mark.parametrize("words", [[" "], ["\x00"], ["a", "\t"], ["\u200b"], [""]])
def test_sentences_that_are_none_are_refused(kept, words):
    for path in ("/api/try", "/api/labels"):
        assert kept.write("POST", path, {"prompts": words}).status in {200, 201, 409, 422}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/day?since=nan&until=inf", 422),
        ("/api/events?since=1e400", 422),
        ("/api/events?after=99999999999-99999999999999999999", 422),
        ("/api/events?limit=" + "9" * 4000, 422),
        ("/api/events?text=%ff%00", 200),
        ("/api/events?" + "label=a&" * 500, 422),
        ("/api/events?text=" + "a" * 5000, 414),
        ("/" + "a" * 5000, 414),
        ("/api/labels/%ff%00/what-if", 422),
        ("/api/clips/2026-01-01/..%2f..%2fx.json", 404),
        ("/static/" + "a" * 300, 404),
        ("/static/%00", 404),
    ],
)
def test_parameters_that_mean_nothing_are_refused(kept, path, status):
    assert kept.ask("GET", path).status == status


def test_a_body_with_two_ends_is_refused(kept):
    head = b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 4\r\n"
    both = head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert statuses(send(kept.port, both, then=None)) == [400]


class Vanishing(type(Path())):
    """A file that is deleted as soon as it has been looked at."""

    def stat(self, **how):
        known = super().stat(**how)
        self.unlink()
        return known


def test_a_clip_that_is_deleted_while_it_is_asked_for_is_no_fault_of_ours(tmp_path):
    clip = tmp_path / "clip.flac"
    clip.write_bytes(b"fLaC" * 1000)
    with serving(directory=tmp_path) as served:
        served.library.find = lambda _: Vanishing(clip)
        with pytest.raises((OSError, http.client.HTTPException)):
            served.ask("GET", "/api/clips/2026-01-01/clip.flac")
        assert served.ask("GET", "/api/clips/2026-01-01/clip.flac").status == 404
        assert served.web.counts()["faults"] == 0


def test_many_headers_are_refused(kept):
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    assert statuses(send(kept.port, head + b"X-A: b\r\n" * 100 + b"\r\n", then=None)) == [431]
    long = b"X-A: " + b"b" * 15_990 + b"\r\nX-B: " + b"b" * 600 + b"\r\n\r\n"
    assert statuses(send(kept.port, head + long, then=None)) in ([431], [400])


@pytest.mark.parametrize(
    "name", ["Origin", "Authorization", "Content-Type", "Sec-Fetch-Site", "Content-Length", "Host"]
)
def test_of_what_decides_there_is_only_one(kept, name):
    head = "DELETE /api/nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Authorization: Bearer {TOKEN}\r\n"
    twice = f"{name}: 0\r\n{name}: 1\r\n\r\n"
    assert statuses(send(kept.port, (head + twice).encode(), then=None)) == [400]


def test_a_fault_of_ours_is_a_500_counted_and_logged_and_the_next_is_answered(caplog):
    with serving() as served:

        def fail():
            raise KeyError("no such number")

        served.snapshot = fail
        answers = [served.ask("GET", "/api/status") for _ in range(20)]
        assert {answer.status for answer in answers} == {500}
        eventually(lambda: served.web.counts()["faults"] == 20)  # counted after the answer was sent
        lines = [record for record in caplog.records if "a bug in clap-monitor" in record.getMessage()]
        assert 1 <= len(lines) <= 4
        assert "GET '/api/status'" in lines[0].getMessage()
        assert sum(bool(line.exc_info) for line in lines) == 1
        assert served.ask("GET", "/api/labels").status == 200


def test_a_flood_of_nonsense_fills_neither_memory_nor_log(kept, caplog):
    chance = random.Random(7)
    for _ in range(50):
        attack(kept.port, chance)
    tracemalloc.start()
    for _ in range(300):
        attack(kept.port, chance)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 10_000_000
    assert len(caplog.text) < 30_000
