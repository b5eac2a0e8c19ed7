"""Status and watch of a running monitor, over its socket and its metrics, as a user asks."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import time
import urllib.request

import numpy as np
import pytest
import soundfile
from prometheus_client.parser import text_string_to_metric_families

from tests.support.broker import Broker, eventually, free_port
from tests.support.command_line import COMMAND, ENVIRONMENT, ROOT, clap_monitor, start

DEMO = ROOT / "recordings/demo.flac"
PATIENCE = 120


@contextlib.contextmanager
def monitor(directory):
    """Run on ten minutes of the demo, as fast as they last; return the broker and the port of the metrics."""
    samples, rate = soundfile.read(DEMO, dtype="int16", start=13 * 32_000, stop=37 * 32_000)
    soundfile.write(directory / "long.flac", np.tile(samples, 25), rate)
    labels = (
        "[{id: rooster, prompts: [a rooster crowing]}, {id: glass, name: Glass, prompts: [glass breaking]}]"
    )
    with Broker(directory) as broker:
        port = free_port()
        (directory / "monitor.yaml").write_text(
            f"""
node: nursery
mqtt: {{host: 127.0.0.1, port: {broker.port}}}
metrics: {{enabled: true, port: {port}}}
sources: [{{name: crib, kind: file, path: long.flac}}]
labels: {labels}
"""
        )
        with (directory / "log").open("w") as log:
            process = subprocess.Popen(
                [*COMMAND, "run", "--config", "monitor.yaml"],
                cwd=directory, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        try:
            eventually(
                lambda: ask(directory) and ask(directory)["sources"]["crib"]["windows"]["scored"], PATIENCE
            )
            yield broker, port, process
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    directory = tmp_path_factory.mktemp("house")
    with monitor(directory) as (broker, port, _):
        yield directory, broker, port


def ask(directory):
    """Return what the status says; None while nobody answers."""
    done = clap_monitor("status", "--config", "monitor.yaml", "--json", cwd=directory)
    return json.loads(done.stdout) if done.returncode != 69 else None


def test_the_status_of_a_healthy_monitor_is_a_page_and_exit_code_0(house):
    directory, *_ = house
    eventually(lambda: not ask(directory)["problems"], PATIENCE)
    done = clap_monitor("status", "--config", "monitor.yaml", cwd=directory)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].endswith(" as nursery: healthy")
    assert [line for line in lines if line.startswith("crib") and "online" in line]
    assert [line for line in lines if line.startswith("Glass")]
    assert [line for line in lines if line.startswith("broker") and "connected" in line]
    assert [line for line in lines if line.startswith("state") and "free" in line]


def test_metrics_are_what_prometheus_reads_and_agree_with_the_status(house):
    directory, _, port = house
    eventually(lambda: ask(directory)["mqtt"]["published"], PATIENCE)
    before = ask(directory)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        text = answer.read().decode()
    after = ask(directory)
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    scored = [each["sources"]["crib"]["windows"]["scored"] for each in (before, after)]
    assert scored[0] <= found["clap_monitor_windows_scored_total", "crib"] <= scored[1]
    assert found["clap_monitor_inference_seconds_count",] > 0
    assert found["clap_monitor_events_total", "crib", "rooster"] >= 1
    assert found["clap_monitor_alert_latency_seconds_count",] >= 1
    assert 0 < found["clap_monitor_alert_latency_seconds_sum",] < 1000
    assert found["clap_monitor_mqtt_connected",] == 1
    assert ("clap_monitor_score", "crib", "glass") in found


def test_a_watcher_in_a_pipe_sees_scores_and_events_as_they_come(house):
    directory, *_ = house
    watcher = start("watch", "--config", "monitor.yaml", "--json", cwd=directory)
    try:
        kinds = set()
        for line in watcher.stdout:
            told = json.loads(line)
            kinds.add(told["kind"])
            if {"status", "scores", "event"} <= kinds:
                break
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(PATIENCE) == 0
        assert watcher.stderr.read() == ""
    finally:
        watcher.kill()
        watcher.communicate()


def test_a_pipe_that_is_closed_ends_the_watcher_well(house):
    directory, *_ = house
    script = f"{' '.join(COMMAND)} watch --config monitor.yaml | head -n 2; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2
    assert "dBFS" in done.stdout


def test_without_a_monitor_the_exit_code_is_69(tmp_path):
    for command in ("status", "watch"):
        done = clap_monitor(command, "--state", tmp_path / "none", cwd=tmp_path)
        assert done.returncode == 69
        assert "no clap-monitor runs with this state directory" in done.stderr


def read_terminal(descriptor, until, seconds=PATIENCE):
    """Read a terminal until a text has come, or it is closed; return all of it."""
    text = ""
    deadline = time.monotonic() + seconds
    while until not in text and time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.5)[0]:
            try:
                text += os.read(descriptor, 65_536).decode(errors="replace")
            except OSError:  # closed on the other side
                break
    return text


def test_a_watcher_on_a_terminal_draws_and_ends_with_the_monitor_which_says_what_is_wrong(tmp_path):
    with monitor(tmp_path) as (broker, _, process):
        ours, theirs = pty.openpty()
        watcher = subprocess.Popen(
            [*COMMAND, "watch", "--config", "monitor.yaml"],
            cwd=tmp_path, env=ENVIRONMENT | {"TERM": "xterm", "LINES": "30"},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        try:
            assert "nursery" in read_terminal(ours, "nursery")
            assert "Glass" in read_terminal(ours, "Glass")
            broker.kill()
            eventually(lambda: ask(tmp_path)["problems"], PATIENCE)
            done = clap_monitor("status", "--config", "monitor.yaml", cwd=tmp_path)
            assert done.returncode == 1
            assert "! broker: not connected: 127.0.0.1" in done.stdout
            assert "not connected" in read_terminal(ours, "not connected")
            process.send_signal(signal.SIGTERM)
            rest = read_terminal(ours, "the monitor has stopped")
            assert "the monitor has stopped" in rest
            assert watcher.wait(PATIENCE) == 0
        finally:
            watcher.kill()
            watcher.wait()
            os.close(ours)
