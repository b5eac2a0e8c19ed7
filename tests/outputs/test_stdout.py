"""Events on standard output: lines for people, JSON for programs."""

import io
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from monitor.config import LabelConfig
from monitor.outputs.stdout import StdoutWriter, json_line, text_line
from tests.support.events import event
from tests.support.small_disk import small_disk

RATE = 4
LABEL = LabelConfig(id="dog", name="Our dog", prompts=("a dog barking",))


START = event(start=290)
END = replace(START, stop=300, ended_at=START.started_at + 2.5, peak_score=0.91, reason="quiet")


def terminal(stream, *, recordings=frozenset({"porch"}), as_json=False, on_gone=lambda: None):
    rates = dict.fromkeys(recordings, RATE)
    lines = partial(text_line, rates=rates)
    if as_json:
        lines = partial(json_line, node="home", model="starter", rates=rates)
    return StdoutWriter(stream, lines, on_gone)


def printed(given, **options):
    stream = io.StringIO()
    terminal(stream, **options).deliver(given, LABEL)
    return stream.getvalue()


def test_an_event_of_a_recording_is_shown_by_its_place_in_it():
    assert printed(START) == "01:12.5  start  Our dog  (0.83)\n"
    assert printed(END) == "01:15.0  end    Our dog  (lasted 2.5 s, peak 0.91)\n"


def test_why_an_event_ended_is_said_unless_it_was_quiet():
    assert printed(replace(END, reason="gap")).endswith("peak 0.91, ended by gap)\n")


def test_an_event_of_a_microphone_is_shown_by_the_clock_and_its_source():
    line = printed(START, recordings=frozenset())
    assert line[2] == line[5] == ":"
    assert line[8:] == "  porch  start  Our dog  (0.83)\n"


def test_json_is_one_line_with_the_place_in_a_recording():
    line = printed(END, as_json=True)
    assert line.count("\n") == 1
    payload = json.loads(line)
    assert (payload["event_type"], payload["phase"]) == ("dog", "end")
    assert (payload["onset_seconds"], payload["offset_seconds"]) == (72.5, 75.0)
    assert "onset_seconds" not in json.loads(printed(START, as_json=True, recordings=frozenset()))


def test_a_reader_that_has_gone_ends_the_run():
    reading, writing = os.pipe()
    os.close(reading)
    gone = []
    with os.fdopen(writing, "w") as stream:
        terminal(stream, on_gone=lambda: gone.append(True)).deliver(START, LABEL)
        assert gone == [True]


@pytest.mark.parametrize("reason", ["max_duration", "end", "shutdown"])
def test_every_reason_is_said_as_it_is(reason):
    assert f"ended by {reason}" in printed(replace(END, reason=reason))


def test_a_full_disk_behind_the_stream_costs_lines_and_leaves_nothing_that_fails_later(caplog):
    gone = []
    with Path("/dev/full").open("w") as stream:
        it = terminal(stream, on_gone=lambda: gone.append(True))
        for _ in range(3):
            it.deliver(START, LABEL)
    assert (it.lost, gone) == (3, [])
    assert caplog.text.count("standard output: No space left on device") == 1


@pytest.mark.root
def test_when_there_is_room_again_lines_are_whole(tmp_path):
    with small_disk(tmp_path / "small", "8k") as place:
        (place / "filler").write_bytes(bytes(4096))
        with (place / "events").open("w") as stream:
            it = terminal(stream, as_json=True)
            while not it.lost:
                it.deliver(START, LABEL)
            (place / "filler").unlink()
            it.deliver(END, LABEL)
        lines = (place / "events").read_text().splitlines()
        assert json.loads(lines[-1])["phase"] == "end"


def test_a_reader_that_has_gone_is_told_once_and_the_rest_is_counted(caplog):
    reading, writing = os.pipe()
    os.close(reading)
    gone = []
    with os.fdopen(writing, "w") as stream:
        it = terminal(stream, on_gone=lambda: gone.append(True))
        for _ in range(3):
            it.deliver(START, LABEL)
    assert (it.lost, gone) == (3, [True])
    assert caplog.text.count("closed by its reader") == 1


def test_a_terminal_that_has_died_ends_nothing():
    master, slave = os.openpty()
    os.close(master)
    with os.fdopen(slave, "w") as stream:
        it = terminal(stream)
        it.deliver(START, LABEL)
        assert it.lost == 1
