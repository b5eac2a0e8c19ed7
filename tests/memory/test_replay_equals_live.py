"""Replay of a run: the events of the memory are those that the analysis passed on, whatever happened."""

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from monitor.audio.source_status import SourceStatus
from monitor.config import UNUSUAL, Config, LabelConfig, MemoryConfig, SourceConfig
from monitor.daemon.apply_change import apply_change, label_of
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.baseline_store import BaselineStore
from monitor.detection.control import Change
from monitor.detection.engine import Engine
from monitor.detection.events import Detector
from monitor.detection.nearest_neighbours import whitening
from monitor.detection.pipeline import run_analysis
from monitor.detection.prototypes import build_prototypes
from monitor.detection.quantised import quantised
from monitor.detection.rules import rules_of, unusual_rules
from monitor.detection.scorer import Scorer
from monitor.detection.unusual_detector import UnusualDetector, UsualSounds
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.segment import Header
from monitor.memory.source_replay import SourceReplay
from monitor.outputs.embedding_memory import EmbeddingMemory
from monitor.outputs.fan_out import FanOut
from monitor.types import Break, BreakReason, EndReason, Window
from tests.support.clocks import DAY, settled
from tests.support.engines import CALIBRATION
from tests.support.observer import Observer

RATE, LENGTH, DIMENSION = 100, 200, 8
HOPS = {"room": 100, "hall": 25}
AT = 1_760_003_400.0
"""Unix seconds of the first sample, 3 minutes before a full hour."""

SEEDS = int(os.environ.get("REPLAY_SEEDS", "6"))

SOUNDS = [f"sound {number}" for number in range(6)]
LABELS = tuple(
    LabelConfig(
        id=f"label{number}",
        prompts=(SOUNDS[number],),
        against=(SOUNDS[5],) if number == 1 else (),
        confirm_seconds=number % 3,
        cooldown_seconds=5 * (number % 2),
        max_duration_seconds=20,
    )
    for number in range(4)
)


def embed_text(prompts):
    vectors = np.stack(
        [np.random.default_rng(SOUNDS.index(text)).standard_normal(DIMENSION) for text in prompts]
    )
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def embed_audio(windows):
    vectors = np.stack([window[:DIMENSION] for window in windows]).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def build(labels, background=()):
    return build_prototypes(labels, background, embed_text)


class Spectrograms:
    """Spectrograms of windows: their samples, whose first numbers are the embedding."""

    def log_mel(self, window):
        return window.samples

    def inner(self, _window):
        return np.empty((0, 0), np.float32)


class Gate:
    """A novelty gate that draws whether the model must run."""

    reuse_samples = 20 * RATE

    def __init__(self, draw):
        self._draw = draw

    def observe(self, _window, _power, _taken):
        return bool(self._draw.random() >= 0.7)

    def heard(self, _window):
        """Draw all the same."""

    def forget(self):
        """Draw all the same."""


