"""The monitor is changed while it runs, as a user does it: by its file, its socket and a signal."""

import contextlib
import json
import os
import signal
import subprocess

import pytest
import soundfile

from monitor.daemon.control_socket import ask_once
from tests.support.broker import PATIENCE, eventually
from tests.support.command_line import COMMAND, ENVIRONMENT, ROOT, clap_monitor, start, windows_in

DEMO = ROOT / "recordings/demo.flac"
RATE = 32_000
CONFIG = """
labels:
  - {{id: rooster, prompts: [a rooster crowing], threshold: {threshold}}}
{more}
"""
DOG = "  - {id: dog, prompts: [a dog barking]}"


class Monitor:
    """A monitor that hears what is fed to it, one second after another."""

    def __init__(self, directory, process):
        self.state = directory / "state"
        self.process = process
        self.seconds = 0
        self._file = directory / "monitor.yaml"
        self._samples, _ = soundfile.read(DEMO, dtype="int16")

    def feed(self, seconds):
        """Let it hear more of the demo, over and over."""
        for _ in range(seconds):
            at = self.seconds * RATE % (60 * RATE)
            self.process.stdin.buffer.write(self._samples[at : at + RATE].tobytes())
            self.seconds += 1
        self.process.stdin.buffer.flush()

    def write(self, *, threshold=0.5, more=""):
        self._file.write_text(CONFIG.format(threshold=threshold, more=more))

    def status(self):
        return ask_once(self.state, {"command": "status"})

    def end(self):
        """Close its input; return events and the summary."""
        out, err = self.process.communicate(timeout=600)
        assert self.process.returncode == 0, err
        return [json.loads(line) for line in out.splitlines()], err


def is_up(state):
    with contextlib.suppress(Exception):
        return ask_once(state, {"command": "status"})


@pytest.fixture
def monitor(tmp_path):
    (tmp_path / "monitor.yaml").write_text(CONFIG.format(threshold=0.5, more=""))
    process = start(
        "run", "--config", "monitor.yaml", "--source", "-", "--rate", RATE, "--fast", "--json",
        cwd=tmp_path, stdin=subprocess.PIPE,
    )  # fmt: skip
    try:
        eventually(lambda: is_up(tmp_path / "state"))
        yield Monitor(tmp_path, process)
    finally:
        process.kill()
        process.communicate()


def reload(tmp_path, *arguments):
    return clap_monitor("reload", "--config", "monitor.yaml", *arguments, cwd=tmp_path)


def test_a_good_file_is_taken_over_and_every_change_named(monitor, tmp_path):
    assert reload(tmp_path).stdout == "nothing has changed\n"
    monitor.write(threshold=0.7, more=DOG + "\nwindow: {seconds: 0.5}")
    done = reload(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "labels: rooster.threshold: 0.5 -> 0.7",
        "labels: dog added",
        "window.seconds: changed: needs a restart",
    ]
    monitor.feed(10)
    eventually(lambda: [label["id"] for label in monitor.status()["labels"]] == ["rooster", "dog"])


def test_a_bad_file_is_refused_with_every_fault_and_the_old_one_holds(monitor, tmp_path):
    monitor.write(threshold=1.5, more="nod: x")
    done = reload(tmp_path)
    assert (done.returncode, done.stdout) == (78, "")
    faults = done.stderr.splitlines()
    assert faults[0].startswith("monitor.yaml:3: labels[0].threshold: 1.5 is not in [0, 1]")
    assert faults[1] == "monitor.yaml:4: nod: unknown key; did you mean node?"
    status = monitor.status()
    assert status["reload"]["faults"] == faults
    assert [label["threshold"] for label in status["labels"]] == [0.5]


def test_a_hangup_reloads_a_good_file_and_refuses_a_bad_one(monitor):
    monitor.write(threshold=0.8)
    monitor.process.send_signal(signal.SIGHUP)
    eventually(lambda: monitor.status()["labels"][0]["threshold"] == 0.8)
    monitor.write(threshold=8)
    monitor.process.send_signal(signal.SIGHUP)
    eventually(lambda: monitor.status()["reload"]["faults"])
    assert monitor.status()["labels"][0]["threshold"] == 0.8
    monitor.feed(2)
    _, errors = monitor.end()
    assert "reload refused: monitor.yaml:3: labels[0].threshold: 8 is not in [0, 1]" in errors


