import io
import json
import os
import time

import pytest
from rich.console import Console

from monitor.cli.console.watch_state import NEWEST, WatchState
from monitor.cli.console.watch_view import BAR, screen, watch
from tests.support.snapshots import NOW, offline, snapshot

STATUS = {"kind": "status", **snapshot()}
START = {
    "kind": "event",
    "source": "porch",
    "label": "dog",
    "label_name": "Dog bark",
    "started_at": NOW,
    "ended_at": None,
    "score": 0.83,
    "peak_score": 0.83,
    "reason": None,
}
END = START | {"ended_at": NOW + 2.5, "peak_score": 0.9, "reason": "quiet"}
MISS = {
    "kind": "near_miss",
    "source": "porch",
    "label": "cat",
    "peak_at": NOW,
    "peak_score": 0.4,
    "reason": "not_confirmed",
}


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def scores(source="porch", *, gated=None, dbfs=-41.2, **values):
    return {
        "kind": "scores",
        "source": source,
        "at": NOW,
        "level_dbfs": dbfs,
        "gated": gated,
        "scores": values or {"dog": 0.25, "cat": 0.1},
    }


def printed(*lines, as_json=False):
    stream = io.StringIO()
    watch(lines, as_json=as_json, stream=stream)
    return stream.getvalue().splitlines()


def drawn(*lines, height=30):
    state = WatchState()
    for line in lines:
        state.apply(line)
    console = Console(file=io.StringIO(), width=100, height=height)
    console.print(screen(state, height))
    return console.file.getvalue()


def test_in_a_pipe_it_is_a_line_for_every_window_event_and_near_miss():
    assert printed(STATUS, scores(), START, END, MISS) == [
        "12:00:03  porch   -41 dBFS  Dog bark 0.25, Cat 0.10",
        "12:00:03  porch  start  Dog bark  (0.83)",
        "12:00:05  porch  end    Dog bark  (lasted 2.5 s, peak 0.90, ended by quiet)",
        "12:00:03  porch  near   Cat  (0.40: not confirmed)",
    ]


def test_a_window_that_was_not_scored_says_why():
    assert printed(STATUS, scores(gated="digital_silence", dbfs=None)) == [
        "12:00:03  porch    silent  digital silence"
    ]


def test_as_json_every_line_is_what_the_monitor_said():
    lines = [STATUS, scores(), START, {"kind": "end", "why": "end"}]
    assert [json.loads(line) for line in printed(*lines, as_json=True)] == lines


def test_a_reader_that_goes_away_ends_it_well():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        watch(iter([scores()] * 100), as_json=True, stream=stream)


def test_a_picture_shows_what_is_nearest_to_its_threshold_first():
    text = drawn(STATUS, scores(dog=0.2, cat=0.45), scores("crib", dog=0.6, cat=0.1))
    rows = [line.split()[:3] for line in text.splitlines() if " of 0." in line]
    assert rows == [["porch", "Cat", rows[0][2]], ["crib", "Dog", "bark"], ["porch", "Dog", "bark"], rows[3]]
    assert "0.60 of 0.70" in text
    assert "-41 dBFS" in text


def test_a_bar_is_as_long_as_the_score_with_a_mark_at_the_threshold():
    line = next(line for line in drawn(STATUS, scores(dog=0.25)).splitlines() if "0.25 of 0.50" in line)
    bar = line[line.index("█") : line.index("█") + BAR]
    assert bar == "█" * 8 + "·" * 8 + "┃" + "·" * 15


def test_a_picture_never_is_higher_than_the_terminal():
    many = {f"label{number}": 0.1 for number in range(100)}
    text = drawn(STATUS, scores(**many), *[START] * 30, height=20)
    assert len(text.splitlines()) <= 20
    assert "more with lower scores" in text


def test_news_and_troubles_are_in_the_picture():
    text = drawn({"kind": "status", **offline()}, START, MISS)
    assert "! crib: offline: device lost" in text
    assert "start  Dog bark  (0.83)" in text
    assert "near   Cat  (0.40: not confirmed)" in text


def test_a_picture_before_anything_was_said_is_a_picture():
    assert drawn().startswith("clap-monitor")


def test_what_is_remembered_is_bounded():
    state = WatchState()
    for _ in range(10 * NEWEST):
        state.apply(START)
    assert len(state.news) == NEWEST
