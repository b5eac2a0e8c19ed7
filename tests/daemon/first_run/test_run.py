"""The first run as a process: what begins it, what ends it, and what it says."""

import contextlib
import http.client
import json
import socket

import pytest
import soundfile

from tests.support.broker import eventually, free_port
from tests.support.command_line import clap_monitor, start
from tests.support.rtsp import tone
from tests.support.web_server import ask_plainly


@pytest.mark.parametrize("sources", ["[]", "[{name: a, kind: microphone, enabled: false}]"])
def test_without_a_page_a_file_without_a_source_is_an_error(tmp_path, sources):
    (tmp_path / "monitor.yaml").write_text(f"sources: {sources}\n")
    done = clap_monitor("run", "--config", "monitor.yaml", cwd=tmp_path)
    assert done.returncode == 78
    assert "sources" in done.stderr


def test_a_port_that_is_taken_is_one_line_and_writes_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = clap_monitor("run", "--config", "config/monitor.yaml", "--web", f"{port}", cwd=tmp_path)
    assert done.returncode == 73
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert not (tmp_path / "config").exists()


def test_other_machines_need_the_token_and_a_file_saved_by_hand_goes_on(tmp_path):
    path, port = tmp_path / "monitor.yaml", free_port()
    path.write_text("sources: [] # mine\n")
    process = start("run", "--config", path, "--web", f"0.0.0.0:{port}", cwd=tmp_path)
    try:
        eventually(lambda: ask_plainly(port, "setup") or process.poll() is not None)
        assert ask_plainly(port, "setup") == {"detail": "The token is required"}
        token = (tmp_path / "web_token").read_text().strip()
        shown = ask_with(token, port, "GET", "setup")
        assert shown["hand_written"]
        choices = {"microphones": [{"name": "crib", "device": "USB"}]}
        body = {"choices": choices, "revision": shown["revision"]}
        assert "by hand" in ask_with(token, port, "POST", "setup/apply", body)["detail"]
        assert path.read_text() == "sources: [] # mine\n"
        soundfile.write(tmp_path / "tone.wav", tone(seconds=6.0), 48000)
        path.write_text(
            "sources: [{name: demo, kind: file, path: tone.wav, pace: fast}]\n"
            f"web: {{token_file: {tmp_path / 'web_token'}}}\n"
        )
        log = process.communicate(timeout=300)[1]
        assert process.returncode == 0, log
        assert "no source is configured, so no sound is detected" in log
        assert "6.0 s of audio" in log
    finally:
        process.kill()
        process.communicate()


def ask_with(token, port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    with contextlib.closing(connection):
        connection.request(method, f"/api/{path}", json.dumps(body) if body else None, headers)
        return json.load(connection.getresponse())
