"""The commands that need no model: what they print, how they end, what they do not import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import ENVIRONMENT, ROOT, clap_monitor

HEAVY = ("torch", "transformers", "sounddevice", "av", "scipy", "paho")
COMMANDS = (
    *("run", "doctor", "devices", "check", "schema", "init", "classify", "embed", "evaluate"),
    *("install-service", "download", "bench", "status", "watch", "reload", "notify"),
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["check", "config/monitor.yaml"],
        ["schema"],
        ["doctor", "--help"],
        ["install-service", "--user", "--dry-run"],
    ],
)
def test_quick_commands_import_nothing_heavy(arguments):
    program = (
        "import sys\nfrom monitor.cli import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit as end:\n    code = end.code\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not found, found\nassert not code, code\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_command_has_help(tmp_path):
    text = clap_monitor("--help", cwd=tmp_path).stdout
    for command in COMMANDS:
        assert f"  {command} " in text
        done = clap_monitor(command, "--help", cwd=tmp_path)
        assert done.returncode == 0
        assert len(done.stdout.splitlines()) > 5


def test_init_writes_an_example_that_check_finds_good(tmp_path):
    assert clap_monitor("init", "own.yaml", cwd=tmp_path).returncode == 0
    done = clap_monitor("check", "own.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("own.yaml: good: ")


def test_init_does_not_overwrite_but_when_told(tmp_path):
    (tmp_path / "own.yaml").write_text("node: mine\n")
    done = clap_monitor("init", "own.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        73,
        "clap-monitor: own.yaml: already exists; --force overwrites it\n",
    )
    assert (tmp_path / "own.yaml").read_text() == "node: mine\n"
    assert clap_monitor("init", "own.yaml", "--force", cwd=tmp_path).returncode == 0
    assert (tmp_path / "own.yaml").read_text() == (ROOT / "config/monitor.yaml").read_text()


def test_check_reports_every_fault_with_its_line_and_exits_78(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/monitor.yaml").write_text(
        "node: home\nlabels:\n  - id: dog\n    prompts: [a dog barking]\n    threshold: 1.4\nwindwo: {}\n"
    )
    done = clap_monitor("check", cwd=tmp_path)
    assert done.returncode == 78
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert "config/monitor.yaml:5: labels[0].threshold: 1.4 is not in [0, 1]" in lines
    assert any(line.startswith("config/monitor.yaml:6: windwo: ") for line in lines)
    assert len(lines) == 2


def test_check_warns_without_failing(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "labels:\n  - {id: dog, prompts: [a dog barking]}\n  - {id: hound, prompts: [A dog barking.]}\n"
    )
    done = clap_monitor("check", "own.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert "own.yaml: warning: " in done.stderr


def test_check_deep_asks_the_model(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "labels:\n  - {id: dog, prompts: [a dog barking]}\n  - {id: hound, prompts: [a dog barks]}\n"
        "  - {id: sea, prompts: [sea waves on a beach]}\n"
    )
    done = clap_monitor("check", "--deep", "own.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nearly the same to the model" in done.stderr
    assert "labels[2]" not in done.stderr


def test_the_schema_is_json_schema_and_knows_every_section():
    schema = json.loads(clap_monitor("schema", cwd=ROOT).stdout)
    assert schema["additionalProperties"] is False
    assert {"node", "model", "window", "sources", "labels", "background", "mqtt", "state"} <= set(
        schema["properties"]
    )


def test_a_bad_command_line_exits_2(tmp_path):
    assert clap_monitor("run", "--no-such-option", cwd=tmp_path).returncode == 2
    assert clap_monitor("embed", cwd=tmp_path).returncode == 2


def test_a_missing_configuration_is_named_and_exits_78(tmp_path):
    done = clap_monitor("run", "--config", "none.yaml", cwd=tmp_path)
    assert done.returncode == 78
    assert done.stderr.startswith("none.yaml: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["schema"], ["check", "config/monitor.yaml"]]
)
def test_a_full_disk_behind_standard_output_is_one_line(arguments):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "monitor", *arguments], cwd=ROOT, env=ENVIRONMENT, stdout=full,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 73
    assert done.stderr == "clap-monitor: cannot write to standard output: No space left on device\n"
