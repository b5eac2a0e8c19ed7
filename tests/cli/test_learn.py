"""Learning by example, on the command line: without a monitor, and into a running one."""

import json
import re
import subprocess

import numpy as np
import pytest
import soundfile

from monitor.daemon.control_socket import ask_once
from monitor.outputs.store import FILE, StoreReader
from tests.support.bells import RATE, bell
from tests.support.broker import eventually
from tests.support.command_line import clap_monitor, start

CONFIG = """
labels:
  - {id: dog, prompts: [a dog barking]}
sources: [{name: crib, kind: file, path: bells.wav}]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A directory with recordings of a bell, and a configuration."""
    place = tmp_path_factory.mktemp("home")
    for number in range(3):
        soundfile.write(place / f"bell{number}.wav", bell(seed=number), RATE)
    soundfile.write(place / "bells.wav", np.tile(bell(seed=7), 120), RATE)
    (place / "monitor.yaml").write_text(CONFIG)
    return place


def learn(home, *arguments, state="state"):
    return clap_monitor("learn", *arguments, "--config", "monitor.yaml", "--state", state, cwd=home)


def stored(state):
    return StoreReader(state / FILE).events().rows


def test_a_label_is_learned_from_files_checked_again_and_carried_to_another_home(home):
    done = learn(
        home, "our_bell", "--from", "bell0.wav", "bell1.wav", "--from", "bell2.wav", "--name", "Bell"
    )
    assert done.stderr == ""
    assert "our_bell: 3 examples, 3 of them new; in force at the next start" in done.stdout
    assert "recall 1.00 (" in done.stdout
    assert "never fired in" in done.stdout
    again = json.loads(learn(home, "our_bell", "--json").stdout)
    assert (again["new"], again["live"], again["check"]["examples"]) == (0, False, 3)
    refused = learn(home, "our_bell", "--forget")
    assert (refused.returncode, refused.stderr) == (
        78,
        "label our_bell has no prompts: give it some first, or remove it\n",
    )
    exported = clap_monitor("labels", "export", "our_bell", "our.bell", "--config", "monitor.yaml", cwd=home)
    assert exported.stdout == "our.bell: written\n"
    assert (home / "our.bell").stat().st_size < 5000
    options = ("--config", "monitor.yaml", "--state", "other")
    imported = clap_monitor("labels", "import", "our.bell", *options, cwd=home)
    assert imported.stdout == "our_bell: in force at the next start\n"
    there = json.loads((home / "other/overrides.json").read_text())
    assert there["labels"] == {"our_bell": {"name": "Bell", "examples": True}}


def test_nothing_is_changed_by_a_dry_run_nor_by_a_mistake(home):
    done = learn(home, "chime", "--from", "bell0.wav", "--dry-run", state="empty")
    assert "chime: 1 examples, 1 of them new; nothing is changed" in done.stdout
    assert "one example cannot be tested on another: give two more" in done.stdout
    for arguments, words in (
        (["chime"], "chime has no examples: give --from, --event or --record"),
        (["Our bell", "--from", "bell0.wav"], "id: "),
        (["chime", "--from", "none.wav"], "none.wav"),
        (["chime", "--event", "01ABC"], "history.sqlite"),
        (["dog", "--against", "01ABC"], "history.sqlite"),
        (["chime", "--against", "01ABC"], "there is no label 'chime'"),
        (["chime", "--record", "an hour"], "is not a time from 1s to 30s"),
        (["chime", "--record", "2s", "--source", "attic"], "give --source: one of crib"),
    ):
        refused = learn(home, *arguments, state="empty")
        assert refused.returncode != 0
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr
    assert not (home / "empty/examples").exists()


def test_a_running_monitor_learns_a_file_and_what_it_hears_and_forgets(home):
    process = start("run", "--config", "monitor.yaml", cwd=home, stdin=subprocess.DEVNULL)
    state = home / "state"
    (state / "examples/our_bell.json").unlink(missing_ok=True)

    def status():
        try:
            return ask_once(state, {"command": "status"})
        except OSError:
            return None

    def events():
        return ask_once(state, {"command": "status"})["events"]

    try:
        eventually((state / "control.sock").exists, 120)
        prompt = ("--prompt", "a doorbell chiming")
        done = learn(home, "chime", "--from", "bell0.wav", "bell1.wav", *prompt)
        assert "chime: 2 examples, 2 of them new; in force now" in done.stdout
        heard = learn(home, "chime", "--record", "2s")
        assert "recording for 2 s: make the sound now" in heard.stderr
        assert "chime: 3 examples, 1 of them new; in force now" in heard.stdout
        assert re.search(r"would have fired [1-9]\d* times in the last 0\.\d h of the memory", heard.stdout)
        eventually(lambda: events() > 0, 60)
        [wrong, *_] = eventually(lambda: stored(state), 60)
        marked = learn(home, "chime", "--against", wrong.event_id)
        assert marked.stdout == "chime: 1 sounds marked wrong count against it; in force now\n"
        assert "1 sounds marked wrong count against it" in learn(home, "chime").stdout
        options = ("--config", "monitor.yaml")
        exported = clap_monitor("labels", "export", "chime", "chime.label", *options, cwd=home)
        assert exported.stdout == "chime.label: written\n"
        forgotten = learn(home, "chime", "--forget")
        assert forgotten.stdout == "chime: its examples are deleted\n"
        assert not (state / "examples/chime.json").exists()
        [label] = [each for each in status()["labels"] if each["id"] == "chime"]
        assert label["prompts"] == ["a doorbell chiming"]
        foreign = json.loads((home / "chime.label").read_text()) | {"checkpoint": "another"}
        (home / "foreign.label").write_text(json.dumps(foreign))
        refused = clap_monitor("labels", "import", "foreign.label", *options, cwd=home)
        assert "were learned with another checkpoint" in refused.stderr
    finally:
        process.kill()
        process.communicate()
