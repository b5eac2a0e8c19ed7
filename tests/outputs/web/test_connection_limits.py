"""Connections that keep us waiting: whoever they are and however many, everybody else is answered."""

import contextlib
import dataclasses
import socket
import time

import pytest

from monitor.outputs.web import connection_limits, connections
from monitor.outputs.web.connection_limits import (
    MAX_CONNECTIONS,
    MAX_PER_ADDRESS,
    TIMEOUT_SECONDS,
    ConnectionLimits,
)
from tests.support.broker import eventually
from tests.support.web_attacks import UPGRADE
from tests.support.web_server import TOKEN, Stream, serving


@dataclasses.dataclass(eq=False)
class Connection:
    """A connection that is what the test says."""

    address: str
    state: str = "head"
    step: int = 0
    since: float = 0.0
    ended: str | None = None

    def progress(self):
        return (self.state, self.step)

    def expire(self, state):
        self.ended = state

    def drop(self):
        self.ended = "drop"


@pytest.fixture
def quick(monkeypatch):
    """Wait for nobody longer than a moment."""
    monkeypatch.setattr(
        connection_limits,
        "TIMEOUT_SECONDS",
        {**TIMEOUT_SECONDS, "head": 0.5, "body": 0.5, "unread": 1.0, "closing": 0.5},
    )


def connected(served, data=b"", address="127.0.0.1"):
    connection = socket.create_connection(("127.0.0.1", served.port), 60, (address, 0))
    connection.sendall(data)
    return connection


def read_all(connection):
    text = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            text += part
    return text


@pytest.mark.parametrize("state", ["head", "body", "unread", "closing"])
def test_every_state_but_ours_ends_in_time_and_getting_on_begins_it_again(state):
    limits = ConnectionLimits(lambda _: False)
    slow, stuck, ours = Connection("a", state), Connection("b", state), Connection("c", "answer")
    for each in (slow, stuck, ours):
        assert limits.admit(each, 0.0)
    limits.expire_stalled(TIMEOUT_SECONDS[state])
    assert (slow.ended, stuck.ended) == (None, None)
    slow.step += 1
    limits.expire_stalled(TIMEOUT_SECONDS[state] + 1)
    assert (slow.ended, stuck.ended) == (None, state)
    limits.expire_stalled(2 * TIMEOUT_SECONDS[state] + 2)
    assert slow.ended == state
    limits.expire_stalled(1e9)
    assert ours.ended is None


def test_one_address_has_its_part_and_its_own_longest_waiting_connection_makes_room():
    limits = ConnectionLimits(lambda _: False)
    own = [Connection("a") for _ in range(MAX_PER_ADDRESS)]
    for at, each in enumerate(own):
        assert limits.admit(each, float(at))
    other = Connection("b")
    assert limits.admit(other, 500.0)
    own[0].state = "answer"
    own[0].step = 1
    newcomer = Connection("a")
    assert limits.admit(newcomer, 1000.0)
    assert [each.ended for each in (own[0], own[1], own[2], other, newcomer)] == [
        None,
        "drop",
        None,
        None,
        None,
    ]
    assert limits.turned_away == 1


def test_where_all_are_being_answered_the_newcomer_goes():
    limits = ConnectionLimits(lambda _: False)
    for _ in range(MAX_PER_ADDRESS):
        limits.admit(Connection("a", "answer"), 0.0)
    assert not limits.admit(Connection("a"), 1.0)
    assert limits.admit(Connection("b"), 1.0)


def test_a_reverse_proxy_may_bring_many_but_not_more_than_there_may_be():
    limits = ConnectionLimits(lambda address: address == "proxy")
    for _ in range(MAX_CONNECTIONS):
        assert limits.admit(Connection("proxy", "answer"), 0.0)
    assert not limits.admit(Connection("proxy"), 1.0)


def test_however_many_say_nothing_everybody_is_answered():
    with serving() as served, contextlib.ExitStack() as stack:
        for number in range(2 * MAX_CONNECTIONS):
            stack.enter_context(connected(served, address=f"127.0.0.{1 + number % 16}"))
        assert served.ask("GET", "/api/health").status == 200
        for path in ("/", "/api/status", "/metrics", "/static/app.js"):
            assert served.ask("GET", path).status == 200
        eventually(lambda: served.web.counts()["turned_away"] >= MAX_CONNECTIONS)


def test_however_many_of_the_same_address_say_nothing_it_is_answered_too():
    with serving() as served, contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connected(served, b"GET /api/sta"))
        assert served.ask("GET", "/api/health").status == 200
        assert len(served.web._server.server_state.connections) <= MAX_PER_ADDRESS + 1


