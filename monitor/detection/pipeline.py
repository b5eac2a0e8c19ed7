"""Pipeline: the whole flow, in the order in which audio passes through it.

    sources -> ring buffer -> windows -> log-mel -> model -> scores -> events -> outputs

Each loop ends when its input ends, and then closes its output.  So shutdown is end of file: stop the
source, and everything behind it drains and finishes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.source_status import SourceStatus
from monitor.audio.turns import turn
from monitor.detection.events import Detector
from monitor.detection.near_misses import NearMiss
from monitor.detection.scorer import Scorer
from monitor.types import AudioBlock, Break, Event, Scores, Window


def run_capture(blocks: Iterable[AudioBlock], buffer: RingBuffer, status: SourceStatus) -> None:
    """Move audio from the source into the ring buffer until the source ends."""
    try:
        for block in blocks:
            status.gaps += block.gap
            if buffer.lossless:
                buffer.append(block)
            else:
                with turn:
                    buffer.append(block)
            status.captured = block.stop
    finally:
        status.ended = True
        buffer.close()


def run_analysis(
    steps: Iterable[Sequence[Window | Break]],
    scorer: Scorer,
    detector: Detector,
    *,
    on_scores: Callable[[Scores], None],
    on_event: Callable[[Event], None],
    on_near_miss: Callable[[NearMiss], None] = lambda _: None,
) -> None:
    """Score every window until the sources end; pass on scores, starts and ends of events, and near misses.

    Parameters
    ----------
    steps : iterable of sequences of Window or Break
        What is due at the same time, at most one of each source; empty while nothing is.
    scorer : Scorer
    detector : Detector
    on_scores, on_event, on_near_miss : callable
    """
    for step in steps:
        events = [event for at in step if isinstance(at, Break) for event in detector.interrupt(at)]
        for scores in scorer.score([at for at in step if isinstance(at, Window)], detector.active):
            selected = detector.measured(select_labels(scores, detector.labels(scores.source)))
            on_scores(selected)
            events += detector.update(selected)
        _pass_on(events, detector, on_event, on_near_miss)
    _pass_on(detector.finish(), detector, on_event, on_near_miss)


def _pass_on(
    events: Iterable[Event],
    detector: Detector,
    on_event: Callable[[Event], None],
    on_near_miss: Callable[[NearMiss], None],
) -> None:
    for event in events:
        on_event(event)
    for near_miss in detector.take_near_misses():
        on_near_miss(near_miss)


def select_labels(scores: Scores, labels: Collection[str]) -> Scores:
    """Return the scores of some labels only: those of the source."""
    places = [place for place, label in enumerate(scores.labels) if label in labels]
    if len(places) == len(scores.labels):
        return scores
    against = scores.nearest_against
    return replace(
        scores,
        labels=tuple(scores.labels[place] for place in places),
        values=scores.values[places],
        without_against=None if scores.without_against is None else scores.without_against[places],
        nearest_against=tuple(against[place] for place in places) if against else (),
    )
