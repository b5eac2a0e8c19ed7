"""Events on standard output: lines for people, JSON for programs."""

import io
import json
import os
import subprocess
from pathlib import Path

import pytest

from monitor.config import LabelConfig
from monitor.outputs.stdout import StdoutWriter
from monitor.types import Event

RATE = 4
LABEL = LabelConfig(id="dog", name="Our dog", prompts=("a dog barking",))


def event(**changes):
    fields = {
        "id": "01JDABCDEFGHJKMNPQRSTVWXYZ",
        "source": "porch",
        "label": "dog",
        "start": 290,
        "stop": None,
        "started_at": 1_795_435_203.4,
        "ended_at": None,
        "score": 0.83,
        "peak": 0.83,
        "windows": 2,
        "level_dbfs": -18.2,
        "uncertainty_seconds": 5.0,
    }
    return Event(**(fields | changes))


END = {"stop": 300, "ended_at": 1_795_435_205.9, "peak": 0.91, "reason": "quiet"}


def terminal(stream, *, recordings=frozenset({"porch"}), as_json=False, on_gone=lambda: None):
    return StdoutWriter(
        stream,
        recordings=recordings,
        rate=RATE,
        node="home",
        model="starter",
        as_json=as_json,
        on_gone=on_gone,
    )


def printed(given, **options):
    stream = io.StringIO()
    terminal(stream, **options).deliver(given, LABEL)
    return stream.getvalue()


def test_an_event_of_a_recording_is_shown_by_its_place_in_it():
    assert printed(event()) == "01:12.5  start  Our dog  (0.83)\n"
    assert printed(event(**END)) == "01:15.0  end    Our dog  (lasted 2.5 s, best 0.91)\n"


def test_why_an_event_ended_is_said_unless_it_was_quiet():
    assert printed(event(**END | {"reason": "gap"})).endswith("best 0.91, ended by gap)\n")


def test_an_event_of_a_microphone_is_shown_by_the_clock_and_its_source():
    line = printed(event(), recordings=frozenset())
    assert line[2] == line[5] == ":"
    assert line[8:] == "  porch  start  Our dog  (0.83)\n"


def test_json_is_one_line_with_the_place_in_a_recording():
    line = printed(event(**END), as_json=True)
    assert line.count("\n") == 1
    payload = json.loads(line)
    assert (payload["event_type"], payload["phase"]) == ("dog", "end")
    assert (payload["onset_seconds"], payload["offset_seconds"]) == (72.5, 75.0)
    assert "onset_seconds" not in json.loads(printed(event(), as_json=True, recordings=frozenset()))


def test_a_reader_that_has_gone_ends_the_run():
    reading, writing = os.pipe()
    os.close(reading)
    gone = []
    with os.fdopen(writing, "w") as stream:
        terminal(stream, on_gone=lambda: gone.append(True)).deliver(event(), LABEL)
        assert gone == [True]


@pytest.mark.parametrize("reason", ["max_duration", "end", "shutdown"])
def test_every_reason_is_said_as_it_is(reason):
    assert f"ended by {reason}" in printed(event(**END | {"reason": reason}))


def test_a_full_disk_behind_the_stream_costs_lines_and_leaves_nothing_that_fails_later(caplog):
    gone = []
    with Path("/dev/full").open("w") as stream:
        it = terminal(stream, on_gone=lambda: gone.append(True))
        for _ in range(3):
            it.deliver(event(), LABEL)
    assert (it.lost, gone) == (3, [])
    assert caplog.text.count("standard output: No space left on device") == 1


def test_when_there_is_room_again_lines_are_whole(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", place], check=True)
    try:
        (place / "filler").write_bytes(bytes(4096))
        with (place / "events").open("w") as stream:
            it = terminal(stream, as_json=True)
            while not it.lost:
                it.deliver(event(), LABEL)
            (place / "filler").unlink()
            it.deliver(event(**END), LABEL)
        lines = (place / "events").read_text().splitlines()
        assert json.loads(lines[-1])["phase"] == "end"
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_reader_that_has_gone_is_told_once_and_the_rest_is_counted(caplog):
    reading, writing = os.pipe()
    os.close(reading)
    gone = []
    with os.fdopen(writing, "w") as stream:
        it = terminal(stream, on_gone=lambda: gone.append(True))
        for _ in range(3):
            it.deliver(event(), LABEL)
    assert (it.lost, gone) == (3, [True])
    assert caplog.text.count("nobody reads it any more") == 1


def test_a_terminal_that_has_died_ends_nothing():
    master, slave = os.openpty()
    os.close(master)
    with os.fdopen(slave, "w") as stream:
        it = terminal(stream)
        it.deliver(event(), LABEL)
        assert it.lost == 1
