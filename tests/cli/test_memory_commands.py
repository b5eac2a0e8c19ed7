"""Search, similar and replay on the command line, over what a run has heard."""

import json

import pytest

from tests.support.command_line import ROOT, clap_monitor

CONFIGURATION = f"""
sources:
  - {{name: yard, kind: file, path: {ROOT / "recordings/demo.flac"}, pace: fast}}
labels:
  - {{id: dog, prompts: [a dog barking]}}
  - {{id: rooster, prompts: [a rooster crowing]}}
"""


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """A directory in which the monitor has heard the demo recording."""
    place = tmp_path_factory.mktemp("heard")
    (place / "monitor.yaml").write_text(CONFIGURATION)
    assert clap_monitor("run", "-c", "monitor.yaml", cwd=place).returncode == 0
    return place


def lines_of(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_sentence_finds_its_moment_with_the_event(heard):
    done = clap_monitor("search", "a dog barking", "-c", "monitor.yaml", "--top", "3", "--json", cwd=heard)
    first, *others = lines_of(done)
    assert [event["label"] for event in first["events"]] == ["dog"]
    assert first["source"] == "yard"
    assert all(other["fit"] < first["fit"] for other in others)
    assert "remembered since" in done.stderr


def test_an_event_and_a_file_find_their_like(heard):
    found = lines_of(clap_monitor("replay", "-c", "monitor.yaml", "--as-recorded", "--json", cwd=heard))
    assert {(each["outcome"], each["label"]) for each in found} == {("both", "dog"), ("both", "rooster")}
    shown = clap_monitor("search", "a rooster", "-c", "monitor.yaml", "--top", "1", cwd=heard)
    event_id = next(word for word in shown.stdout.split() if len(word) == 26)
    for sound in (event_id, ROOT / "monitor/kit/event-rooster-00.opus"):
        similar = clap_monitor("similar", sound, "-c", "monitor.yaml", "--top", "1", "--json", cwd=heard)
        assert [event["label"] for event in lines_of(similar)[0]["events"]] == ["rooster"]


def test_a_replay_shows_what_is_new_and_what_is_gone(heard):
    done = clap_monitor("replay", "-c", "monitor.yaml", "--label", "a dog barking", cwd=heard)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert sorted(line[0] for line in lines[:3]) == ["+", "-", "-"]
    assert "a_dog_barking: 1 event, most from " in done.stdout
    assert "dog: 0 events; in fact 1 (0 new, 1 gone)" in lines
    (heard / "other.yaml").write_text("labels: [{id: dog, prompts: [a dog barking], threshold: 0.99}]")
    done = clap_monitor("replay", "-c", "monitor.yaml", "--labels", "other.yaml", "--json", cwd=heard)
    assert {each["outcome"] for each in lines_of(done)} == {"gone"}


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("search", "a dog", "--source", "attic"), 78, "nothing is remembered of 'attic'; only of yard"),
        (("search", "a dog", "--since", "once"), 2, "'once' is no moment; write 30m, 12h, 7d"),
        (("similar", "01M8PK59KCTRNKDHXJ2EX3AWKD"), 65, "there is no event 01M8PK59KCTRNKDHXJ2EX3AWKD"),
        (("similar", "absent.wav"), 66, "absent.wav"),
        (("replay", "--label", "a", "--labels", "monitor.yaml"), 2, "give --labels or --label, not both"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_one_line(heard, arguments, code, text):
    done = clap_monitor(arguments[0], "-c", "monitor.yaml", *arguments[1:], cwd=heard)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_memory_the_error_says_so(tmp_path):
    (tmp_path / "off.yaml").write_text(CONFIGURATION + "memory: {enabled: false}\n")
    assert clap_monitor("run", "-c", "off.yaml", cwd=tmp_path).returncode == 0
    assert not (tmp_path / "state" / "memory").exists()
    done = clap_monitor("search", "a dog", "-c", "off.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == "memory.enabled: is false, so that nothing is remembered; set it to true\n"
    (tmp_path / "on.yaml").write_text(CONFIGURATION)
    done = clap_monitor("search", "a dog", "-c", "on.yaml", cwd=tmp_path)
    assert done.returncode == 66
    assert "nothing is remembered yet" in done.stderr