def test_those_who_watch_stay_while_others_crowd_in():
    with serving() as served, Stream(served) as stream, contextlib.ExitStack() as stack:
        stream.read("hello")
        for _ in range(300):
            stack.enter_context(connected(served, b"G"))
        assert served.ask("GET", "/api/health").status == 200
        served.live.on_health({}, lambda: {"still": "here"})
        stream.read('"still"')


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"G",
        b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nX-A: ",
        b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{",
        b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST /api/labels HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{",  # refused at once
        b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /",  # kept alive, and never asked again
        b"GET /api/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1",
    ],
)
def test_what_does_not_come_is_not_waited_for(data):
    with serving() as served, connected(served, data) as silent:
        answer = read_all(silent)
        begun_and_unanswered = data[:1] and b"api/labels" not in data and answer.count(b"HTTP/1.1 2") == 0
        assert answer.startswith(b"HTTP/1.1 408 ") if begun_and_unanswered else b" 408 " not in answer[:13]
        eventually(lambda: not served.web._server.server_state.connections)
        assert served.web.counts()["faults"] == 0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "begin", [b"", b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n"]
)
def test_a_letter_now_and_then_does_not_help(begin):
    with serving() as served, connected(served, begin) as slow:

        def is_let_go():
            try:
                slow.sendall(b"x")
            except OSError:
                return True
            time.sleep(0.05)
            return False

        eventually(is_let_go)
        assert served.web.counts()["expired"] >= 1


def asks_much_and_reads_nothing(served, count=400):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", served.port))
    connection.setblocking(False)
    with contextlib.suppress(OSError):
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * count)
    return connection


@pytest.mark.usefixtures("quick")
def test_who_reads_nothing_is_let_go():
    with serving() as served, asks_much_and_reads_nothing(served):
        eventually(lambda: served.web.counts()["expired"] >= 1)
        eventually(lambda: not served.web._server.server_state.connections)


@pytest.mark.usefixtures("quick")
def test_a_websocket_that_is_none_is_not_kept():
    for more in (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"X-A: b\r\n" * 200):
        with serving() as served, connected(served, UPGRADE + more + b"\r\n") as broken:
            assert read_all(broken)[:12] in {b"HTTP/1.1 404", b"HTTP/1.1 431", b"HTTP/1.1 408"}
            eventually(lambda served=served: not served.web._server.server_state.connections)


def frames(served, data):
    connection = connected(served, UPGRADE + b"\r\n")
    text = b""
    while b'"hello"' not in text:
        part = connection.recv(65536)
        assert part, text
        text += part
    connection.sendall(data)
    return connection


def test_a_websocket_that_asks_on_and_reads_nothing_costs_no_memory(monkeypatch):
    monkeypatch.setattr(connections, "_MAX_UNSENT", 20_000)
    ping = b"\x89\xfd\0\0\0\0" + bytes(125)
    with serving() as served, frames(served, b"") as rude:
        rude.settimeout(60)

        def is_cut_off():
            try:
                rude.sendall(ping * 1000)
            except ConnectionError:
                return True
            return False

        eventually(is_cut_off)
        eventually(lambda: served.live.watchers == 0)


def test_pieces_of_a_message_without_end_are_not_kept():
    with serving() as served, frames(served, b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 10_000) as endless:
        (connection,) = served.web._server.server_state.connections
        endless.sendall(b"\x89\x80\0\0\0\0")
        text = b""
        while b"\x8a\x00" not in text:
            text += endless.recv(65536)
        assert connection.frames == []
        assert connection.queue.qsize() <= 1


def test_the_right_token_opens_a_stream_while_the_address_is_full_of_the_silent():
    with serving() as served, contextlib.ExitStack() as stack:
        for _ in range(MAX_PER_ADDRESS + 10):
            stack.enter_context(connected(served, b"G"))
        with Stream(served, host="192.168.1.7", token=TOKEN) as stream:
            stream.read("hello")


def test_one_address_has_so_many_streams_and_is_told_so_and_others_still_watch():
    with serving() as served, contextlib.ExitStack() as stack:
        for _ in range(MAX_PER_ADDRESS):
            stack.enter_context(Stream(served)).read("hello")
        with connected(served, b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n") as one_more:
            assert read_all(one_more).startswith(b"HTTP/1.1 503 ")
        with connected(
            served, b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "127.0.0.2"
        ) as other:
            assert read_all(other).startswith(b"HTTP/1.1 200 ")
