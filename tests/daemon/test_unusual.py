"""Unusual sounds of a running monitor: two days of a room in its memory, then a sound foreign to it."""

import json
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from monitor.config import UNUSUAL, Config, LabelConfig, MqttConfig, SourceConfig, UnusualConfig
from monitor.daemon.build import build
from monitor.daemon.daemon import Daemon
from monitor.daemon.unusual_references import unusual_references
from monitor.detection.active_labels import restore_settings
from monitor.detection.engine import load_engine
from monitor.detection.vocabulary import vocabulary
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.source_replay import SourceReplay
from monitor.memory.unusual_reference import reference_path
from monitor.outputs.mqtt.discovery import discovery_payload
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.store import FILE, StoreReader
from tests.support.broker import Broker, Subscriber, eventually
from tests.support.command_line import ROOT
from tests.support.observer import Observer
from tests.support.remembered import remember

KIT = ROOT / "monitor/kit"
RATE = 48_000
HOUR = 3_600.0
RUNNING = threading.Event()


def sound(name, rms):
    samples, rate = soundfile.read(KIT / f"{name}.opus", dtype="float32")
    assert rate == RATE
    return samples * rms / np.sqrt(np.mean(samples**2))


def config_of(state, recording="room.wav", **unusual):
    return Config(
        sources=(SourceConfig(name="hall", kind="file", path=str(recording), pace="fast"),),
        labels=(LabelConfig(id="dog", prompts=("a dog barking",), threshold=1.0),),
        unusual=UnusualConfig(**{"enabled": True} | unusual),
        state=state,
        recordings=state / "recordings",
    )


@pytest.fixture(scope="module")
def rain():
    return np.tile(sound("bed-rain", 0.02), 4)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A state directory in which all prompts are embedded already."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def engine(home):
    return load_engine(config_of(home))


@pytest.fixture(scope="module")
def room(engine, rain):
    """Embeddings of a rainy room, each a little other than one that was heard; one every ten seconds.

    Each hour has the same share of those that are far from the others: wherever the hours of the clock
    begin, the halves of the days must not differ.
    """
    at_rate = resample_poly(rain, engine.rate, RATE).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(at_rate, engine.length)[:: engine.hop]
    heard = engine.model.embed_audio(np.ascontiguousarray(windows))
    random = np.random.default_rng(1)
    first, second, third = random.integers(len(heard), size=(3, 60 * 360))
    far = np.tile(random.permutation(np.linspace(0.2, 1.5, 360)), 60)
    rows = heard[first] + (heard[second] - heard[third]) * far[:, None]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def remember_hours(state, engine, room, hours):
    windows = SimpleNamespace(identity=engine.model.identity, rate=100, length=1000, hop=1000)
    rows = room[: round(hours * 360)]
    remember(state, windows, rows, since=time.time() - 10 * len(rows), source="hall")


@pytest.fixture(scope="module")
def known(home, engine, room):
    """The same directory, with two days of the room in the memory and a reference made of them."""
    remember_hours(home, engine, room, 50)
    unusual_references(config_of(home), engine, ("hall",)).update(time.time(), RUNNING)
    return home


def test_a_foreign_sound_is_one_event_with_what_it_is_like(tmp_path, known, engine, rain):
    audio = rain[: 32 * RATE].copy()
    foreign = sound("event-telephone-00", 0.2)[: 4 * RATE]
    audio[20 * RATE : 20 * RATE + len(foreign)] += foreign
    soundfile.write(tmp_path / "room.wav", audio, RATE)
    events = []
    with Broker(tmp_path) as broker, Subscriber(broker) as subscriber:
        mqtt = MqttConfig(host=broker.host, port=broker.port)
        parts = build(config_of(known, tmp_path / "room.wav").model_copy(update={"mqtt": mqtt}))
        Daemon(parts).run(Observer(on_event=lambda event, label: events.append((event, label))))
        published = eventually(lambda: subscriber.texts("clap-monitor/home/hall/event")[1:])
    assert [(event.label, event.reason is None) for event, _ in events] == [(UNUSUAL, True), (UNUSUAL, False)]
    (started, label), (ended, _) = events
    assert 19 < started.start / engine.rate < 22 < ended.stop / engine.rate < 26
    status = parts.snapshot()["unusual"]["hall"]
    assert status["words"].startswith("about a factor of 2: 2.1 expected in ")
    assert started.score >= label.threshold == pytest.approx(status["threshold"], abs=1e-4)
    assert len(started.like) == 3
    assert set(started.like) <= set(vocabulary())
    assert ended.like == started.like
    assert json.loads(published[-1])["like"] == list(started.like)
    (stored,) = StoreReader(known / FILE).events().rows
    assert (stored.label_name, stored.like) == ("Unusual sound", started.like)
    assert parts.counters.events == {("hall", UNUSUAL): 1}
    replay = SourceReplay(
        MemoryReader(known, engine.model.identity), "hall", engine.calibration, engine.build_prototypes
    )
    replayed = list(replay.events(since=started.started_at - 60))
    assert [replace(event, id="") for event in replayed] == [
        replace(event, id="", like=(), level_dbfs=pytest.approx(event.level_dbfs))
        for event in (started, ended)
    ]


def test_with_less_than_two_days_nothing_is_written_and_the_status_says_how_far_it_is(tmp_path, engine, room):
    remember_hours(tmp_path, engine, room, 31)
    references = unusual_references(config_of(tmp_path), engine, ("hall",))
    assert references.status(time.time())["hall"] == {"threshold": None, "words": "not looked at yet"}
    references.update(time.time(), RUNNING)
    assert references.status(time.time())["hall"] == {"threshold": None, "words": "learning, 31 h of 48"}
    assert not reference_path(tmp_path, "hall").exists()


def test_a_damaged_reference_is_said_and_made_anew(known, engine, caplog):
    path = reference_path(known, "hall")
    path.write_bytes(path.read_bytes()[:-100])
    references = unusual_references(config_of(known), engine, ("hall",))
    assert f"unusual sounds of hall: {path}: is damaged; it will be made again" in caplog.text
    assert references.status(time.time())["hall"] == {"threshold": None, "words": f"{path}: is damaged"}
    references.update(time.time(), RUNNING)
    later = references.status(time.time() + 3 * HOUR)["hall"]
    assert later["threshold"] > 0
    assert later["words"].endswith("; too old, so nothing is found until a new one is made")


def test_home_assistant_shows_them_without_a_score_or_a_threshold_only_where_they_are_looked_for(tmp_path):
    for enabled in (True, False):
        active = restore_settings(config_of(tmp_path, enabled=enabled), None).active_labels
        topics = Topics("clap-monitor", "home")
        components = discovery_payload(topics, labels=active.by_source, model="starter")["cmps"]
        assert {key for key in components if UNUSUAL in key} == (
            {"hall_SOUND_unusual", "hall_TRIGGER_unusual"} if enabled else set()
        )
        assert (UNUSUAL in components["hall_EVENTS"]["evt_typ"]) is enabled
