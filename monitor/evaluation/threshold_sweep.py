"""Threshold sweep: recall and false alarms of the same scores at other thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.detection.rules import Rule
from monitor.detection.start_levels import score_of
from monitor.evaluation.annotations import Recording
from monitor.evaluation.matching import Matched, match
from monitor.evaluation.replay import DetectedEvent, Replay, detect

SHIFTS = np.round(
    np.concatenate([np.arange(-6.0, -2.0, 0.5), np.arange(-2.0, 6.01, 0.25), np.arange(6.5, 14.1, 0.5)]), 2
)
"""Shifts of the thresholds, in logits; 0 is the default."""

_SMALLEST = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Occurrences that were found, and false alarms, at every shift of the threshold."""

    labels: tuple[str, ...]
    shifts: NDArray[np.float64]
    """Shape (shifts,)."""
    found: NDArray[np.int64]
    """Occurrences found, shape (shifts, recordings, labels)."""
    false_alarms: NDArray[np.int64]
    """Shape (shifts, recordings, labels)."""
    occurrences: NDArray[np.int64]
    """Shape (recordings, labels)."""
    matched: tuple[tuple[tuple[Matched, ...], ...], ...]
    """For each shift, recording and label."""
    hours: NDArray[np.float64]
    """Of each recording, shape (recordings,)."""


def sweep(
    recordings: Sequence[Recording],
    replays: Sequence[Replay],
    rules: Sequence[Rule],
    *,
    collar: float,
    shifts: NDArray[np.float64] = SHIFTS,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Sweep:
    """Run the detector at every shift of the thresholds.

    The scores are those of the default thresholds.  The baseline depends on the thresholds a little, because
    it is frozen while a label is active; the sweep ignores that.
    """
    every = []
    for number, shift in enumerate(shifts):
        moved = [shifted(rule, float(shift)) for rule in rules]
        every.append(
            tuple(
                _matched(
                    recording,
                    detect(replay.scores, moved, rules[0].rate) if replay.scores else (),
                    rules,
                    collar,
                )
                for recording, replay in zip(recordings, replays, strict=True)
            )
        )
        progress(number + 1, len(shifts))
    return Sweep(
        labels=tuple(rule.label for rule in rules),
        shifts=np.asarray(shifts, dtype=np.float64),
        found=np.array([[[one.found for one in row] for row in rows] for rows in every]),
        false_alarms=np.array([[[one.false_alarms for one in row] for row in rows] for rows in every]),
        occurrences=np.array([[len(one.occurrences) for one in row] for row in every[0]]),
        matched=tuple(every),
        hours=np.array([replay.seconds / 3600 for replay in replays]),
    )


def shifted(rule: Rule, shift: float) -> Rule:
    """The rule with both its thresholds moved by ``shift`` in logits."""

    def moved(score: float) -> float:
        inside = min(max(score, _SMALLEST), 1.0 - _SMALLEST)
        return score_of(math.log(inside / (1.0 - inside)) + shift)

    return replace(rule, threshold=moved(rule.threshold), release=moved(rule.release))


def best_shift(
    false_alarms: NDArray[np.int64], found: NDArray[np.int64], hours: float, rate: float
) -> int | None:
    """Index of the shift that finds most at no more than ``rate`` false alarms an hour; None if none does.

    Both arrays have the shape (shifts,); ``hours`` is the length of the audio times the labels in them.
    """
    allowed = np.flatnonzero(false_alarms <= rate * hours + 1e-9)
    if not len(allowed):
        return None
    return int(allowed[np.argmax(found[allowed])])


def _matched(
    recording: Recording, reports: Sequence[DetectedEvent], rules: Sequence[Rule], collar: float
) -> tuple[Matched, ...]:
    return tuple(match(recording.occurrences, reports, rule.label, collar) for rule in rules)
