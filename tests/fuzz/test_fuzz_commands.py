"""Whatever is said to the monitor while it runs, or was left for it to read: a refusal, never its end."""

import contextlib
import json
import random
import socket
import threading
import tracemalloc

import pytest

from monitor.config import load
from monitor.daemon.control_socket import THREADS, ControlSocket, ask_once
from monitor.types import ConfigError, MonitorError
from tests.support import nonsense
from tests.support.broker import PATIENCE
from tests.support.wired import NODE, Wired


def plain(text):
    assert text.isprintable(), text
    assert 0 < len(text) < 3000


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_said_is_done_or_refused_in_plain_words_and_can_be_kept(tmp_path, seed):
    chance = random.Random(seed)
    with Wired(tmp_path) as wired:
        for number in range(400):
            wired.say(*nonsense.message(chance, NODE))
            if number % 50 == 0:
                wired.settle()
        wired.settle()
        assert wired.requests.refused >= 100
        assert wired.requests.lost == 0
        for topic, why in wired.refused:
            plain(topic)
            plain(why)
        wired.say(f"{NODE}/armed/set", b"OFF")
        wired.settle()
        assert not wired.control.active_labels.armed
        assert Wired(tmp_path).control.active_labels == wired.control.active_labels
    assert not list(tmp_path.glob("*broken*"))


EVIL = {
    "a lone surrogate as a key": b'{"\\ud800": ""}',
    "as a key further down": b'{"id": "dog", "prompts": [{"\\udfff": 1}]}',
    "as a value": b'{"id": "\\ud800", "prompts": ["x"]}',
    "deep lists": b"[" * 30_000,
    "deep mappings": b'{"a":' * 6000 + b"1" + b"}" * 6000,
    "a number of many digits": b'{"id": "dog", "threshold": ' + b"9" * 20_000 + b"}",
    "NaN": b'{"id": "dog", "threshold": NaN}',
    "beyond all numbers": b'{"id": "dog", "cooldown_seconds": 1e999}',
    "lists for words": b'{"id": ["dog"], "name": [], "prompts": {}, "enabled": [], "device_class": {}}',
    "binary": bytes(range(256)) * 10,
    "nothing": b"",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "very long": b'{"id": "dog", "name": "' + b"x" * 1_000_000 + b'"}',
    "control characters": b'{"id": "dog", "name": "\\u0000\\u001b[31m"}',
    "a key twice": b'{"id": "dog", "id": "cat", "threshold": 0.1, "threshold": 0.9}',
    "many keys": b"{" + b",".join(b'"k%d": 0' % number for number in range(3000)) + b"}",
    "many sentences": b'{"id": "dog", "prompts": [' + b",".join([b'"x"'] * 5000) + b"]}",
}


@pytest.mark.parametrize("topic", ["labels/set", "armed/set", "porch/threshold/dog/set", "no/topic/at/all"])
@pytest.mark.parametrize("content", EVIL.values(), ids=EVIL)
def test_one_evil_message_is_refused_and_the_next_good_one_is_done(tmp_path, topic, content):
    with Wired(tmp_path) as wired:
        wired.say(f"{NODE}/{topic}", content)
        wired.settle()
        ((_, why),) = wired.refused
        plain(why)


def test_a_million_bytes_a_message_do_not_fill_the_memory(tmp_path):
    with Wired(tmp_path) as wired:
        wired.control._lock.acquire()  # the one before takes long: everything has to wait
        tracemalloc.start()
        try:
            for number in range(2000):
                padding = b"x" * 30_000
                wired.say(f"{NODE}/labels/set", b'{"id": "l%d", "name": "%s"}' % (number, padding))
                wired.say(f"{NODE}/{'s' * 60_000}{number}/threshold/dog/set", padding * 30)
                wired.refused.clear()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            wired.control._lock.release()
        assert peak < 40_000_000


@pytest.mark.parametrize("seed", range(3))
def test_whatever_stands_in_the_file_of_changes_the_start_goes_on(tmp_path, seed):
    chance = random.Random(seed)
    for _ in range(200):
        content = nonsense.overrides(chance)
        (tmp_path / "overrides.json").write_bytes(content)
        wired = Wired(tmp_path)
        assert wired.control.active_labels.enabled
        wired.control.arm(armed=True)
        (tmp_path / "overrides.broken.json").unlink(missing_ok=True)


