"""The flow: what capture and analysis pass on, and that each closes its output."""

import re
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import monitor
from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.source_status import SourceStatus
from monitor.audio.windows import Windows
from monitor.config import LabelConfig
from monitor.detection.events import Detector
from monitor.detection.near_misses import MissReason
from monitor.detection.pipeline import run_analysis, run_capture, select_labels
from monitor.detection.prototypes import Directions
from monitor.detection.rules import rule_of
from monitor.detection.scorer import AT_ONCE, Scorer
from monitor.outputs.clips.speech_filter import SpeechFilter
from monitor.types import AudioBlock, ClipOutcome, GateReason, Window
from tests.support.engines import ARMED, Samples, engine_of, prototypes_of
from tests.support.ramps import scores_of

RATE = 100
LENGTH, HOP = 200, 100
QUIET, LOUD = np.array([0.0, 1.0], np.float32), np.array([1.0, 0.0], np.float32)
PROTOTYPES = prototypes_of(("dog",), [LOUD])


def embed(windows):
    """Embed what rises as the label and anything else as something else; gain does not matter."""
    return np.stack([LOUD if window[-1] > window[0] else QUIET for window in windows])


def detector():
    label = LabelConfig(
        id="dog", prompts=("a dog",), confirm_seconds=0, merge_gap_seconds=0, cooldown_seconds=0
    )
    return Detector([rule_of(label, rate=RATE, hop=HOP)])


def scorer_of(status, *, encode=embed, prototypes=PROTOTYPES, initial=None):
    return Scorer(
        engine_of(encode, prototypes, mel_config=RATE, length=LENGTH, hop=HOP),
        ARMED,
        status,
        spectrograms=Samples(),
        initial_baseline=lambda _source, _prototypes: initial or {},
    )


class Flow:
    """The whole flow on samples given at once."""

    def __init__(self, samples, *, gap_at=None, block=50, initial=None, encode=embed):
        self.status = SourceStatus("mic")
        self.buffer = RingBuffer(10_000, RATE, lossless=True)
        self.scores, self.events, self.closed = [], [], False
        self.scorer = scorer_of({"mic": self.status}, encode=encode, initial=initial)
        run_capture(self.blocks(samples, block, gap_at), self.buffer, self.status)
        windows = Windows(
            {"mic": self.buffer}, {"mic": self.status}, length=LENGTH, hop=HOP, stop=threading.Event()
        )
        run_analysis(
            windows, self.scorer, detector(), on_scores=self.scores.append, on_event=self.events.append
        )

    @staticmethod
    def blocks(samples, size, gap_at):
        for start in range(0, len(samples), size):
            part = samples[start : start + size]
            yield AudioBlock("mic", start, part, 1000 + (start + len(part)) / RATE, gap=start == gap_at)


def scene(*parts):
    """Rising (the label), falling, or silent seconds."""
    second = np.linspace(0.1, 0.5, RATE, dtype=np.float32)
    forms = {"/": second, "\\": second[::-1], "_": np.zeros(RATE, np.float32)}
    return np.concatenate([forms[part] for part in "".join(parts)])


def shape(samples):
    flow = Flow(samples)
    return [(round(event.start / RATE, 1), event.stop is not None) for event in flow.events]


@pytest.mark.parametrize("block", [1, 7, 50, 200, 433])
def test_events_do_not_depend_on_the_size_of_blocks(block):
    samples = scene("\\\\", "//////", "\\\\\\\\")
    flow = Flow(samples, block=block)
    assert [(e.start, e.stop, e.score, e.reason) for e in flow.events] == [
        (e.start, e.stop, e.score, e.reason) for e in Flow(samples, block=len(samples)).events
    ]
    assert len(flow.events) == 2
    assert flow.status.scored == len(flow.scores) == 11


def test_every_event_ends_at_the_end_of_the_source():
    events = Flow(scene("\\\\", "////")).events
    assert [(event.stop is None, event.reason) for event in events] == [(True, None), (False, "end")]


def test_an_event_ends_where_audio_was_lost():
    samples = scene("\\\\", "////////")
    events = Flow(samples, gap_at=600).events
    assert [event.reason for event in events] == [None, "gap", None, "end"]
    assert events[1].stop <= 600 <= events[2].start


def test_windows_of_silence_score_zero_end_events_and_are_counted():
    flow = Flow(scene("\\\\", "////", "____"))
    assert flow.status.gated == {"digital_silence": 3}
    assert [event.reason for event in flow.events] == [None, "quiet"]
    assert flow.scores[-1].values.tolist() == [0.0]
    assert flow.scores[-1].level_dbfs == float("-inf")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e20, -3e38, 1e5])
