"""Those who ask on this machine: over a real socket, whatever they send."""

import contextlib
import random
import socket
import stat
import subprocess
import sys
import threading

import pytest

from monitor.daemon.control_connections import MOST_CONNECTIONS
from monitor.daemon.control_protocol import MOST_BYTES
from monitor.daemon.control_socket import THREADS, ControlSocket, NotRunningError, RefusedError, ask, ask_once
from monitor.types import ConfigError
from tests.support.broker import PATIENCE, eventually
from tests.support.open_files import left_open, open_files


def refuse(_):
    raise ConfigError("monitor.yaml:3: first\nmonitor.yaml:9: second")


def count(request):
    for number in range(request["to"]):
        yield {"number": number}


ANSWERS = {"echo": lambda request: [{"said": request["say"]}], "refuse": refuse, "count": count}


@contextlib.contextmanager
def serving(state, answers=ANSWERS):
    server = ControlSocket(state, answers)
    assert server.open()
    threads = [threading.Thread(target=server.run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        server.close()
        for thread in threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in threads)


def said_to(state, content):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(state / "control.sock"))
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            return connection.recv(10_000).decode()
        return ""


def test_one_line_asks_and_one_or_more_answer(tmp_path):
    with serving(tmp_path):
        assert ask_once(tmp_path, {"command": "echo", "say": "naïve\n"}) == {"said": "naïve\n"}
        assert [line["number"] for line in ask(tmp_path, {"command": "count", "to": 3})] == [0, 1, 2]


def test_a_refusal_comes_with_its_reason_and_exit_code(tmp_path):
    with serving(tmp_path), pytest.raises(RefusedError, match="second") as caught:
        ask_once(tmp_path, {"command": "refuse"})
    assert caught.value.exit_code == 78


def test_only_its_user_may_open_it_and_it_is_gone_after_the_end(tmp_path):
    with serving(tmp_path):
        assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []


def test_a_path_longer_than_a_socket_may_have_is_no_hindrance(tmp_path):
    state = tmp_path / ("long" * 50)
    state.mkdir()
    with serving(state):
        assert ask_once(state, {"command": "echo", "say": 1}) == {"said": 1}


