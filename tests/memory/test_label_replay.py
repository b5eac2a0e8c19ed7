"""The events of a label over past windows are those that the running monitor would have started."""

from dataclasses import replace

import numpy as np
import pytest

from monitor.config import LabelConfig
from monitor.detection import scoring
from monitor.detection.baseline import Baseline, high_quantile
from monitor.detection.calibration import QUANTILE
from monitor.detection.event_machine import Active, Candidate, EventMachine
from monitor.detection.rules import rule_of
from monitor.memory.label_replay import LabelReplay, Timeline
from monitor.memory.label_scores import baseline_floor
from monitor.types import EndReason

RATE, HOP, LENGTH = 100, 50, 200
BEFORE = np.full(60, -1.0, dtype=np.float32)


def room(seed, windows=4000, *, loud=0.02):
    """Logits of a room with events of several lengths, some windows not scored, and breaks."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(-3, 1.2, windows) + np.cumsum(draw.normal(0, 0.02, windows))
    for start in np.flatnonzero(draw.random(windows) < loud):
        logits[start : start + draw.integers(1, 12)] += draw.uniform(2, 7)
    logits[windows // 2 : windows // 2 + 200] += 6  # longer than the maximum duration
    scored = np.flatnonzero(draw.random(windows) > 0.02)
    breaks = [(int(place), EndReason.GAP) for place in np.flatnonzero(draw.random(windows) < 0.002)]
    stops = LENGTH + HOP * np.arange(windows)
    ended_at, levels = 1e9 + stops / RATE, draw.normal(-40, 3, windows).astype("f4")
    flags = 2 * (np.arange(windows) % 400 < 250).astype("u2")  # T3 is heard in these windows
    timeline = Timeline("room", LENGTH, stops, ended_at, levels, scored, flags, np.zeros(len(stops)), breaks)
    return timeline, logits[scored].astype(np.float32)


def live(rule, timeline, logits, initial, windows):
    """The same, window by window, as `Scorer` and `Detector` do it."""
    machine, baseline = EventMachine(rule), Baseline(np.array([initial], dtype=np.float32), windows)
    values = dict(zip(timeline.scored.tolist(), logits, strict=True))
    breaks = dict(timeline.breaks)
    for place in range(len(timeline)):
        if place in breaks:
            yield from machine.end(breaks[place])
        if place in values:
            logit = np.array([values[place]])
            frozen = np.array([isinstance(machine.state, Active | Candidate)])
            score = float(scoring.scores(logit, baseline.values)[0])
            baseline.update(logit, frozen)
        else:
            score = 0.0
        yield from machine.update(timeline.window(place), score)


def part_of(timeline, logits, first, stop):
    inside = (timeline.scored >= first) & (timeline.scored < stop)
    breaks = [(place - first, reason) for place, reason in timeline.breaks if first <= place < stop]
    parts = (timeline.stops, timeline.ended_at, timeline.levels, timeline.flags)
    stops, ended_at, levels, flags = (each[first:stop] for each in parts)
    scored, distances = timeline.scored[inside] - first, np.zeros(len(stops))
    part = Timeline("room", LENGTH, stops, ended_at, levels, scored, flags, distances, breaks)
    return part, logits[inside]


def without_id(events):
    return [replace(event, id="") for event in events]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("threshold", "pattern"), [(0.2, None), (0.5, None), (0.8, None), (0.5, "t3")])
def test_events_are_those_of_the_running_monitor(seed, threshold, pattern):
    keys = {"cooldown_seconds": seed, "max_duration_seconds": 40, "pattern": pattern}
    label = LabelConfig(id="dog", prompts=("a dog",), threshold=threshold, **keys)
    rule = rule_of(label, rate=RATE, hop=HOP)
    timeline, logits = room(seed)
    expected = without_id(live(rule, timeline, logits, -1.0, 60))
    found = without_id(LabelReplay(rule, BEFORE).feed(timeline, logits))
    assert found == expected
    assert len(found) > 10


def test_without_its_temporal_pattern_nothing_starts():
    label = LabelConfig(id="alarm", prompts=("an alarm",), pattern="t4")
    timeline, logits = room(1)
    assert LabelReplay(rule_of(label, rate=RATE, hop=HOP), BEFORE).feed(timeline, logits) == []


@pytest.mark.parametrize("seed", range(4))
def test_the_same_in_pieces_of_any_length(seed):
    rule = rule_of(LabelConfig(id="dog", prompts=("a dog",)), rate=RATE, hop=HOP)
    timeline, logits = room(seed)
    whole = without_id(LabelReplay(rule, BEFORE).feed(timeline, logits))
    draw, replay, found, first = np.random.default_rng(seed), LabelReplay(rule, BEFORE), [], 0
    while first < len(timeline):
        stop = min(len(timeline), first + int(draw.integers(1, 400)))
        found += replay.feed(*part_of(timeline, logits, first, stop))
        first = stop
    assert without_id(found) == whole


@pytest.mark.parametrize("windows", [1, 2, 3, 6, 12, 60, 61, 240])
def test_the_floor_is_never_above_the_baseline(windows):
    draw = np.random.default_rng(windows)
    for count in (1, 5, 400):
        sequence = np.cumsum(draw.normal(size=windows + count)).astype(np.float32)
        exact = high_quantile(np.lib.stride_tricks.sliding_window_view(sequence, windows)[:-1].T)
        assert exact.shape == (count,)
        assert np.all(baseline_floor(sequence, windows) <= exact)


def test_the_quantile_is_numpys():
    logits = np.random.default_rng(1).normal(size=(60, 50)).astype(np.float32)
    assert np.allclose(high_quantile(logits), np.quantile(logits, QUANTILE, axis=0), atol=1e-6)
