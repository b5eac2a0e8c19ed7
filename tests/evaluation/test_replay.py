"""A recording through the real parts."""

import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from monitor.config import Config, LabelConfig, SourceConfig, load
from monitor.daemon.build import build
from monitor.daemon.daemon import Daemon
from monitor.detection.events import Detector
from monitor.detection.rules import rule_of
from monitor.evaluation.replay import detect, replay
from monitor.model.mel_config import mel_config_of
from monitor.outputs import Output
from monitor.types import NotAudioError, Scores
from tests.support import alarms
from tests.support.clocks import begin_recordings_at
from tests.support.command_line import ROOT
from tests.support.engines import engine_of, prototypes_of
from tests.support.two_pitches import CONFIG, ENGINE, HOP, LENGTH, RATE, RULES, write


def test_a_tone_is_reported_when_it_sounds(tmp_path):
    replayed = replay(write(tmp_path / "a.wav", 20, ("low", 8, 12)), CONFIG, ENGINE, RULES)
    assert [event.label for event in replayed.events] == ["low"]
    (event,) = replayed.events
    assert event.start == pytest.approx(8, abs=1)
    assert event.stop == pytest.approx(12, abs=1)
    assert 8 < event.known_at <= 10


def test_there_is_a_window_for_every_hop(tmp_path):
    replayed = replay(write(tmp_path / "a.wav", 20), CONFIG, ENGINE, RULES)
    assert replayed.seconds == 20
    assert [window.stop for window in replayed.scores] == list(range(LENGTH, 20 * RATE + 1, HOP))


def test_a_replay_does_not_depend_on_the_time_of_day(tmp_path):
    """A clock hour, in which the memory begins a new segment, ends the reuse of an embedding."""
    replayed = replay(write(tmp_path / "a.wav", 20), CONFIG, ENGINE, RULES)
    assert [window.ended_at for window in replayed.scores] == [
        window.stop / RATE for window in replayed.scores
    ]


def test_the_detector_alone_gives_the_same_reports_on_the_same_scores(tmp_path):
    path = write(tmp_path / "a.wav", 40, ("low", 5, 8), ("high", 15, 17), ("low", 30, 40))
    replayed = replay(path, CONFIG, ENGINE, RULES)
    assert len(replayed.events) == 3
    assert detect(replayed.scores, RULES, RATE) == replayed.events


def test_windows_that_are_left_out_of_a_sweep_change_no_event():
    random = np.random.default_rng(3)
    rules = [
        replace(RULES[0], hits=hits, of=of, cooldown=cooldown * HOP, merge_gap=2 * HOP, max_duration=9 * HOP)
        for hits, of in ((1, 1), (2, 3), (4, 6))
        for cooldown in (0, 3)
    ]
    for rule in rules:
        scores = [
            Scores("a", n * HOP, n * HOP + LENGTH, n / 2, (rule.label,), np.array([value], np.float32), -20.0)
            for n, value in enumerate(random.random(400) ** 1.5)
        ]
        detector = Detector([rule])
        starts = [(e.start, e.windows) for s in scores for e in detector.update(s) if e.stop is None]
        detected = detect(scores, [rule], RATE)
        assert len(detected) == len(starts) > 5
        assert [event.start for event in detected] == [start / RATE for start, _ in starts]


def test_a_recording_shorter_than_a_window_is_heard_only_when_filled(tmp_path):
    path = write(tmp_path / "a.wav", 0.4, ("high", 0, 0.4))
    assert replay(path, CONFIG, ENGINE, RULES).scores == ()
    (window,) = replay(path, CONFIG, ENGINE, RULES, fill=True).scores
    assert window.labels[window.values.argmax()] == "high"


def test_a_long_recording_is_not_changed_by_filling(tmp_path):
    path = write(tmp_path / "a.wav", 5, ("low", 2, 4))
    plain, filled = (replay(path, CONFIG, ENGINE, RULES, fill=fill) for fill in (False, True))
    assert [s.values.tolist() for s in plain.scores] == [s.values.tolist() for s in filled.scores]


def test_a_file_that_is_no_audio_is_said_so(tmp_path):
    (tmp_path / "a.wav").write_text("not audio")
    with pytest.raises(NotAudioError):
        replay(tmp_path / "a.wav", CONFIG, ENGINE, RULES)


class Collected(Output):
    """All scores."""

    def __init__(self):
        self.scores = []

    def on_scores(self, scores):
        self.scores.append(scores)


def test_a_replay_scores_the_demo_recording_as_the_daemon_does(tmp_path, monkeypatch):
    full_hour = time.time() // 3600 * 3600  # the reuse of an embedding ends with a clock hour
    begin_recordings_at(monkeypatch, full_hour)
    demo = load(ROOT / "config/demo.yaml")
    path = ROOT / "recordings/demo.flac"
    source = SourceConfig(name="demo", kind="file", path=path, pace="fast")
    model = demo.model.model_copy(update={"threads": 1})
    window = demo.window.model_copy(update={"reuse_seconds": 30.0})
    config = demo.model_copy(
        update={"sources": (source,), "state": tmp_path, "model": model, "window": window}
    )
    daemon, live = Daemon(build(config)), Collected()
    daemon.run(live)
    engine, live = daemon.parts.engine, live.scores
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in config.labels]
    replayed = replay(path, config, engine, rules).scores
    assert len(live) == len(replayed) > 100
    for one, other in zip(live, replayed, strict=True):
        assert (one.start, one.stop, one.gated, one.labels) == (
            other.start,
            other.stop,
            other.gated,
            other.labels,
        )
        assert one.values.tobytes() == other.values.tobytes()


@pytest.mark.parametrize("pattern", ["t3", None])
def test_a_label_with_a_pattern_is_reported_only_where_the_alarm_sounds_in_it(tmp_path, pattern):
    mel_config = mel_config_of({"max_length_s": 1, "truncation": "rand_trunc"})
    beep = np.array([1.0, 0.0], np.float32)
    engine = engine_of(
        lambda spectrograms: np.tile(beep, (len(spectrograms), 1)),
        prototypes_of(("alarm",), [beep]),
        mel_config=mel_config,
        length=alarms.RATE,
        hop=alarms.RATE // 2,
    )
    label = LabelConfig(id="alarm", prompts=("beeps",), threshold=0.1, pattern=pattern)
    rule = rule_of(label, rate=engine.rate, hop=engine.hop)
    steady = alarms.beeps([(0.5, 0.5)], 15, 3100)
    audio = np.concatenate([steady, np.zeros(2 * alarms.RATE), alarms.beeps(alarms.t3(), 15, 3100)])
    path = tmp_path / "alarm.wav"
    soundfile.write(path, 0.1 * audio + 1e-3, alarms.RATE)
    replayed = replay(path, Config(labels=(label,)), engine, [rule])
    (event, *_) = replayed.events
    assert (event.known_at > 20) is (pattern is not None)