def test_no_window_is_lost_while_labels_come_and_go_fifty_times(monitor):
    for turn in range(50):
        monitor.write(threshold=0.5 + turn / 1000, more=DOG if turn % 2 else "")
        monitor.feed(1)
        ask_once(monitor.state, {"command": "reload"})
    monitor.feed(10)
    events, errors = monitor.end()
    line = errors.splitlines()[-1]
    assert line.startswith("60.0 s of audio, ")
    windows = int(line.split(" windows")[0].split()[-1])
    gated = int(line.split("; ")[1].split()[0]) if "not scored" in line else 0
    assert windows + gated == windows_in(60)
    assert "left out" not in line
    starts, ends = ([e["event_id"] for e in events if e["phase"] == p] for p in ("start", "end"))
    assert sorted(starts) == sorted(ends)
    assert "rooster" in {event["event_type"] for event in events}


def test_an_event_of_a_removed_label_ends_as_disabled_with_its_old_threshold(monitor):
    monitor.write(threshold=0.51, more=DOG)
    ask_once(monitor.state, {"command": "reload"})
    monitor.feed(23)  # the rooster crows from 20 s on
    first = json.loads(monitor.process.stdout.readline())
    assert (first["event_type"], first["phase"], first["threshold"]) == ("rooster", "start", 0.51)
    monitor._file.write_text(f"labels:\n{DOG}\n")
    ask_once(monitor.state, {"command": "reload"})
    end = json.loads(monitor.process.stdout.readline())
    assert (end["event_id"], end["phase"], end["reason"]) == (first["event_id"], "end", "disabled")
    assert end["label_name"] == "Rooster"


def test_the_status_is_complete_and_true(monitor):
    monitor.feed(10)
    status = eventually(
        lambda: (w := (s := monitor.status())["windows"])["scored"] + w["unchanged"] >= windows_in(8) and s
    )
    assert (status["node"], status["model"]["name"], status["armed"]) == ("home", "starter", True)
    assert status["model"]["engine"] == "onnx"  # the starter is exported, and nothing here is a GPU
    assert (status["mqtt"], status["reload"], status["changed_at_run_time"]) == (None, None, False)
    source = status["sources"]["stdin"]
    assert 8 <= source["captured_seconds"] <= 10
    windows = source["windows"]
    assert (windows["scored"], windows["late"]) == (status["windows"]["scored"], status["windows"]["late"])
    assert (
        windows["gated"].get("unchanged", 0) == status["windows"]["unchanged"] == status["windows"]["gated"]
    )
    assert (source["offline"], source["overloaded"], source["online"]) == (False, False, True)
    (label,) = status["labels"]
    assert label.items() >= {"id": "rooster", "name": "Rooster", "enabled": True, "threshold": 0.5}.items()
    assert (label["prompts"], label["thresholds"]) == (["a rooster crowing"], {"stdin": 0.5})
    assert 0 <= status["lag_seconds"] <= 10
    assert status["pid"] == monitor.process.pid


def test_where_none_runs_that_is_said(tmp_path):
    (tmp_path / "monitor.yaml").write_text("state: elsewhere\n")
    done = reload(tmp_path)
    assert done.returncode == 69
    said = "elsewhere: no clap-monitor runs with this state directory"
    assert done.stderr.rstrip() == f"clap-monitor: {said}"
    assert reload(tmp_path, "--state", tmp_path).returncode == 69


@pytest.mark.parametrize(
    ("content", "fault"),
    [("a: [", "monitor.yaml:1: "), ('state: "a\\nb"', "contains a control character")],
)
def test_a_file_that_does_not_say_where_the_monitor_is_is_a_bad_file(tmp_path, content, fault):
    (tmp_path / "monitor.yaml").write_text(content)
    done = reload(tmp_path)
    assert done.returncode == 78
    assert fault in done.stderr


def test_a_terminal_that_is_closed_ends_the_run_though_its_signal_is_that_of_a_reload(tmp_path):
    ours, theirs = os.openpty()
    (tmp_path / "monitor.yaml").write_text(CONFIG.format(threshold=0.5, more=""))
    process = subprocess.Popen(
        [*COMMAND, "run", "--config", "monitor.yaml", "--source", "-", "--rate", str(RATE)],
        cwd=tmp_path, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    try:
        os.close(theirs)
        eventually(lambda: is_up(tmp_path / "state"))
        process.send_signal(signal.SIGHUP)
        eventually(lambda: ask_once(tmp_path / "state", {"command": "status"})["reload"])
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE) is not None
    finally:
        process.kill()
        process.communicate()