def test_impossible_samples_are_counted_and_reach_no_score(bad):
    samples = scene("//////")
    samples[250] = bad
    flow = Flow(samples)
    assert flow.status.gated == {"non_finite": 2}
    assert all(np.isfinite(scores.values).all() for scores in flow.scores)
    assert all(scores.level_dbfs < 0.0 for scores in flow.scores)


def test_an_impossible_sample_has_no_lasting_effect():
    samples = scene("\\\\/\\" * 22)
    broken = samples.copy()
    broken[150] = 1e20
    whole, flow = Flow(samples), Flow(broken)
    assert flow.status.gated == {"non_finite": 2}
    assert flow.scorer.baseline("mic") == pytest.approx(whole.scorer.baseline("mic"), abs=0.05)
    for one, other in zip(flow.scores[-20:], whole.scores[-20:], strict=True):
        assert one.values == pytest.approx(other.values, abs=0.01)


def test_a_recording_louder_than_full_scale_is_heard():
    samples = scene("\\\\", "//////", "\\\\\\\\")
    flow = Flow(samples * np.float32(2.0))
    assert flow.status.gated == {}
    assert [(e.start, e.stop) for e in flow.events] == [(e.start, e.stop) for e in Flow(samples).events]


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_windows_without_a_finite_embedding_are_counted_and_do_not_change_the_baseline(broken, caplog):
    def fails_when_it_rises(windows):
        rows = embed(windows)
        return np.where(rows[:, :1] > 0.5, np.float32(broken), rows)

    flow = Flow(scene("\\\\\\", "//////", "\\\\\\\\"), encode=fails_when_it_rises)
    assert set(flow.status.gated) == {"no_embedding"}
    assert flow.status.scored + flow.status.gated["no_embedding"] == len(flow.scores)
    assert all(np.isfinite(scores.values).all() for scores in flow.scores)
    assert all(np.isfinite(level) for level in flow.scorer.baseline("mic").values())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "source mic" in caplog.text
    assert "model.dtype" in caplog.text


