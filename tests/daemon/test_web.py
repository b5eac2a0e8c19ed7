"""The page from the command line: ports that are taken, and what is not loaded without it."""

import signal
import socket
import subprocess
import sys
import urllib.request

from tests.support.broker import eventually, free_port
from tests.support.command_line import ENVIRONMENT, ROOT, clap_monitor, start
from tests.support.web_server import answers


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
