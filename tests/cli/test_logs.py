"""Log lines, as people, the journal and machines see them."""

import json
import logging
import os
import subprocess
import sys

import pytest

from monitor.cli.logs import JournalFormatter, JsonFormatter
from monitor.system.systemd import is_journal
from tests.support.command_line import COMMAND, ENVIRONMENT, ROOT, clap_monitor


def record(level, message, *arguments, error=None):
    return logging.LogRecord("monitor.part", level, "part.py", 1, message, arguments, error)


@pytest.mark.parametrize(
    ("level", "priority"),
    [("DEBUG", 7), ("INFO", 6), ("WARNING", 4), ("ERROR", 3), ("CRITICAL", 2)],
)
def test_the_journal_is_told_the_priority(level, priority):
    line = JournalFormatter().format(record(getattr(logging, level), "source %s is offline", "mic"))
    assert line == f"<{priority}>monitor.part: source mic is offline"


def test_every_line_has_its_own_priority_and_cannot_claim_another():
    text = JournalFormatter().format(record(logging.INFO, "one\n<0>two"))
    assert text.splitlines() == ["<6>monitor.part: one", "<6><0>two"]


def test_machines_get_one_object_a_line():
    line = JsonFormatter().format(record(logging.WARNING, "höre\n%s", "nichts"))
    content = json.loads(line)
    assert "\n" not in line
    assert content.keys() == {"at", "level", "logger", "message"}
    assert content["level"] == "warning"
    assert content["logger"] == "monitor.part"
    assert content["message"] == "höre\nnichts"
    assert content["at"].endswith("Z")


def test_machines_get_the_traceback_in_the_same_object():
    failure = ValueError("broken")
    error = (ValueError, failure, None)
    line = JsonFormatter().format(record(logging.ERROR, "failed", error=error))
    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("ValueError: broken")


def journal_of(file):
    """Return what systemd says of the file if it is the journal."""
    found = os.fstat(file.fileno())
    return {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}


def test_the_journal_is_known_by_what_the_stream_is_not_by_the_variable_alone(tmp_path):
    with (tmp_path / "journal").open("w") as queue_file, (tmp_path / "file").open("w") as file:
        assert is_journal(queue_file, journal_of(queue_file))
        assert not is_journal(file, journal_of(queue_file))
        assert not is_journal(queue_file, {})
    assert not is_journal(queue_file, {"JOURNAL_STREAM": "1:2"})  # closed


SAY = """
import logging, sys, threading
from monitor.cli.logs import log_to_stderr, say
log_to_stderr("info", as_json={as_json})
logging.getLogger("monitor.part").info("listening")
logging.getLogger("other").info("not ours")
say("68.0 s of audio")
raise RuntimeError("a fault of ours")
"""


def said(tmp_path, *, as_json=False, queue_file=False):
    with (tmp_path / "errors").open("w") as file:
        done = subprocess.run(
            [sys.executable, "-c", SAY.format(as_json=as_json)],
            stderr=file,
            env=ENVIRONMENT | (journal_of(file) if queue_file else {}),
            check=False,
        )
    assert done.returncode == 1
    return (tmp_path / "errors").read_text().splitlines()


def test_to_people_the_summary_is_bare_and_a_crash_is_python_s(tmp_path):
    lines = said(tmp_path)
    assert lines[0].endswith(" INFO monitor.part: listening")
    assert lines[1] == "68.0 s of audio"
    assert lines[2] == "Traceback (most recent call last):"


def test_to_the_journal_all_of_it_has_a_priority_and_a_crash_is_critical(tmp_path):
    lines = said(tmp_path, queue_file=True)
    assert lines[:2] == ["<6>monitor.part: listening", "<6>monitor: 68.0 s of audio"]
    assert all(line.startswith("<2>") for line in lines[2:])
    assert lines[-1] == "<2>RuntimeError: a fault of ours"


def test_to_machines_all_of_it_is_json(tmp_path):
    contents = [json.loads(line) for line in said(tmp_path, as_json=True)]
    assert [content["level"] for content in contents] == ["info", "info", "critical"]
    assert contents[-1]["traceback"].endswith("RuntimeError: a fault of ours")


def test_a_bad_configuration_is_an_error_in_the_journal_and_one_object_with_log_json(tmp_path):
    with (tmp_path / "errors").open("w") as file:
        done = subprocess.run(
            [*COMMAND, "run", "--config", "none.yaml"],
            cwd=tmp_path,
            stderr=file,
            env=ENVIRONMENT | journal_of(file),
            check=False,
        )
    assert done.returncode == 78
    (line,) = (tmp_path / "errors").read_text().splitlines()
    assert line.startswith("<3>monitor: none.yaml: no such file")

    done = subprocess.run(
        [*COMMAND, "run", "--config", "none.yaml", "--log-json"],
        cwd=tmp_path,
        capture_output=True,
        env=ENVIRONMENT,
        check=False,
    )
    content = json.loads(done.stderr)
    assert (content["level"], done.returncode) == ("error", 78)
    assert content["message"].startswith("none.yaml: no such file")


def test_a_run_with_log_json_writes_nothing_else_to_standard_error(tmp_path):
    (tmp_path / "own.yaml").write_text("log_level: debug\n")
    command = ["run", "--config", "own.yaml", "--source", str(ROOT / "recordings/demo.flac")]
    done = clap_monitor(*command, "--label", "a rooster crowing", "--fast", "--log-json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    contents = [json.loads(line) for line in done.stderr.splitlines()]
    assert contents[-1]["message"].startswith("68.0 s of audio, ")
