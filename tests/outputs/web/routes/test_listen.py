"""Live listening over HTTP: what is heard, by whom, until when, and who is told."""

import contextlib
import http.client
import io
import socket

import av
import numpy as np
import pytest

from monitor.outputs.live.listeners import MAX_UNSENT_BYTES
from monitor.types import OfflineReason
from tests.support.broker import eventually
from tests.support.web_server import LISTEN_TOKEN, RATE, TOKEN, Stream, serving, tone

PATH = "/api/sources/crib/listen"
LISTENS = {"listen": True, "listen_token_env": "NAME"}
REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {LISTEN_TOKEN}\r\n\r\n".encode()
ME = {"authorization": f"Bearer {LISTEN_TOKEN}"}


@contextlib.contextmanager
def listening(served, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    connection.request("GET", PATH, headers=ME | headers)
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def listeners(served):
    return served.listeners.counts["crib"].now


def read(response, count):
    parts = b""
    while len(parts) < count:
        part = response.read1(65536)
        assert part, "the stream has ended"
        parts += part
    return parts


def frequency(stream):
    with av.open(io.BytesIO(stream)) as container:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return np.argmax(np.abs(np.fft.rfft(heard))) * 48_000 / len(heard)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(directory=tmp_path_factory.mktemp("listen"), **LISTENS) as it, tone(it, hertz=1000):
        yield it


def test_what_the_source_hears_is_heard(served):
    with listening(served) as response:
        assert (response.status, response.headers["content-type"]) == (200, 'audio/webm; codecs="opus"')
        assert response.headers["cache-control"] == "no-store"
        assert frequency(read(response, 8000)) == pytest.approx(1000, abs=5)
    eventually(lambda: listeners(served) == 0)


def test_only_the_token_for_listening_lets_listen(served):
    assert served.ask("GET", PATH).status == 401
    assert served.ask("GET", PATH, authorization="Bearer nonsense").status == 401
    other = served.ask("GET", PATH, authorization=f"Bearer {TOKEN}")
    assert (other.status, other.json["detail"].split(":")[0]) == (403, "This token may not listen")
    for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}):
        assert served.ask("GET", PATH, **ME, **headers).status == 403
    assert listeners(served) == 0


def test_the_token_for_listening_gives_no_other_right(served):
    assert served.ask("PUT", "/api/armed", {"armed": False}, **ME).status == 403
    assert served.ask("GET", "/api/status", host="192.168.1.7", **ME).status == 403
    assert served.ask("GET", "/api/sources/attic/listen", **ME).status == 404


def test_a_browser_has_a_cookie_for_each_right(served):
    given = served.ask("POST", "/api/session", {"token": LISTEN_TOKEN})
    assert (given.json["listen"], given.json["write"]) == (True, False)
    cookie = given.headers["set-cookie"].split(";")[0]
    assert served.ask("GET", "/api/session", cookie=cookie).json["listen"] is True
    assert served.ask("PUT", "/api/armed", {"armed": False}, cookie=cookie).status == 401
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)) as connection:
        connection.request("GET", PATH, headers={"cookie": cookie})
        assert connection.getresponse().status == 200
    name, _, value = cookie.partition("=")
    other = served.ask("POST", "/api/session", {"token": TOKEN}).headers["set-cookie"].split(";")[0]
    forged = f"{name}={other.partition('=')[2]}", f"{other.partition('=')[0]}={value}"
    assert served.ask("GET", PATH, cookie=forged[0]).status == 401
    assert served.ask("PUT", "/api/armed", {"armed": False}, cookie=forged[1]).status == 401
    eventually(lambda: listeners(served) == 0)


def test_where_nobody_may_listen_the_token_does_not_help():
    with serving() as served:
        refused = served.ask("GET", PATH, **ME)
        assert (refused.status, "web.listen" in refused.json["detail"]) == (403, True)
        assert served.ask("POST", "/api/session", {"token": LISTEN_TOKEN}).status == 401


def test_the_same_token_may_do_both_if_it_is_configured_so():
    with serving(LISTEN_TOKEN, **LISTENS) as served:
        given = served.ask("POST", "/api/session", {"token": LISTEN_TOKEN}).json
        assert given == {"read": True, "write": True, "reason": None, "listen": True}


def test_a_third_listener_is_refused(served):
    with listening(served) as one, listening(served) as two:
        read(one, 1)
        read(two, 1)
        refused = served.ask("GET", PATH, **ME)
        assert (refused.status, refused.headers["retry-after"]) == (503, "30")
        assert refused.json["detail"] == "crib already has 2 listeners, the maximum"
        read(one, 1000)
    eventually(lambda: listeners(served) == 0)
    with listening(served) as three:
        read(three, 1)
    eventually(lambda: listeners(served) == 0)