class Run:
    """One run of the analysis, from scripted windows of both sources to events and the memory."""

    def __init__(self, state, draw, active_labels):
        self.labels, self.events, self._draw = active_labels, [], draw
        quiet = ("00:00-00:01",)
        sources = (
            SourceConfig(name="room", kind="microphone"),
            SourceConfig(name="hall", kind="microphone", quiet_hours=quiet),
        )
        self._config = Config(sources=sources, labels=LABELS)
        prototypes = build(active_labels.enabled, active_labels.background)
        mel_config = SimpleNamespace(rate=RATE)
        engine = Engine(
            model=SimpleNamespace(name="fake", device="cpu", mel_config=mel_config), encode=embed_audio,
            prototypes=prototypes, calibration=CALIBRATION, length=LENGTH, hop=100, hops=HOPS,
        )  # fmt: skip
        status = {name: SourceStatus(name) for name in HOPS}
        baselines = BaselineStore(state, "identity")
        scorer = Scorer(
            engine, active_labels, status, gate=Gate(draw),
            spectrograms=Spectrograms(), initial_baseline=baselines.read,
        )  # fmt: skip
        unusual = UnusualDetector(
            unusual_rules(self._config, engine, tuple(HOPS)), whitening(None), lambda _: ()
        )
        detector = Detector(by_source=rules_of(self._config, engine, active_labels), unusual=unusual)
        headers = {name: Header(DIMENSION, RATE, LENGTH, hop) for name, hop in HOPS.items()}
        config = MemoryConfig(free_megabytes=0)
        clock = settled(AT + DAY)
        self.memory = EmbeddingMemory(
            state, config, "identity", headers, baselines=scorer.initial_baseline, clock=clock
        )
        self.parts = SimpleNamespace(
            config=self._config, engine=engine, status=status, baselines=baselines, scorer=scorer,
            detector=detector,
        )  # fmt: skip
        observer = Observer(on_event=lambda event, _label: self.events.append(event))
        self._outputs = FanOut({"observer": observer, "memory": self.memory}, lambda event, _label: event, {})
        self._learn_usual("hall", AT)
        detector.take_references()
        self._outputs.on_labels(active_labels, detector.rules)

    def hear(self, first, seconds):
        """Analyse some seconds, from sample ``first`` on; changes come in between."""

        def on_event(event):
            self._outputs.on_event(event, self._label_of(event))

        steps, on_scores = self._steps(first, seconds), self._outputs.on_scores
        run_analysis(steps, self.parts.scorer, self.parts.detector, on_scores=on_scores, on_event=on_event)

    def _steps(self, first, seconds):
        self._due = dict.fromkeys(HOPS, first + LENGTH)
        self._lasting = dict.fromkeys(HOPS, (0, None))
        for now in range(first + LENGTH, first + seconds * RATE, 25):
            if self._draw.random() < 0.004:
                self._change()
            if self._draw.random() < 0.01:
                self._learn_usual(str(self._draw.choice(list(HOPS))), AT + now / RATE)
            if self.parts.detector.take_references():
                self._apply(self.labels, self.parts.scorer._prototypes)
            if self._draw.random() < 0.02:
                self.memory._work()  # the disk is written now
            step = [at for name in HOPS if now >= self._due[name] for at in self._at(name, now)]
            for at in step:
                if isinstance(at, Break):
                    self._outputs.on_break(at)
            yield step

    def _at(self, name, now):
        """Return the window or the break of a source that is due; now and then a window is late."""
        draw, hop = self._draw, HOPS[name]
        self._due[name] = now + hop
        if draw.random() < 0.004:
            at = now - int(draw.integers(0, hop))
            self._due[name] = at + LENGTH
            reason = BreakReason.GAP if draw.random() < 0.9 else BreakReason.END
            return [Break(name, at, AT + at / RATE, reason)]
        if draw.random() < 0.01:
            return []
        left, sound = self._lasting[name]
        if not left and draw.random() < 0.05 * hop / 100:
            left, sound = int(draw.integers(1, 30) * 100 / hop), draw.choice(SOUNDS)
        self._lasting[name] = max(0, left - 1), sound
        return [self._window(name, now, sound if left else None)]

    def _window(self, name, stop, sound):
        draw = self._draw
        samples = draw.normal(0, 0.1, LENGTH)
        samples[:DIMENSION] = embed_text([SOUNDS[4]])[0] + draw.normal(0, 0.3, DIMENSION)
        if sound is not None:
            samples[:DIMENSION] += draw.uniform(1, 3) * embed_text([sound])[0]
        chance = draw.random()
        if chance < 0.03:
            samples *= 1e-6
        elif chance < 0.04:
            samples[:] = 0
        elif chance < 0.05:
            samples[50] = np.nan
        jitter = draw.normal(0, 0.003)
        return Window(name, stop - LENGTH, samples.astype(np.float32), AT + stop / RATE + jitter)

    def _change(self):
        """Change thresholds, prompts, the order or the number of labels, what a source detects, or arm."""
        draw, labels = self._draw, list(self.labels.labels)
        place = int(draw.integers(len(labels))) if labels else 0
        changed = self.labels
        match draw.integers(8):
            case 0 | 1 if labels:
                labels[place] = labels[place].model_copy(update={"threshold": float(draw.uniform(0.2, 0.8))})
            case 2 if labels:
                labels[place] = labels[place].model_copy(update={"prompts": (str(draw.choice(SOUNDS)),)})
            case 3 if labels:
                del labels[place]
            case 4:
                labels = [*labels, *(each for each in LABELS if each.id not in {each.id for each in labels})]
            case 5:
                draw.shuffle(labels)
            case 6:
                chosen = tuple(each.id for each in labels if draw.random() < 0.6)
                changed = replace(changed, selected={"room": chosen} if draw.random() < 0.8 else {})
            case 7:
                changed = replace(changed, armed=not changed.armed)
        selected = {
            source: tuple(each for each in ids if each in {label.id for label in labels})
            for source, ids in changed.selected.items()
        }
        after = replace(changed, labels=tuple(labels), selected=selected)
        prototypes = build(after.enabled, after.background) if labels else None
        if prototypes is None:
            return
        self._apply(after, prototypes)

    def _apply(self, labels, prototypes):
        before = Change(self._config, self.labels, self.parts.scorer._prototypes)
        apply_change(self.parts, before, Change(self._config, labels, prototypes), self._outputs)
        self.labels = labels

    def _learn_usual(self, source, now):
        """Make a reference with the threshold so far, or with another one; some hold only for a while."""
        draw, unusual = self._draw, self.parts.detector.unusual
        threshold = float(draw.choice([0.3, 0.4, 0.6]))
        usual = draw.normal(0, 0.2, (20, DIMENSION)) + embed_text([SOUNDS[int(draw.integers(4, 6))]])
        rows = quantised(embed_audio([*usual]))
        unusual.use(source, UsualSounds(rows, threshold, until=now + float(draw.uniform(20, 500))))

    def _label_of(self, event):
        return label_of(event, self.parts.detector, self.labels)

    def stop(self):
        """End as when the monitor is stopped."""
        self.memory.close()
        self.memory.run()
        return self.events

    def kill(self):
        """End as when the process is killed a moment after the last write."""
        self.memory._work()
        events = [event for event in self.events if event.reason != EndReason.SHUTDOWN]
        ended = {event.id for event in events if event.ended_at is not None}
        return events, {event.id for event in events} - ended


