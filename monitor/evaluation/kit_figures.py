"""Figures of a checkpoint on the calibration kit, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.detection.qualification import Figure
from monitor.evaluation.annotations import Occurrence
from monitor.evaluation.clip_metrics import auroc
from monitor.evaluation.confidence import Estimate, estimate, ratio
from monitor.evaluation.remembered_scenes import RememberedScene
from monitor.evaluation.threshold_sweep import Sweep

_HALF = 0.5
"""Share of a window, or of the sound if that is shorter, from which on the sound is in the window."""


def auroc_of(
    scenes: Sequence[RememberedScene],
    margins: Sequence[NDArray[np.float32]],
    labels: Sequence[str],
    windows: tuple[float, float],
) -> Figure:
    """Return the mean over labels of the AUROC of windows with the sound among those without it.

    Parameters
    ----------
    scenes : sequence of RememberedScene
    margins : sequence of array, shape (windows, labels)
        Of each scene.
    labels : sequence of str
    windows : tuple of float
        Length and hop, in seconds.
    """
    values = np.concatenate(margins)
    each = []
    for column, label in enumerate(labels):
        shares = np.concatenate(
            [
                _shares(scene.occurrences, label, len(rows), windows)
                for scene, rows in zip(scenes, margins, strict=True)
            ]
        )
        there, clear = shares >= _HALF, shares == 0.0
        if there.any() and clear.any():
            each.append(auroc(there[there | clear], values[there | clear, column]))
    found = np.array(each)
    if len(found) < 2:  # noqa: PLR2004 - one label says nothing of others
        return Figure(float(found.mean()) if each else _HALF, 0.0, 1.0)
    return _figure(estimate(lambda rows: float(found[rows].mean()), len(found)))


def _shares(
    occurrences: Sequence[Occurrence], label: str, count: int, windows: tuple[float, float]
) -> NDArray[np.float64]:
    """Return how much of each window a label's sound fills, or how much of the sound is in it."""
    length, hop = windows
    starts = np.arange(count) * hop
    shares = np.zeros(count)
    for one in (o for o in occurrences if o.label == label):
        inside = np.minimum(starts + length, one.offset) - np.maximum(starts, one.onset)
        shares = np.maximum(shares, inside / min(length, one.offset - one.onset))
    return shares.clip(0.0, 1.0)


def recall_of(found: Sweep) -> dict[str, Figure]:
    """Return the share of events that is found at the only shift, by their SNR, the loudest first."""
    rows = found.matched[0]
    every = {o.snr_db for row in rows for one in row for o in one.occurrences if o.snr_db is not None}
    return {f"{snr:g}": _recall_at(found, snr) for snr in sorted(every, reverse=True)}


def _recall_at(found: Sweep, snr: float) -> Figure:
    latencies = [
        [at for one in row for o, at in zip(one.occurrences, one.latencies, strict=True) if o.snr_db == snr]
        for row in found.matched[0]
    ]
    hits = np.array([sum(at is not None for at in row) for row in latencies], dtype=float)
    return _figure(ratio(hits, np.array([len(row) for row in latencies], dtype=float)))


def false_alarms_of(found: Sweep) -> Figure:
    """Return the false alarms an hour and label at the only shift."""
    return _figure(ratio(found.false_alarms[0].sum(axis=1).astype(float), found.hours * len(found.labels)))


def _figure(found: Estimate) -> Figure:
    """Return an estimate of something that there is, without an interval from one draw alone."""
    value = 0.0 if found.value is None else found.value
    low, high = (value if bound is None else bound for bound in (found.low, found.high))
    return Figure(value, low, high)