@pytest.mark.parametrize("kept", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_an_impossible_initial_baseline_is_replaced(kept):
    samples = scene("\\\\", "//////", "\\\\\\\\")
    flow, other = Flow(samples, initial={"dog": kept}), Flow(samples)
    assert [scores.values.tolist() for scores in flow.scores] == [s.values.tolist() for s in other.scores]


def test_windows_of_many_sources_have_the_scores_that_each_has_alone():
    rng = np.random.default_rng(3)
    names = [f"room{number}" for number in range(11)]
    windows = [
        Window(name, 0, rng.normal(0, 0.1, LENGTH).astype(np.float32) * (number % 5 > 0), 2.0)
        for number, name in enumerate(names)
    ]
    sizes = []

    def counted(batch):
        sizes.append(len(batch))
        return embed(batch)

    together = scorer_of({name: SourceStatus(name) for name in names}, encode=counted)
    scores = together.score(windows, lambda _: frozenset())
    together.close()
    assert [each.source for each in scores] == names
    assert sum(sizes) == sum(each.gated is None for each in scores) == 8
    assert max(sizes) <= AT_ONCE
    for window, each in zip(windows, scores, strict=True):
        (alone,) = scorer_of({window.source: SourceStatus(window.source)}).score(
            [window], lambda _: frozenset()
        )
        assert (each.gated, each.values.tolist()) == (alone.gated, alone.values.tolist())


def test_scores_say_why_a_window_was_not_scored():
    flow = Flow(scene("\\\\", "____"))
    assert [scores.gated for scores in flow.scores] == [None, None, *["digital_silence"] * 3]
    assert flow.scores[-1].nearest_against == ()


@pytest.mark.parametrize("gain_db", [-20.0, 10.0])
def test_a_quieter_or_louder_scene_gives_the_same_events(gain_db):
    samples = scene("\\\\", "//////", "\\\\\\\\")
    other = Flow(samples * np.float32(10 ** (gain_db / 20)))
    assert [(e.start, e.stop) for e in other.events] == [(e.start, e.stop) for e in Flow(samples).events]
    for one, two in zip(Flow(samples).scores, other.scores, strict=True):
        assert one.values == pytest.approx(two.values, abs=1e-5)


def test_the_initial_baseline_is_used_and_the_current_one_can_be_read():
    fresh, used = Flow(scene("\\\\\\")), Flow(scene("\\\\\\"), initial={"dog": 4.0})
    assert used.scores[0].values < fresh.scores[0].values
    assert used.scorer.baseline("mic") == {"dog": pytest.approx(4.0)}


def test_a_failing_source_still_closes_its_buffer():
    buffer, status = RingBuffer(1000, RATE), SourceStatus("mic")

    def blocks():
        yield AudioBlock("mic", 0, np.zeros(10, np.float32), 1.0)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        run_capture(blocks(), buffer, status)
    assert buffer.closed
    assert (status.captured, status.ended) == (10, True)


def test_the_level_is_that_of_the_newest_hop():
    status = SourceStatus("mic")
    scorer = scorer_of({"mic": status})
    samples = np.concatenate([np.full(RATE, 0.5, np.float32), np.full(RATE, 0.1, np.float32)])
    (scores,) = scorer.score([Window("mic", 0, samples, 2.0)], lambda _: frozenset())
    assert scores.level_dbfs == pytest.approx(-20.0, abs=0.01)
    assert status.level_dbfs == scores.level_dbfs


def test_select_labels_keeps_the_labels_of_a_source_in_order():
    scores = replace(
        scores_of(0.5)[0],
        labels=("dog", "cat", "owl"),
        values=np.array([0.1, 0.2, 0.3], np.float32),
        without_against=np.array([0.4, 0.5, 0.6], np.float32),
        nearest_against=("a wolf", None, "a dove"),
    )
    some = select_labels(scores, ("owl", "dog"))
    assert some.labels == ("dog", "owl")
    assert some.values.tolist() == pytest.approx([0.1, 0.3])
    assert some.without_against.tolist() == pytest.approx([0.4, 0.6])
    assert some.nearest_against == ("a wolf", "a dove")
    assert select_labels(scores, ("dog", "cat", "owl")) is scores
    assert select_labels(scores, ()).values.shape == (0,)


def watching(*labels):
    """Return prototypes of labels that all sound alike, each with prompts of its own."""
    return prototypes_of(labels, [LOUD] * len(labels))


def test_labels_change_between_two_windows_and_no_window_is_lost():
    status = SourceStatus("mic")
    buffer = RingBuffer(100_000, RATE, lossless=True)
    scorer = scorer_of({"mic": status}, prototypes=watching("dog"))
    detector = Detector(by_source={"mic": []})
    turns, scores, events = iter(range(1000)), [], []

    def change():
        turn = next(turns)
        labels = ("dog", "cat", "hen")[: 1 + turn % 3][:: 1 if turn % 2 else -1]
        made = (LabelConfig(id=label, prompts=(label,), merge_gap_seconds=99) for label in labels)
        rules = [rule_of(label, rate=RATE, hop=HOP) for label in made]
        scorer.apply(replace(ARMED, armed=turn % 7 != 6), watching(*labels))
        events.extend(detector.apply({"mic": rules}))

    run_capture(Flow.blocks(scene("/" * 61), 37, None), buffer, status)
    windows = Windows({"mic": buffer}, {"mic": status}, length=LENGTH, hop=HOP, stop=threading.Event())
    steps = (step for step in windows if change() is None)
    run_analysis(steps, scorer, detector, on_scores=scores.append, on_event=events.append)
    assert status.scored + sum(status.gated.values()) == len(scores) == 60
    assert status.gated == {"disarmed": 8}
    assert [len(each.labels) for each in scores] == [1 + turn % 3 for turn in range(60)]
    starts, ends = ([e.id for e in events if (e.stop is None) == lasts] for lasts in (True, False))
    assert sorted(starts) == sorted(ends)
    assert "dog" in {event.label for event in events}


@pytest.mark.parametrize(("later", "told"), [(HOP, False), (LENGTH, True)])
def test_a_voice_that_reaches_into_a_window_keeps_its_end_from_being_speech(later, told):
    voice = Directions(np.stack([QUIET, LOUD]), np.zeros(2, np.float32), np.array([1.0, 0.4], np.float32))
    status = {"mic": SourceStatus("mic")}
    scorer = scorer_of(status, prototypes=replace(PROTOTYPES, speech=voice))
    cries = Window("mic", 0, scene("/", "/"), 0.0)
    falls = Window("mic", later, scene("\\", "\\"), 0.0)
    cry, end = (scorer.score([window], lambda _: frozenset())[0] for window in (cries, falls))
    assert (cry.speech, end.speech) == (False, told)


@pytest.mark.parametrize(
    ("table", "words"), [("gated", GateReason), ("reasons", MissReason), ("outcomes", ClipOutcome)]
)
def test_the_page_has_words_for_every_reason(table, words):
    page = (Path(monitor.__file__).parent / "outputs/web/static/strings.js").read_text()
    known = page.rpartition(f" {table}: {{")[2].partition("\n  }")[0]
    assert [word for word in words if not re.search(rf"\b{word}: ", known)] == []


@pytest.mark.parametrize("reason", [GateReason.NON_FINITE, GateReason.NO_EMBEDDING])
def test_a_window_that_could_not_be_scored_counts_as_speech(reason):
    speech_filter = SpeechFilter()
    speech_filter.observe(replace(scores_of(0.0)[0], gated=reason))
    assert speech_filter.has_speech(0, 8)