def told(events):
    """What must be the same of each event, in an order of its own."""
    found = [
        (
            event.source, event.label, event.start, event.stop is not None, event.stop, event.started_at,
            event.ended_at, event.windows, event.reason,
        )
        for event in events
    ]  # fmt: skip
    return sorted(found, key=lambda each: (each[5], each[1], each[3]))


def scores_of(events):
    ordered = sorted(events, key=lambda event: (event.started_at, event.label, event.stop is not None))
    return [(event.score, event.peak_score, event.level_dbfs) for event in ordered]


def replayed(state, source):
    return list(SourceReplay(MemoryReader(state, "identity"), source, CALIBRATION, build).events())


@pytest.mark.parametrize("seed", [*range(SEEDS), 30])  # 30: two labels of one prompt at a full hour
def test_events_of_the_memory_are_those_of_the_run(tmp_path, seed):
    draw = np.random.default_rng(seed)
    labels = ActiveLabels(labels=LABELS, sources=tuple(HOPS), background=(SOUNDS[5],) if seed % 2 else ())
    live, first, unchanged = [], 0, 0
    for _ in range(2):  # the second run begins with the baselines, and the labels, of the first
        run = Run(tmp_path, draw, labels)
        run.hear(first, 250)
        live += run.stop()
        unchanged += sum(status.gated.get("unchanged", 0) for status in run.parts.status.values())
        labels, first = run.labels, first + 500 * RATE
    for source in HOPS:
        expected = [event for event in live if event.source == source]
        found = replayed(tmp_path, source)
        assert told(found) == told(expected)
        assert np.allclose(scores_of(found), scores_of(expected), atol=2e-5)
    assert len([event for event in live if event.label == UNUSUAL]) > 2
    assert len([event for event in live if event.label != UNUSUAL]) > 2
    assert unchanged > 10


@pytest.mark.parametrize("seed", range(SEEDS // 2))
def test_after_a_kill_only_the_ends_of_lasting_events_differ(tmp_path, seed):
    draw = np.random.default_rng(100 + seed)
    labels = ActiveLabels(labels=LABELS, sources=tuple(HOPS))
    run = Run(tmp_path, draw, labels)
    run.hear(0, 300)
    events, lasting = run.kill()
    again = Run(tmp_path, draw, run.labels)
    again.hear(400 * RATE, 200)
    events += again.stop()
    for source in HOPS:
        found = replayed(tmp_path, source)
        restarted = {(event.label, event.start) for event in found if event.reason == EndReason.RESTART}
        expected = [event for event in events if event.source == source]
        assert restarted == {(event.label, event.start) for event in expected if event.id in lasting}
        assert told(event for event in found if event.reason != EndReason.RESTART) == told(expected)
