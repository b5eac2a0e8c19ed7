"""Labels on the command line: for the next start, and in a running monitor."""

import json

import numpy as np
import pytest
import soundfile

from tests.support.broker import eventually
from tests.support.command_line import clap_monitor, start

CONFIG = """
include: [pets]
sources: [{name: yard, kind: file, path: yard.wav}]
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / "monitor.yaml").write_text(CONFIG)
    noise = np.random.default_rng(0).standard_normal(600 * 8000)
    soundfile.write(tmp_path / "yard.wav", 0.01 * noise, 8000)
    return tmp_path


def labels(home, *arguments, refused=False):
    done = clap_monitor("labels", *arguments, "--config", "monitor.yaml", cwd=home)
    assert (done.returncode != 0) is refused, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if refused else done.stdout


def listed(home):
    return {label["id"]: label for label in map(json.loads, labels(home, "list", "--json").splitlines())}


def test_without_a_monitor_changes_hold_at_the_next_start(home):
    assert labels(home, "add", "gunshot") == "gunshot: added; in force at the next start\n"
    labels(home, "add", "piano", "--prompt", "a piano", "-p", "piano music", "--threshold", "0.6")
    labels(home, "disable", "hen")
    labels(home, "remove", "rooster")
    found = listed(home)
    assert (found["piano"]["prompts"], found["piano"]["threshold"]) == (["a piano", "piano music"], 0.6)
    assert found["gunshot"]["prompts"][0] == "a gunshot"
    assert (found["hen"]["enabled"], "rooster" in found) == (False, False)
    assert labels(home, "list").splitlines()[0].startswith("on  dog_bark             0.50  a dog barking; ")
    assert (home / "monitor.yaml").read_text() == CONFIG


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["add", "gunsht"],
            "'gunsht' is a label of no prompt pack (did you mean gunshot?): describe its sound",
        ),
        (["add", "hen"], "there is a label 'hen' already; use another id, or remove it first"),
        (["add", "x", "-p", "y", "--threshold", "7"], "threshold: 7.0 is not in [0, 1]"),
        (["add", "Big Bang", "-p", "y"], "id: "),
        (["add", "x", "-p", "y", "--pattern", "t5"], 'pattern: "t5" is not one of t3, t4'),
        (["remove", "lion"], "there is no label 'lion'"),
        (["enable", "lion"], "there is no label 'lion'"),
    ],
)
def test_a_refusal_is_one_line_and_changes_nothing(home, arguments, words):
    (line,) = labels(home, *arguments, refused=True).splitlines()
    assert words in line
    assert not (home / "state/overrides.json").exists()


def test_the_last_label_cannot_be_disabled(home):
    for label in list(listed(home))[1:]:
        labels(home, "remove", label)
    assert "none would be enabled" in labels(home, "disable", "dog_bark", refused=True)


def test_a_running_monitor_changes_its_labels_at_once(home):
    monitor = start("run", "--config", "monitor.yaml", cwd=home)
    try:
        eventually(lambda: clap_monitor("status", "--config", "monitor.yaml", cwd=home).returncode != 69, 120)
        assert labels(home, "add", "gunshot") == "gunshot: added; in force now\n"
        assert labels(home, "disable", "hen") == "hen: disabled; in force now\n"
        assert "already" in labels(home, "add", "gunshot", refused=True)
        found = listed(home)
        assert (found["gunshot"]["thresholds"], found["hen"]["enabled"]) == ({"yard": 0.5}, False)
        status = json.loads(clap_monitor("status", "-c", "monitor.yaml", "--json", cwd=home).stdout)
        assert "gunshot" in json.dumps(status)
    finally:
        monitor.terminate()
        monitor.communicate()
    assert json.loads((home / "state/overrides.json").read_text())["labels"]["hen"] == {"enabled": False}
