"""The whole page: what is looked at, and in which order."""

import json

import pytest

from monitor.cli.doctor import examine
from monitor.cli.doctor.model import speed
from monitor.types import ExitCode
from tests.support.command_line import ROOT, clap_monitor

RECORDING = ROOT / "recordings/demo.flac"


def write(tmp_path, text):
    path = tmp_path / "monitor.yaml"
    path.write_text(text)
    return path


def test_a_good_configuration_is_looked_at_from_the_source_to_the_broker(tmp_path):
    path = write(
        tmp_path,
        f"sources: [{{name: demo, kind: file, path: {RECORDING}}}]\n"
        f"labels: [{{id: dog, prompts: [a dog barking]}}]\nstate: {tmp_path}/state\n",
    )
    found = list(examine(path))
    assert list(dict.fromkeys(finding.check for finding in found)) == [
        *("configuration", "source", "model", "calibration", "speed", "state", "clock", "broker")
    ]
    assert not any(finding.exit_code for finding in found)
    assert not (tmp_path / "state").exists()
    assert any("real-time factor" in finding.text for finding in found)


def test_a_missing_checkpoint_is_a_failure_and_the_rest_is_still_checked(tmp_path):
    path = write(
        tmp_path,
        f"sources: [{{name: demo, kind: file, path: {tmp_path}/none.flac}}]\n"
        f"model: {{checkpoint: {tmp_path}/none}}\nmqtt: {{host: broker.invalid}}\nstate: {tmp_path}\n",
    )
    found = list(examine(path))
    failed = [(finding.check, finding.exit_code) for finding in found if finding.exit_code]
    assert failed == [("source", ExitCode.SOURCE), ("model", ExitCode.DATA), ("dns", ExitCode.DNS)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("labels: [{id: dog, prompts: [a dog], threshold: 2}]\n", "labels[0].threshold"),
        ("mqtt: {host: h, username: u, password_file: none}\n", "mqtt.password_file"),
        ("labels: [{id: dog, prompts: [a dog barking], enabled: false}]\n", "no label is enabled"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_the_first_failure(tmp_path, text, words):
    first = next(iter(examine(write(tmp_path, text))))
    assert first.exit_code == ExitCode.CONFIGURATION
    assert words in first.text


@pytest.mark.parametrize(
    ("seconds", "sources", "state", "factor"),
    [(0.1, 1, "ok", "0.10"), (0.1, 9, "warn", "0.90"), (0.3, 4, "warn", "1.20")],
)
def test_a_model_that_is_too_slow_for_its_sources_is_a_warning(seconds, sources, state, factor):
    found = speed(seconds, hop_seconds=1.0, sources=sources)
    assert found.state == state
    assert f"real-time factor {factor}" in found.text


def test_the_first_failure_is_the_exit_code(tmp_path):
    write(tmp_path, "windwo: {}\n")
    done = clap_monitor("doctor", "--config", "monitor.yaml", cwd=tmp_path)
    assert done.returncode == 78, done.stderr
    assert done.stdout.startswith("FAIL  configuration  monitor.yaml:1: windwo: ")
    assert done.stdout.splitlines()[-1].startswith("1 failures")

    done = clap_monitor("doctor", "--config", "monitor.yaml", "--json", cwd=tmp_path)
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == findings[0]["exit_code"] == 78
    assert {"check", "state", "text", "fix", "exit_code"} == findings[0].keys()
