"""Backup, restore and support on the command line."""

import json
import re
import tarfile

import pytest

from tests.support.broker import eventually
from tests.support.command_line import ROOT, clap_monitor, start

CONFIGURATION = f"""
sources:
  - {{name: yard, kind: file, path: {ROOT / "recordings/demo.flac"}}}
labels:
  - {{id: rooster, prompts: [a rooster crowing], threshold: 0.3}}
"""


@pytest.fixture
def running(tmp_path):
    """A monitor that runs in this directory."""
    (tmp_path / "monitor.yaml").write_text(CONFIGURATION.replace("", ""))
    process = start("run", "-c", "monitor.yaml", cwd=tmp_path)
    try:
        eventually((tmp_path / "state" / "control.sock").exists, seconds=120)
        yield tmp_path
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_running_monitor_is_backed_up_and_not_overwritten(running):
    eventually(lambda: any(running.glob("state/memory/*/yard/*.index")), seconds=60)
    done = clap_monitor("backup", "b.tar", "-c", "monitor.yaml", "--memory", cwd=running)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"b\.tar: \d+ files, .* [kM]B\n", done.stdout)
    refused = clap_monitor("restore", "b.tar", "-c", "monitor.yaml", cwd=running)
    assert (refused.returncode, refused.stdout) == (75, "")
    assert refused.stderr == "clap-monitor: state: a monitor is running there; stop it first\n"
    other = clap_monitor("restore", "b.tar", "--state", "new/state", "-c", "new/monitor.yaml", cwd=running)
    assert other.returncode == 0, other.stderr
    shown = clap_monitor("search", "a rooster", "-c", "monitor.yaml", "--top", "1", cwd=running / "new")
    assert (shown.returncode, " yard " in shown.stdout) == (0, True)
    assert (running / "new/state/history.sqlite").exists()
    assert json.loads((running / "new/state/version.json").read_text()) == {"version": 1}


def test_nothing_private_is_in_the_archive_for_a_bug_report(tmp_path):
    (tmp_path / "monitor.yaml").write_text("""
node: attic
sources: [{name: cam, kind: stream, url: "rtsp://127.0.0.1:9/secretpath", username: bob99, password_env: CAM}]
labels: [{id: dog, prompts: [a dog barking]}]
mqtt: {host: broker.example.invalid, username: monitoruser}
hooks: [{name: h, command: ["true", "mytokenvalue"]}]
""")
    environment = {"CAM": "hunter2222", "MY_TOKEN": "0123456789abcdef"}
    done = clap_monitor("support", "s.tgz", "-c", "monitor.yaml", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s.tgz").stat().st_mode & 0o777 == 0o600
    with tarfile.open(tmp_path / "s.tgz") as archive:
        texts = {each.name.rsplit("/", 1)[1]: archive.extractfile(each).read().decode() for each in archive}
    assert set(texts) == {"versions.txt", "configuration.json", "doctor.txt", "status.json", "log.txt"}
    every = "\n".join(texts.values())
    for private in (
        "hunter2222",
        "bob99",
        "secretpath",
        "mytokenvalue",
        "example.invalid",
        "127.0.0.1",
        "monitoruser",
    ):
        assert private not in every
    assert "clap-monitor " in texts["versions.txt"]
    assert json.loads(texts["configuration.json"])["labels"] == [{"id": "dog", "prompts": ["a dog barking"]}]
    assert "FAIL" in texts["doctor.txt"]
    assert "no clap-monitor runs" in texts["status.json"]


def test_without_a_state_directory_there_is_nothing_to_back_up(tmp_path):
    done = clap_monitor("backup", "b.tar", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        73,
        "clap-monitor: state: there is no state directory to back up\n",
    )
    assert not (tmp_path / "b.tar").exists()


def test_a_broken_configuration_is_told_in_the_archive(tmp_path):
    (tmp_path / "monitor.yaml").write_text("node: 3\n")
    done = clap_monitor("support", "s.tgz", "-c", "monitor.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "s.tgz") as archive:
        text = archive.extractfile("clap-monitor-support/configuration.json").read().decode()
    assert "not available: monitor.yaml:1: node: 3" in text