def test_everyone_is_told_of_each_start_and_end(served, caplog):
    caplog.set_level("INFO")
    before = len(served.ask("GET", "/api/listens").json["rows"])
    with Stream(served) as stream:
        assert '"listeners": {"crib": 0}' in stream.read("event: hello", "listeners")
        eventually(lambda: served.live.watchers == 1)
        with listening(served) as response:
            id_ = response.headers["x-listen-id"]
            stream.read("event: listener", f'"id":"{id_}"', '"listeners":1')
            eventually(lambda: len(served.ask("GET", "/api/listens").json["rows"]) == before + 1)
            row = served.ask("GET", "/api/listens").json["rows"][0]
            assert (row["id"], row["source"], row["client"]) == (id_, "crib", "127.0.0.1")
            assert row["ended_at"] is row["reason"] is None
        assert '"reason":"left"' in stream.read('"listeners":0')
    ended = eventually(lambda: (row := served.ask("GET", "/api/listens").json["rows"][0])["reason"] and row)
    assert (ended["id"], ended["reason"], ended["ended_at"] >= row["started_at"]) == (id_, "left", True)
    assert "crib: 127.0.0.1 listens" in caplog.text
    assert "crib: 127.0.0.1 no longer listens" in caplog.text
    assert served.ask("GET", "/api/events").json["rows"] == []


def test_a_disarmed_monitor_is_not_heard(served):
    with listening(served) as response:
        read(response, 1)
        served.control.arm(armed=False)
        response.read()
    try:
        refused = served.ask("GET", PATH, **ME)
        assert (refused.status, refused.json["detail"]) == (
            409,
            "detection is disarmed; arm it to listen",
        )
        newest = eventually(lambda: (row := newest_listen(served))["reason"] and row)
        assert newest["reason"] == "disarmed"
    finally:
        served.control.arm(armed=True)


def test_a_source_that_goes_away_is_no_longer_heard(served):
    with listening(served) as response:
        read(response, 1)
        served.status.set_offline(OfflineReason.LOST, "the microphone was unplugged")
        response.read()
    try:
        refused = served.ask("GET", PATH, **ME)
        assert refused.json["detail"] == "crib is offline: the microphone was unplugged"
        assert refused.status == 503
        eventually(lambda: newest_listen(served)["reason"] == "offline")
    finally:
        served.status.set_online()


def newest_listen(served):
    return served.ask("GET", "/api/listens").json["rows"][0]


def test_after_the_longest_time_it_ends(tmp_path):
    with serving(directory=tmp_path, longest_seconds=0.5, **LISTENS) as served, tone(served):
        with listening(served) as response:
            assert response.status == 200
            response.read()
        eventually(lambda: served.ask("GET", "/api/listens").json["rows"])
        eventually(lambda: newest_listen(served)["reason"] == "time_limit")
        with listening(served) as response:  # and may begin again
            assert response.status == 200


def test_a_listener_that_does_not_read_loses_audio_and_hears_the_newest_later():
    with serving(**LISTENS) as served, tone(served), socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.settimeout(120)
        slow.connect(("127.0.0.1", served.port))
        slow.sendall(REQUEST)
        eventually(lambda: listeners(served) == 1)
        # Bytes wait for it, and soon nothing more is encoded for it; the source is heard all the same.
        eventually(lambda: served.web.unsent(slow.getsockname()) > MAX_UNSENT_BYTES)
        heard = served.buffer.stop
        eventually(lambda: served.buffer.stop > heard + 4 * RATE)
        with listening(served) as other:
            assert frequency(read(other, 8000)) == pytest.approx(1000, abs=5)
        response = http.client.HTTPResponse(slow)
        response.begin()
        assert frequency(read(response, 20_000)) == pytest.approx(1000, abs=5)
    eventually(lambda: listeners(served) == 0)
    assert served.listeners.counts["crib"].lost_seconds > 1


def test_a_listener_whose_connection_is_cut_is_forgotten(served):
    with contextlib.closing(socket.create_connection(("127.0.0.1", served.port))) as lost:
        lost.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, no farewell
        lost.sendall(REQUEST)
        eventually(lambda: listeners(served) == 1)
    eventually(lambda: listeners(served) == 0)
    assert served.web.faults.count == 0


def test_at_the_end_of_the_source_it_ends():
    with serving(**LISTENS) as served, tone(served), listening(served) as response:
        read(response, 1)
        served.status.ended = True
        response.read()
        eventually(lambda: listeners(served) == 0)
        assert served.ask("GET", PATH, **ME).json["detail"] == "crib has ended"
