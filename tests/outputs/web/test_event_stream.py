"""The news, over both roads, until somebody leaves or the monitor ends."""

import contextlib
import json
from functools import partial

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from monitor.outputs.live import broadcast as live_module
from tests.support.broker import eventually
from tests.support.web_server import TOKEN, Stream, scores, serving


def test_the_stream_begins_with_what_the_rest_refers_to_and_goes_on_with_scores():
    with serving() as served, Stream(served) as stream:
        text = stream.read("event: hello", "labels")
        assert "content-type: text/event-stream" in text.lower()
        eventually(lambda: served.live.watchers == 1)
        served.live.on_scores(scores(dog=0.25))
        text = stream.read("event: scores", '"dog":0.25')


def test_who_leaves_is_forgotten():
    with serving() as served:
        with Stream(served) as stream:
            stream.read("hello")
            eventually(lambda: served.live.watchers == 1)
        eventually(lambda: served.live.watchers == 0)
        assert served.live.dropped == 0


def test_at_the_end_of_the_monitor_the_stream_ends():
    with serving() as served, Stream(served) as stream:
        stream.read("hello")
        eventually(lambda: served.live.watchers == 1)
        served.live.close()
        assert stream.read("event: end", "\r\n0\r\n")


def test_others_watch_only_with_the_token():
    with serving() as served:
        with Stream(served, host="192.168.1.7") as stream:
            assert "401" in stream.read("401")
        with Stream(served, host="192.168.1.7", token=TOKEN) as stream:
            assert stream.read("hello")


def test_a_stalled_watcher_is_cut_off_and_counted_and_the_others_go_on():
    with serving() as served, Stream(served) as reading, Stream(served, receive_bytes=2048):
        reading.read("hello")
        eventually(lambda: served.live.watchers == 2)
        number = 0
        while not served.live.dropped:
            number += 1
            served.live.on_health({}, partial(dict, {"number": number, "filler": "x" * 20_000}))
            reading.read(f'"number":{number},')
            reading.text = b""
        assert served.live.watchers == 1
        served.live.on_scores(scores())
        reading.read("event: scores")
        assert number >= live_module.RING


def test_who_comes_when_the_house_is_full_is_told_so():
    with serving() as served:
        watchers = [served.live.subscribe(lambda: None) for _ in range(live_module.MAX_WATCHERS)]
        answer = served.ask("GET", "/api/live")
        assert (answer.status, answer.headers["retry-after"]) == (503, "30")
        for watcher in watchers:
            served.live.unsubscribe(watcher)


def test_a_websocket_says_the_same():
    with serving() as served:
        with connect(f"ws://localhost:{served.port}/api/live/ws") as client:
            assert json.loads(client.recv(20))["kind"] == "hello"
            eventually(lambda: served.live.watchers == 1)
            served.live.on_scores(scores(dog=0.5))
            news = json.loads(client.recv(20))
            assert (news["kind"], news["data"]["scores"]) == ("scores", {"dog": 0.5})
            served.live.close()
            with pytest.raises(ConnectionClosed):
                client.recv(20)
        eventually(lambda: served.live.watchers == 0)


def test_a_websocket_of_another_page_or_without_the_token_is_refused():
    with serving() as served:
        for headers in ({"Origin": "https://evil.example"}, {"X-Forwarded-For": "10.0.0.9"}):
            with pytest.raises(InvalidStatus):
                connect(f"ws://localhost:{served.port}/api/live/ws", additional_headers=headers)
        good = {"X-Forwarded-For": "10.0.0.9", "Authorization": f"Bearer {TOKEN}"}
        with connect(f"ws://localhost:{served.port}/api/live/ws", additional_headers=good) as client:
            assert client.recv(20)


def test_fifty_watch_ten_stall_and_forty_miss_nothing():
    with serving() as served, contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Stream(served)) for _ in range(40)]
        for _ in range(10):
            stack.enter_context(Stream(served, receive_bytes=2048))
        for reader in readers:
            reader.read("hello")
        eventually(lambda: served.live.watchers == 50)
        number = 0
        while served.live.dropped < 10:
            number += 1
            served.live.on_health({}, partial(dict, {"number": number, "filler": "x" * 4000}))
            for reader in readers:
                reader.read(f'"number":{number},')
                reader.text = b""
        assert (served.live.watchers, served.live.dropped, served.live.skipped) == (40, 10, 0)
        eventually(lambda: len(served.web._server.server_state.connections) == 40)
