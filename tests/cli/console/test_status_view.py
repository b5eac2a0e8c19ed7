import time

import pytest

from monitor.cli.console.status_view import lasted, page, size
from tests.support.snapshots import NOW, offline, snapshot


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_healthy_monitor_is_a_page():
    assert page(snapshot(), NOW) == (
        """\
clap-monitor 0.1.0 as home: healthy
process 4711 for 3 h 12 min; starter in ONNX Runtime on cpu, float32, windows of 1 s every 0.5 s
calibration qualified with kit 1, 2026-11-22 11:00: AUROC 0.93, recall 0.70 / 0.55 / 0.40 at 20 / 10 / 5 dB
real-time factor 0.021, lag 0.4 s; windows: 23000 scored, 40 gated, 3 late

source  level
porch   -41 dBFS  online; 1 listener; 1.8 s dropped; 1 gaps; reopened 2 times
crib    silent    online

label     threshold         last event
Dog bark  0.50 (crib 0.70)  1 min 10 s ago, 11:58:51 at porch (0.83)
Cat       off               none

broker        connected; 24 published, 0 waiting, 0 dropped, 0 refused
store         writable; 240 written, 1 waiting, 0 dropped
memory        writable; 240 windows written, 1 waiting, 0 dropped; 253.4 kB in total
clips         writable; 12 kept, 2 speech; 34.5 MB in total
notify phone  working; 3 sent, 5 held, 1 failed, 0 dropped
hook siren    working; 2 done, 0 failed, 1 killed, 0 dropped
state         12.3 GB free
recordings    12.3 GB free"""
    )


def test_it_says_on_how_many_windows_the_model_ran():
    spared = snapshot(windows={"scored": 250, "unchanged": 750, "gated": 790, "late": 3})
    assert "250 scored, 750 unchanged (the model ran on 25%), 40 gated, 3 late" in page(spared, NOW)


def test_what_is_wrong_stands_at_the_top():
    lines = page(offline(), NOW).splitlines()
    assert lines[0].endswith(": unhealthy")
    assert lines[1] == "  ! crib: offline: device lost"
    assert "crib              offline for 12 min 34 s: device lost" in lines


def test_the_page_shows_that_detection_is_disarmed():
    assert "  detection is disarmed" in page(snapshot(armed=False), NOW)


def test_it_says_what_is_known_of_unusual_sounds():
    known = {
        "hall": {"threshold": 0.2811, "words": "measured: 7 expected in 7 days, 60 sounds"},
        "crib": {"threshold": None, "words": "learning, 31 h of 48"},
    }
    lines = page(snapshot(unusual=known), NOW).splitlines()
    assert "unusual sounds at hall: distance 0.28, measured: 7 expected in 7 days, 60 sounds" in lines
    assert "unusual sounds at crib: learning, 31 h of 48" in lines


def test_an_event_that_lasts_is_now():
    told = snapshot()
    told["labels"][0]["last_event"]["ended_at"] = None
    assert "active for 1 min 12 s, at porch (0.83)" in page(told, NOW)


def test_a_reload_that_was_refused_is_said():
    told = snapshot(reload={"at": NOW - 5, "faults": ["monitor.yaml:3: node: x"]})
    assert page(told, NOW).splitlines()[-1] == "reload        5 s ago, refused: monitor.yaml:3: node: x"


def test_a_monitor_without_outputs_is_a_page_as_well():
    bare = snapshot(mqtt=None, store=None, memory=None, clips=None, notify=[], hooks=[], disk_free_bytes={})
    assert page(bare, NOW).splitlines()[-1].startswith("Cat")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (-3, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h")],
)
def test_a_time_span_is_said_in_its_two_largest_units(seconds, words):
    assert lasted(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (34_500_000, "34.5 MB"), (3e15, "3000.0 TB")]
)
def test_a_size_is_said_in_a_unit_that_fits(count, words):
    assert size(count) == words
