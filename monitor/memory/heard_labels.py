"""Start levels of labels over the memory: what each would have done at one source."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.detection import scoring
from monitor.detection.alarm_clusters import Heard
from monitor.detection.baseline import BASELINE_SECONDS, high_quantile
from monitor.detection.calibration import SHARE, Calibration
from monitor.detection.prototypes import Prototypes
from monitor.detection.rules import Rule
from monitor.memory.label_replay import Timeline
from monitor.memory.label_scores import Logits, baseline_floor, logits_at
from monitor.memory.memory_reader import Chunk
from monitor.memory.segment import GATES, PATTERN_FLAGS, Kind, MemoryFormatError
from monitor.memory.source_replay import timeline_of
from monitor.types import GateReason

log = logging.getLogger(__name__)

EXACT_SHARE, EXACT_LEAST = 0.1, 20_000
"""Windows whose baseline is exact: those with the highest scores, which alone decide about a threshold."""

_AT_ONCE = 4_096


def heard_labels(
    chunks: Iterable[Chunk],
    prototypes: Prototypes,
    rules: Sequence[Rule],
    calibration: Calibration,
    *,
    exact: int = EXACT_LEAST,
) -> dict[str, Heard]:
    """Return what labels would have done, by label; empty if nothing is remembered.

    Windows in which detection was disarmed, or in the quiet hours of the source, do not count as heard.  The
    baseline is as if no event had frozen it, and windows far below the highest scores are taken a little too
    high, which never lowers a threshold.

    Parameters
    ----------
    chunks : iterable of Chunk
        Of one source.
    prototypes : Prototypes
    rules : sequence of Rule
        Of labels among the prototypes.
    calibration : Calibration
    exact : int
        Windows whose baseline is exact at least.
    """
    gathered = _gather(chunks, prototypes, calibration)
    if gathered is None:
        return {}
    found = {}
    for rule in rules:
        column = np.ascontiguousarray(gathered.logits[:, prototypes.labels.index(rule.label)])
        scores = np.zeros(len(gathered.ended_at), dtype=np.float32)
        windows = round(BASELINE_SECONDS * rule.rate / rule.hop)
        scores[gathered.scored] = _scores(column, windows, calibration, exact)
        if rule.pattern is not None:
            scores[gathered.flags & PATTERN_FLAGS[rule.pattern] == 0] = 0.0
        heard = Heard.of(gathered.ended_at, scores, rule, gathered.after_break)
        loud = ~_in_quiet_hours(heard.ended_at, rule)
        found[rule.label] = replace(heard, ended_at=heard.ended_at[loud], levels=heard.levels[loud])
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Gathered:
    """All windows of one source."""

    ended_at: NDArray[np.float64]
    """Shape (n,)."""
    flags: NDArray[np.uint16]
    """Shape (n,)."""
    scored: NDArray[np.intp]
    """Places of the windows with scores, shape (m,)."""
    after_break: NDArray[np.intp]
    logits: Logits
    """Shape (m, labels)."""


def _gather(chunks: Iterable[Chunk], prototypes: Prototypes, calibration: Calibration) -> _Gathered | None:
    timelines: list[Timeline] = []
    values: list[Logits] = []
    scored, breaks, count = [], [], 0
    for chunk in chunks:
        timeline, rows = timeline_of(chunk, np.flatnonzero(_counts(chunk)))
        try:
            found = logits_at(chunk.segment, rows, prototypes, calibration)
        except MemoryFormatError as error:
            log.warning("memory: %s; left out", error)
            continue
        values.append(found)
        scored.append(timeline.scored + count)
        breaks += [count] * (not chunk.follows) + [count + place for place, _ in timeline.breaks]
        timelines.append(timeline)
        count += len(timeline)
    if not count:
        return None
    return _Gathered(
        np.concatenate([timeline.ended_at for timeline in timelines]),
        np.concatenate([timeline.flags for timeline in timelines]),
        np.concatenate(scored),
        np.array([place for place in breaks if place < count], dtype=np.intp),
        np.concatenate(values),
    )


def _counts(chunk: Chunk) -> NDArray[np.bool_]:
    """Return which entries are windows while detection was armed, or breaks."""
    kind, reason = chunk.entries["kind"], chunk.entries["reason"]
    disarmed = (kind == Kind.GATED) & (reason == GATES.index(GateReason.DISARMED))
    counts: NDArray[np.bool_] = (kind != Kind.LABELS) & ~disarmed
    return counts


def _scores(column: Logits, windows: int, calibration: Calibration, exact: int) -> Logits:
    """Return the scores of one label above its rolling baseline, shape (m,)."""
    initial = np.full(windows, calibration.baseline, dtype=np.float32)
    sequence = np.concatenate([initial, column])
    baseline = np.maximum(baseline_floor(sequence, windows), np.float32(-1e6))
    exact = max(exact, round(EXACT_SHARE * len(column)))
    likely = np.arange(len(column))
    if len(column) > exact:
        likely = np.argpartition(SHARE * baseline - column, exact)[:exact]
    views = np.lib.stride_tricks.sliding_window_view(sequence, windows)
    for first in range(0, len(likely), _AT_ONCE):
        part = likely[first : first + _AT_ONCE]
        baseline[part] = high_quantile(views[part].T)
    return scoring.scores(column, baseline)


def _in_quiet_hours(ended_at: NDArray[np.float64], rule: Rule) -> NDArray[np.bool_]:
    if not rule.quiet:
        return np.zeros(len(ended_at), dtype=bool)
    minutes, which = np.unique(ended_at // 60, return_inverse=True)
    quiet = [any(hours.contains(60 * minute) for hours in rule.quiet) for minute in minutes.tolist()]
    return np.array(quiet, dtype=bool)[which]