HUGE = {
    "ten megabytes of nothing": b" " * 10_000_000,
    "ten megabytes of labels": b'{"armed":true,"labels":{'
    + b",".join(b'"l%d":{"prompts":["x"]}' % number for number in range(300_000))
    + b'},"thresholds":{}}',
    "many removed labels": b'{"armed":true,"labels":{'
    + b",".join(b'"l%d":null' % number for number in range(200_000))
    + b'},"thresholds":{}}',
    "many labels that do not fit": b'{"armed":true,"labels":{'
    + b",".join(b'"l%d":{"colour":1}' % number for number in range(200))
    + b'},"thresholds":{}}',
    "many thresholds": b'{"armed":true,"labels":{},"thresholds":{'
    + b",".join(b'"s%d":{"dog":0.5}' % number for number in range(150_000))
    + b"}}",
    "a threshold that is no number": b'{"armed":true,"labels":{},"thresholds":{"porch":{"dog":NaN}}}',
    "a threshold beyond 64 bits": b'{"armed":true,"labels":{},"thresholds":{"porch":{"dog":1%s}}}'
    % (b"0" * 30),
    "true as a threshold": b'{"armed":true,"labels":{},"thresholds":{"porch":{"dog":true}}}',
    "lists for mappings": b'{"armed":true,"labels":[],"thresholds":[]}',
    "a lone surrogate": b'{"armed":true,"labels":{"dog":{"name":"\\ud800"}},"thresholds":{}}',
    "a lone surrogate as a key": b'{"armed":true,"labels":{"dog":{"\\ud800":1}},"thresholds":{}}',
    "deep": b'{"armed":true,"labels":{"dog":' + b'{"a":' * 5000 + b"1" + b"}" * 5002 + b"",
}


@pytest.mark.parametrize("content", HUGE.values(), ids=HUGE)
def test_a_file_of_changes_that_is_too_much_is_told_and_the_start_goes_on(tmp_path, content, caplog):
    (tmp_path / "overrides.json").write_bytes(content)
    with Wired(tmp_path) as wired:
        wired.say(f"{NODE}/armed/set", b"OFF")
        wired.settle()
        assert not wired.control.active_labels.armed
        assert {"dog", "cat"} <= {label.id for label in wired.control.active_labels.enabled}
    assert "overrides.json: " in caplog.text


def test_labels_that_come_and_go_leave_nothing_in_the_file(tmp_path):
    wired = Wired(tmp_path)
    for number in range(300):
        wired.control.put_label({"id": f"l{number}", "prompts": ["x"]})
        wired.control.remove_label(f"l{number}")
    wired.control.remove_label("cat")
    assert json.loads((tmp_path / "overrides.json").read_text())["labels"] == {"cat": None}


def test_more_than_can_be_kept_is_refused_and_what_was_kept_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("monitor.detection.overrides.MOST_BYTES", 5000)
    wired = Wired(tmp_path)
    wired.control.put_label({"id": "small", "prompts": ["x"]})
    with pytest.raises(ConfigError, match="would take more than 5,000 bytes"):
        wired.control.put_label({"id": "large", "prompts": ["x" * 300] * 30})
    assert [label.id for label in wired.control.active_labels.enabled] == ["dog", "cat", "small"]
    assert Wired(tmp_path).control.active_labels == wired.control.active_labels


@pytest.mark.parametrize("seed", range(3))
def test_any_configuration_is_good_or_refused_in_plain_lines_also_by_a_reload(tmp_path, seed):
    chance = random.Random(seed)
    path = tmp_path / "monitor.yaml"
    wired = Wired(tmp_path / "state", reread=lambda: load(path))
    refused = 0
    for _ in range(150):
        path.write_bytes(nonsense.configuration(chance))
        with contextlib.suppress(MonitorError):
            wired.control.reload()
            continue
        refused += 1
        for line in wired.control.last_reload.faults:
            plain(line)
    assert refused > 50
    path.write_text("background: [rain]\n")
    wired.control.reload()
    assert wired.control.active_labels.background == ("rain",)


@pytest.mark.parametrize(
    "fault", [IndexError("x"), RecursionError(), UnicodeError("y"), OSError(5, "is broken")]
)
def test_what_a_reload_makes_a_library_raise_is_a_refusal(tmp_path, fault, caplog):
    def fail():
        raise fault

    with Wired(tmp_path, reread=fail) as wired:
        wired.requests.reload()
        wired.settle()
        assert wired.control.last_reload.faults[0].startswith("reload: ")
    assert "reload refused: " in caplog.text


def test_of_very_many_faults_some_are_logged(tmp_path, caplog):
    path = tmp_path / "monitor.yaml"
    path.write_text("".join(f"k{number}: 1\n" for number in range(5000)))
    with Wired(tmp_path, reread=lambda: load(path)) as wired:
        wired.requests.reload()
        wired.settle()
        assert len(wired.control.last_reload.faults) < 30
    assert len(caplog.records) < 30


def test_whatever_is_asked_at_the_control_socket_is_answered_or_dropped(tmp_path):
    chance = random.Random(5)
    wired = Wired(tmp_path)
    answers = {
        "status": lambda _: [{"armed": wired.control.active_labels.armed}],
        "reload": lambda _: [{"at": wired.control.reload().at}],
        "watch": lambda _: ({"number": number} for number in range(10)),
    }
    server = ControlSocket(tmp_path, answers)
    assert server.open()
    threads = [threading.Thread(target=server.run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(PATIENCE)
                connection.connect(str(tmp_path / "control.sock"))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(nonsense.request(chance))
                    connection.shutdown(socket.SHUT_WR)
                    assert json.loads(connection.recv(10_000).partition(b"\n")[0] or "{}") is not None
        assert ask_once(tmp_path, {"command": "status"}) == {"armed": True}
        assert all(thread.is_alive() for thread in threads)
    finally:
        server.close()
        for thread in threads:
            thread.join(PATIENCE)
