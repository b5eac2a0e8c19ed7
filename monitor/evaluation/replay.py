"""Replay of a recording: the same pipeline as in the daemon, without outputs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources import SourceContext
from monitor.audio.sources.ffmpeg import open_recording
from monitor.audio.windows import Windows
from monitor.config import Config
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.engine import Engine
from monitor.detection.event_machine import EventMachine, Idle
from monitor.detection.events import Detector
from monitor.detection.novelty_gate import NoveltyGate
from monitor.detection.pipeline import run_analysis, run_capture
from monitor.detection.rules import Rule
from monitor.detection.scorer import Scorer
from monitor.system.threads import ThreadGroup
from monitor.types import AudioBlock, Break, EndReason, Event, Scores, Window

_NAME = "recording"
_JOIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class DetectedEvent:
    """An event, and when the monitor reported it."""

    label: str
    start: float
    """Estimated onset, seconds from the beginning of the recording."""
    stop: float
    """Estimated offset."""
    known_at: float
    """End of the window that confirmed it."""


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Scores and events of a recording."""

    seconds: float
    """Length of the audio."""
    scores: tuple[Scores, ...]
    events: tuple[DetectedEvent, ...]


def replay(
    path: Path, config: Config, engine: Engine, rules: Sequence[Rule], *, fill: bool = False
) -> Replay:
    """Replay one recording, independent of earlier ones and of the time of day: it begins at Unix time 0.

    Of the configuration the labels, ``silence_dbfs`` and ``window.reuse_seconds`` count.  ``fill`` repeats a
    recording shorter than a window until it fills one, as the model's own preprocessor does with a clip;
    otherwise it has no window, as in the daemon.

    Raises
    ------
    SourceError
        The file cannot be read, or is not audio.
    """
    status = SourceStatus(_NAME)
    stop = threading.Event()
    blocks = open_recording(path, _NAME, 0.0, SourceContext(engine.rate, status, stop))
    if fill:
        blocks = _filled(blocks, engine.length)
    with analysis_of(blocks, config, engine, status, stop) as (windows, scorer):
        scores, events = analysed(windows, scorer, rules, engine.rate)
    return Replay(status.captured / engine.rate, scores, events)


@contextmanager
def analysis_of(
    blocks: Iterable[AudioBlock], config: Config, engine: Engine, status: SourceStatus, stop: threading.Event
) -> Iterator[tuple[Windows, Scorer]]:
    """Read a recording in a thread; give its windows and a new scorer of them, as in the daemon.

    Parameters
    ----------
    blocks : iterable of AudioBlock
    config : Config
        The labels, ``silence_dbfs`` and ``window.reuse_seconds`` count.
    engine : Engine
    status : SourceStatus
        Of the recording.
    stop : threading.Event
        Ends the reading.
    """
    name = status.name
    engine = replace(engine, hops={})  # those of the configured sources
    buffer = RingBuffer(max(60 * engine.rate, 2 * engine.length), engine.rate, lossless=True)
    reuse, mel_config = config.window.reuse_seconds, engine.model.mel_config
    scorer = Scorer(
        engine,
        ActiveLabels(labels=config.labels, sources=(name,), silence_dbfs=config.silence_dbfs),
        {name: status},
        gate=NoveltyGate(mel_config, engine.hop_of, reuse) if reuse else None,
    )
    threads = ThreadGroup(stop)
    threads.start("listen", partial(run_capture, blocks, buffer, status))
    try:
        yield Windows({name: buffer}, {name: status}, length=engine.length, hop=engine.hop, stop=stop), scorer
    finally:
        stop.set()
        buffer.close()
        threads.join(_JOIN_SECONDS)


def analysed(
    steps: Iterable[Sequence[Window | Break]], scorer: Scorer, rules: Sequence[Rule], rate: int
) -> tuple[tuple[Scores, ...], tuple[DetectedEvent, ...]]:
    """Return the scores and the events of the windows of one recording.

    Parameters
    ----------
    steps : iterable of sequences of Window or Break
    scorer : Scorer
        New, so that nothing earlier counts.
    rules : sequence of Rule
    rate : int
        Samples per second.
    """
    scores: list[Scores] = []
    events: list[tuple[Event, int]] = []
    run_analysis(
        steps,
        scorer,
        Detector(rules),
        on_scores=lambda window: scores.append(replace(window, embedding=None)),  # of a night, 100 MB
        on_event=lambda event: events.append((event, scores[-1].stop)),
    )
    return tuple(scores), _paired(events, rate)


def detect(scores: Sequence[Scores], rules: Sequence[Rule], rate: int) -> tuple[DetectedEvent, ...]:
    """Return the events of these scores; the recording ends with them."""
    events: list[tuple[Event, int]] = []
    values = np.stack([window.values for window in scores])
    for rule in rules:
        events += _events_of(rule, values[:, scores[0].labels.index(rule.label)], scores)
    return _paired(sorted(events, key=lambda pair: pair[1]), rate)


def _events_of(
    rule: Rule, values: NDArray[np.float32], scores: Sequence[Scores]
) -> Iterator[tuple[Event, int]]:
    """Yield starts and ends of one label's events, each with the window that makes it known.

    While the label is idle, windows below the threshold change nothing and are left out, which makes a
    sweep of thresholds several times as fast.
    """
    machine, place = EventMachine(rule), 0
    hits = np.flatnonzero(values >= rule.threshold)
    while place < len(values):
        if isinstance(machine.state, Idle):
            following = int(np.searchsorted(hits, place))
            if following == len(hits):
                return
            place = int(hits[following])
        yield from (
            (event, scores[place].stop) for event in machine.update(scores[place], float(values[place]))
        )
        place += 1
    yield from ((event, scores[-1].stop) for event in machine.end(EndReason.END))


def _paired(events: Sequence[tuple[Event, int]], rate: int) -> tuple[DetectedEvent, ...]:
    known_at = {event.id: stop for event, stop in reversed(events)}
    return tuple(
        DetectedEvent(event.label, event.start / rate, event.stop / rate, known_at[event.id] / rate)
        for event, _ in events
        if event.stop is not None
    )


def _filled(blocks: Iterator[AudioBlock], length: int) -> Iterator[AudioBlock]:
    """The same audio, or what there is of it over and over until there are ``length`` samples."""
    short: list[AudioBlock] = []
    for block in blocks:
        short.append(block)
        if block.stop >= length:
            yield from short
            yield from blocks
            return
    if short:
        samples = np.concatenate([block.samples for block in short])
        yield AudioBlock(short[0].source, 0, np.resize(samples, length), short[-1].ended_at)
