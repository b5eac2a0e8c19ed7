"""The page from the command line: ports that are taken, and what is not loaded without it."""

import contextlib
import http.client
import re
import signal
import socket
import subprocess
import sys
import urllib.request

from monitor.outputs.store import StoreReader
from tests.support.broker import Broker, eventually, free_port
from tests.support.command_line import ENVIRONMENT, ROOT, clap_monitor, start
from tests.support.web_server import LISTEN_TOKEN, answers, ask


def test_a_port_that_is_taken_is_one_line_and_exit_code_73(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = clap_monitor(
            "run", "--source", ROOT / "recordings/demo.flac", "--web", f"{port}", cwd=tmp_path
        )
    assert done.returncode == 73
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_and_help_load_nothing_of_the_page(tmp_path):
    (tmp_path / "monitor.yaml").write_text("web: {enabled: true}\n")
    code = (
        "import sys\nfrom monitor.cli import app\n"
        "try:\n    app(args=sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'fastapi', 'starlette', 'uvicorn', 'torch'} & set(sys.modules)))"
    )
    for arguments in (["--help"], ["check", "monitor.yaml"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode().splitlines()[-1] == "[]"


LISTENING = """
node: home
sources: [{{name: yard, kind: file, path: {demo}}}]
labels: [{{id: dog_bark, prompts: [a dog barking]}}]
mqtt: {{host: 127.0.0.1, port: {broker}}}
web: {{enabled: true, port: {port}, listen: true, listen_token_env: LISTEN}}
"""


def test_a_signal_ends_who_listens_and_everyone_was_told(tmp_path):
    port, topic = free_port(), "clap-monitor/home/yard/listeners"
    demo = ROOT / "recordings/demo.flac"
    with Broker(tmp_path) as broker, contextlib.ExitStack() as ends:
        config = LISTENING.format(demo=demo, broker=broker.port, port=port)
        (tmp_path / "monitor.yaml").write_text(config)
        process = start("run", "--config", "monitor.yaml", cwd=tmp_path, env={"LISTEN": LISTEN_TOKEN})
        ends.callback(process.kill)
        eventually(lambda: answers(port) or process.poll() is not None, 120)
        eventually(lambda: broker.retained().get(topic) == "0")
        connection = ends.enter_context(
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120))
        )
        asked = {"authorization": f"Bearer {LISTEN_TOKEN}"}
        connection.request("GET", "/api/sources/yard/listen", headers=asked)
        stream = connection.getresponse()
        assert stream.read(1000).startswith(b"\x1aE\xdf\xa3")  # EBML, of which WebM is made
        eventually(lambda: broker.retained().get(topic) == "1")
        assert ask(f"http://127.0.0.1:{port}/", "status")["sources"]["yard"]["listeners"] == 1
        process.send_signal(signal.SIGTERM)
        stream.read()
        _, log = process.communicate(timeout=60)
        assert (process.returncode, broker.retained()[topic]) == (0, "0")
    assert "yard: 127.0.0.1 listens" in log
    assert re.search(r"yard: 127\.0\.0\.1 no longer listens, after \d+ s: shutdown", log)
    (row,) = StoreReader(tmp_path / "state/history.sqlite").listens()
    assert (row.source, row.reason, row.ended_at > row.started_at) == ("yard", "shutdown", True)


def test_a_signal_ends_the_page_with_open_streams_in_good_time(tmp_path):
    port = free_port()
    process = start(
        "run", "--source", ROOT / "recordings/demo.flac", "--label", "a dog", "--web", str(port), cwd=tmp_path
    )
    try:
        eventually(lambda: answers(port) or process.poll() is not None, 120)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/live", timeout=20) as stream:
            assert b"hello" in stream.read(40)
            process.send_signal(signal.SIGTERM)
            assert b"event: end" in stream.read()
        assert process.wait(20) == 0, process.stderr.read()
    finally:
        process.kill()
        process.communicate()
