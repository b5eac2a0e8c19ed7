"""The memory of a real run: its replay has the events of the store, and without it no file is written."""

import time

import numpy as np
import pytest
import soundfile

from monitor.config import Config, LabelConfig, MemoryConfig, SourceConfig, WindowConfig
from monitor.daemon.build import build
from monitor.daemon.daemon import Daemon
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.source_replay import SourceReplay
from monitor.outputs.store import FILE, StoreReader
from tests.support.clocks import begin_recordings_at
from tests.support.command_line import ROOT, WINDOW
from tests.support.observer import Observer

DEMO = ROOT / "recordings/demo.flac"
RATE = 32_000
LABELS = (
    LabelConfig(id="rooster", prompts=("a rooster crowing",), threshold=0.04, cooldown_seconds=0),
    LabelConfig(id="dog", prompts=("a dog barking",), threshold=0.04, against=("a cat",), confirm_seconds=0),
    LabelConfig(id="engine", prompts=("an engine running",), threshold=0.04, max_duration_seconds=4),
)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two scenes of the demo recording with silence between."""
    directory = tmp_path_factory.mktemp("scenes")
    demo, _ = soundfile.read(DEMO, dtype="float32")
    silence = np.zeros(3 * RATE, np.float32)
    paths = directory / "crib.wav", directory / "hall.wav"
    soundfile.write(paths[0], np.concatenate([demo[5 * RATE : 40 * RATE], silence, demo[42 * RATE :]]), RATE)
    soundfile.write(paths[1], np.concatenate([demo[18 * RATE : 50 * RATE], silence, demo[: 15 * RATE]]), RATE)
    return paths


def config_of(directory, recordings, *, quiet=(), **keys):
    crib, hall = (str(path) for path in recordings)
    sources = (
        SourceConfig(name="crib", kind="file", path=crib, pace="fast", hop_seconds=0.25),
        SourceConfig(
            name="hall", kind="file", path=hall, pace="fast", hop_seconds=min(1.0, WINDOW), quiet_hours=quiet
        ),
    )
    kept = {"state": directory / "state", "recordings": directory / "recordings"}
    return Config(sources=sources, labels=LABELS, window=WindowConfig(), **kept, **keys)


def run(config, changes=None):
    """Run to the end of the recordings; apply each change once so many windows of the crib were scored."""
    parts = build(config, reread=None)
    waiting, windows = dict(changes or {}), [0]

    def on_scores(scores):
        windows[0] += scores.source == "crib"
        for at in [at for at in waiting if at <= windows[0]]:
            waiting.pop(at)(parts.control)

    Daemon(parts).run(Observer(on_scores=on_scores))
    assert not waiting
    return parts


def stored(directory):
    reader = StoreReader(directory / "state" / FILE)
    events = list(reader.every_event())
    reader.close()
    return events


def replayed(parts, source):
    reader = MemoryReader(parts.config.state, parts.engine.model.identity)
    assert not reader.damaged
    replay = SourceReplay(reader, source, parts.engine.calibration, parts.engine.build_prototypes)
    return [event for event in replay.events() if event.reason is not None]


def assert_same(found, expected):
    """Check all but the identifiers; the store rounds to thousandths."""
    found, expected = (sorted(each, key=lambda e: (e.started_at, e.label)) for each in (found, expected))
    assert [(e.label, str(e.reason)) for e in found] == [(e.label, str(e.reason)) for e in expected]
    numbers = [[(e.started_at, e.ended_at, e.peak_score) for e in each] for each in (found, expected)]
    assert np.allclose(*numbers, rtol=0, atol=0.0011)


CHANGES = {
    30: lambda control: control.set_threshold("rooster", 0.03),
    60: lambda control: control.add_label({"id": "cat", "prompts": ["a cat meowing"], "threshold": 0.04}),
    90: lambda control: control.put_label({"id": "dog", "prompts": ["a dog howling"]}),
    120: lambda control: control.arm(armed=False),
    140: lambda control: control.arm(armed=True),
    160: lambda control: control.remove_label("engine"),
    180: lambda control: control.enable_label("rooster", enabled=False),
    190: lambda control: control.enable_label("rooster", enabled=True),
    200: lambda control: control.set_threshold("cat", 0.03, "hall"),
}


@pytest.mark.parametrize("first_at", [0, 3570], ids=["within an hour", "over a full hour"])
def test_the_replay_of_two_runs_with_changes_has_the_events_of_the_store(
    tmp_path, recordings, monkeypatch, first_at
):
    """Two real runs never overlap in time; recordings that are read fast reach a minute into the future."""
    now = time.time()
    first_at += now // 3600 * 3600 - 3600
    hours = "-".join(time.strftime("%H:00", time.localtime(at)) for at in (first_at - 3600, now + 7200))
    begin_recordings_at(monkeypatch, first_at)
    run(config_of(tmp_path, recordings), CHANGES)
    begin_recordings_at(monkeypatch, first_at + 100)
    parts = run(config_of(tmp_path, recordings, quiet=(hours,)))  # the second run hears nothing in the hall
    events = stored(tmp_path)
    assert len(events) > 6
    assert {event.source for event in events} == {"crib", "hall"}
    for source in ("crib", "hall"):
        assert_same(replayed(parts, source), [event for event in events if event.source == source])


def test_without_the_memory_no_file_of_it_is_written(tmp_path, recordings):
    parts = run(config_of(tmp_path, recordings, memory=MemoryConfig(enabled=False)))
    assert parts.memory is None
    assert parts.snapshot()["memory"] is None
    assert stored(tmp_path)
    assert not (tmp_path / "state" / "memory").exists()