def test_what_a_killed_monitor_left_is_replaced(tmp_path):
    program = f"""
import os, signal
from pathlib import Path
from monitor.daemon.control_socket import ControlSocket
assert ControlSocket(Path({str(tmp_path)!r}), {{}}).open()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert (tmp_path / "control.sock").exists()
    with pytest.raises(NotRunningError, match="no clap-monitor runs"):
        ask_once(tmp_path, {"command": "echo", "say": 1})
    with serving(tmp_path):
        assert ask_once(tmp_path, {"command": "echo", "say": 1}) == {"said": 1}


def test_a_second_monitor_leaves_the_first_its_socket(tmp_path, caplog):
    with serving(tmp_path):
        second = ControlSocket(tmp_path, {})
        assert not second.open()
        second.run()
        second.close()
        assert "locked by another clap-monitor" in caplog.text
        assert ask_once(tmp_path, {"command": "echo", "say": 1}) == {"said": 1}
    with serving(tmp_path):
        pass


def test_where_no_socket_can_be_that_is_told_and_no_more(tmp_path, caplog):
    server = ControlSocket(tmp_path / "not there", {})
    assert not server.open()
    server.close()
    assert "no control socket" in caplog.text


def test_nobody_there_is_said(tmp_path):
    for state in (tmp_path, tmp_path / "not there"):
        with pytest.raises(NotRunningError, match="no clap-monitor runs with this state directory") as caught:
            ask_once(state, {"command": "echo"})
        assert caught.value.exit_code == 69


NONSENSE = [
    b"",
    b"\n",
    b"status\n",
    b"[]\n",
    b"{}\n",
    b'{"command":"no such"}\n',
    b'{"command":["echo"]}\n',
    b"\xff\x00\n",
    b"[" * 60_000 + b"\n",
    b"x" * (MOST_BYTES + 1),
    b'{"command":"\\ud800"}\n',
    b'{"\\ud800":1}\n',
    b'{"command":"echo"}\n',
    b'{"command":"echo","say":"x"}trailing\n',
    b'{"command":"count","to":"x"}\n',
    b'{"command":"count","to":' + b"9" * 400 + b"}\n",
    b'{"command":{"a":[{}]}}\n',
    b'{"command":null}\n',
    b'{"command":"echo","say":NaN}\n',
    b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"\n",
    b'{"command":"echo"' + b"\0" * 100 + b"}\n",
]


@pytest.mark.parametrize("content", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_answered_or_dropped_and_the_next_is_served(tmp_path, content):
    with serving(tmp_path):
        answer = said_to(tmp_path, content)
        assert answer == "" or '"error"' in answer
        assert ask_once(tmp_path, {"command": "echo", "say": 1}) == {"said": 1}


def test_those_who_say_nothing_hold_up_neither_the_next_nor_the_end(tmp_path):
    with contextlib.ExitStack() as idle, serving(tmp_path):
        for _ in range(THREADS - 1):
            connection = idle.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(tmp_path / "control.sock"))
        assert ask_once(tmp_path, {"command": "echo", "say": 1}) == {"said": 1}


def test_an_answer_without_end_ends_when_nobody_reads_or_the_monitor_stops(tmp_path):
    ended = []

    def forever(_):
        try:
            while True:
                yield {"x": "y" * 1000}
        finally:
            ended.append(True)

    with serving(tmp_path, {"watch": forever}) as server:
        lines = ask(tmp_path, {"command": "watch"})
        next(lines)
        lines.close()
        eventually(lambda: ended == [True])
        lines = ask(tmp_path, {"command": "watch"})
        next(lines)
        server.close()
        eventually(lambda: ended == [True, True])
        with contextlib.suppress(NotRunningError):
            list(lines)


def test_no_descriptor_is_left_open(tmp_path):
    before = open_files()
    for _ in range(3):
        with serving(tmp_path):
            for _ in range(5):
                ask_once(tmp_path, {"command": "echo", "say": 1})
        with pytest.raises(NotRunningError):
            ask_once(tmp_path, {"command": "echo"})
    assert not left_open(before)


@contextlib.contextmanager
def connected(state, count, content=b""):
    """Hold so many connections that have said this much."""
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.settimeout(PATIENCE)
            connection.connect(str(state / "control.sock"))
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(content)
            held.append(connection)
        yield held


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"command":"echo","say":1}'], ids=["nothing", "little", "no end"]
)
@pytest.mark.parametrize("count", [THREADS + 1, MOST_CONNECTIONS, 3 * MOST_CONNECTIONS])
def test_any_number_of_clients_that_say_nothing_or_no_end_hold_up_nobody(
    tmp_path, content, count, monkeypatch
):
    monkeypatch.setattr("monitor.daemon.control_protocol.ASK_SECONDS", PATIENCE)
    with serving(tmp_path), connected(tmp_path, count, content):
        for _ in range(3):
            assert ask_once(tmp_path, {"command": "echo", "say": 1}) == {"said": 1}


def test_one_that_says_a_byte_now_and_then_is_let_go_when_its_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr("monitor.daemon.control_protocol.ASK_SECONDS", 0.3)
    with serving(tmp_path), connected(tmp_path, 1) as (connection,):

        def goes_on():
            connection.sendall(b"x")
            return False

        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            eventually(goes_on)


def test_clients_that_do_not_read_a_long_answer_hold_up_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr("monitor.daemon.control_protocol.ASK_SECONDS", PATIENCE)
    answers = {**ANSWERS, "much": lambda _: [{"x": "y" * 5_000_000}]}
    with serving(tmp_path, answers), connected(tmp_path, 2 * THREADS, b'{"command":"much"}\n') as held:
        assert ask_once(tmp_path, {"command": "echo", "say": 1}) == {"said": 1}
        with held[0].makefile("rb") as lines:
            assert len(lines.readline()) > 5_000_000  # who reads later gets all of it


def test_one_that_does_not_read_is_let_go_when_its_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr("monitor.daemon.control_protocol.ASK_SECONDS", 0.3)
    ended = []

    def much(_):
        try:
            for _ in range(100):
                yield {"x": "y" * 1_000_000}
        finally:
            ended.append(True)

    with serving(tmp_path, {"much": much}), connected(tmp_path, 1, b'{"command":"much"}\n'):
        eventually(lambda: ended == [True])


@pytest.mark.parametrize(
    "fault", [IndexError("x"), RecursionError(), ValueError("\ud800"), OSError(5, "is broken")]
)
def test_what_an_answer_makes_a_library_raise_is_answered_and_the_next_is_served(tmp_path, fault):
    def fail(_):
        yield {"first": 1}
        raise fault

    with serving(tmp_path, {**ANSWERS, "fail": fail}):
        lines = ask(tmp_path, {"command": "fail"})
        assert next(lines) == {"first": 1}
        with pytest.raises(RefusedError, match="the request cannot be answered: "):
            next(lines)
        assert ask_once(tmp_path, {"command": "echo", "say": 1}) == {"said": 1}


def test_what_json_cannot_hold_is_answered_and_the_next_is_served(tmp_path):
    answers = {**ANSWERS, "nan": lambda _: [{"x": float("nan")}], "half": lambda _: [{"x": "\ud800"}]}
    with serving(tmp_path, answers):
        with pytest.raises(RefusedError):
            ask_once(tmp_path, {"command": "nan"})
        assert ask_once(tmp_path, {"command": "half"}) == {"x": "?"}
        assert ask_once(tmp_path, {"command": "echo", "say": 1}) == {"said": 1}


def test_random_requests_are_answered_or_dropped_and_never_more(tmp_path):
    chance = random.Random(24)
    words = [
        b'"command"',
        b'"echo"',
        b'"say"',
        b":",
        b",",
        b"{",
        b"}",
        b"[",
        b"]",
        b"1e999",
        b"-",
        b"null",
        b"\\ud800",
    ]
    with serving(tmp_path):
        for _ in range(300):
            content = b"".join(
                chance.choice([*words, chance.randbytes(3)]) for _ in range(chance.randrange(20))
            )
            answer = said_to(tmp_path, content + b"\n")
            assert answer == "" or '"error"' in answer or '"said"' in answer
        assert ask_once(tmp_path, {"command": "echo", "say": 1}) == {"said": 1}
