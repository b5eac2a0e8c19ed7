import contextlib
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from monitor.outputs import prometheus_server
from monitor.outputs.prometheus_server import Exporter
from monitor.types import OutputError
from tests.support.broker import PATIENCE, eventually


@contextlib.contextmanager
def served(text=lambda: b"clap_monitor_up 1.0\n"):
    """Serve, and end with the exporter."""
    one = Exporter("127.0.0.1", 0, text, "text/plain")
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        yield one
    finally:
        one.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def get(port, path="/metrics"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        return answer.status, answer.headers["Content-Type"], answer.read()


def test_metrics_are_served_as_text():
    with served() as one:
        assert get(one.port) == (200, "text/plain", b"clap_monitor_up 1.0\n")
        assert get(one.port, "/metrics?x=1")[0] == 200


@pytest.mark.parametrize("path", ["/", "/metrics/..", "/../etc/passwd"])
def test_nothing_else_is_served(path):
    with served() as one, pytest.raises(urllib.error.HTTPError, match="404"):
        get(one.port, path)


def test_nothing_can_be_sent_to_it():
    with served() as one, pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(f"http://127.0.0.1:{one.port}/metrics", data=b"x", timeout=PATIENCE)


def test_whoever_says_nothing_is_let_go_and_others_have_their_turn(monkeypatch):
    monkeypatch.setattr(prometheus_server, "PATIENCE_SECONDS", 2.0)
    with served() as one, socket.create_connection(("127.0.0.1", one.port)) as silent:
        assert get(one.port)[0] == 200
        silent.settimeout(PATIENCE)
        assert silent.recv(1) == b""


def test_whoever_says_a_letter_now_and_then_is_let_go_as_well(monkeypatch):
    monkeypatch.setattr(prometheus_server, "PATIENCE_SECONDS", 2.0)
    with served() as one, socket.create_connection(("127.0.0.1", one.port)) as slow:

        def is_let_go():
            time.sleep(0.05)
            try:
                slow.sendall(b"x")
            except OSError:
                return True
            return False

        eventually(is_let_go)
        assert get(one.port)[0] == 200


def test_who_is_being_talked_to_does_not_hold_up_the_end():
    with served() as one, socket.create_connection(("127.0.0.1", one.port)) as silent:
        eventually(lambda: one._clients)
        one.close()
        silent.settimeout(PATIENCE)
        assert silent.recv(1) == b""


def test_any_number_of_the_silent_shut_nobody_out():
    with served() as one, contextlib.ExitStack() as stack:
        for _ in range(3 * prometheus_server.MOST_CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", one.port)))
        assert get(one.port)[0] == 200
        assert len(one._clients) <= prometheus_server.MOST_CONNECTIONS
        assert one.turned_away >= prometheus_server.MOST_CONNECTIONS


def test_who_reads_nothing_of_the_answer_holds_up_nobody(monkeypatch):
    monkeypatch.setattr(prometheus_server, "PATIENCE_SECONDS", 2.0)
    with served(lambda: bytes(30_000_000)) as one, socket.create_connection(("127.0.0.1", one.port)) as rude:
        rude.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert len(get(one.port)[2]) == 30_000_000
        eventually(lambda: one.expired == 1)
        assert not one._clients


def test_who_reads_a_byte_now_and_then_is_let_go_in_the_end(monkeypatch):
    monkeypatch.setattr(prometheus_server, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(prometheus_server, "ANSWER_SECONDS", 1.0)
    with served(lambda: bytes(30_000_000)) as one, socket.create_connection(("127.0.0.1", one.port)) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")

        def is_let_go():
            slow.recv(2000)
            return one.expired == 1

        eventually(is_let_go)


@pytest.mark.parametrize(
    "request_", [b"\r\n\r\n", b"GET\r\n\r\n", b"x" * 10_000, b"\xff \xff \xff \xff\r\n\r\n"]
)
def test_what_is_no_request_is_said_to_be_none(request_):
    with served() as one, socket.create_connection(("127.0.0.1", one.port)) as rude:
        rude.sendall(request_)
        assert rude.recv(100).startswith(b"HTTP/1.1 400 ")


def test_whoever_hangs_up_early_ends_nothing():
    with served(lambda: bytes(10_000_000)) as one:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", one.port)) as rude:
                rude.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert len(get(one.port)[2]) == 10_000_000


def test_a_port_that_is_taken_is_said_at_once():
    with served() as one, pytest.raises(OutputError, match="cannot be bound: Address already in use"):
        Exporter("127.0.0.1", one.port, bytes, "text/plain")


def test_a_fault_of_ours_is_a_500_that_is_counted_and_logged_and_the_next_is_answered(caplog):
    fails = iter([True, False])

    def text():
        if next(fails):
            raise KeyError("no such number")
        return b"clap_monitor_up 1.0\n"

    with served(text) as one:
        with pytest.raises(urllib.error.HTTPError, match="500"):
            get(one.port)
        assert get(one.port)[0] == 200
        assert one.faults.count == 1
    assert "a bug in clap-monitor, in the answer to /metrics: KeyError: 'no such number'" in caplog.text
