"""Calm windows: those in which no label may have been heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.config import LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.types import Scores

CALM_SHARE = 0.4
"""Of a label's threshold: with a score above it, a sound may become an event.  A quarter, too, finds no more,
and the tone of some rooms exceeds that all day (benchmarks/long_windows.py)."""

_DEFAULT_THRESHOLD: float = LabelConfig.model_fields["threshold"].default
"""For labels that a source does not detect."""


class CalmLimits:
    """What no score may exceed in a calm window.

    Parameters
    ----------
    labels : ActiveLabels
        Their thresholds at each source.
    """

    def __init__(self, labels: ActiveLabels) -> None:
        self._labels = labels
        self._known: dict[tuple[str, tuple[str, ...]], NDArray[np.float32]] = {}

    def hold(self, scores: Scores) -> bool:
        """Return whether a window is calm."""
        key = scores.source, scores.labels
        limits = self._known.get(key)
        if limits is None:
            thresholds = {label.id: label.threshold for label in self._labels.at(scores.source)}
            limits = self._known[key] = np.array(
                [CALM_SHARE * thresholds.get(label, _DEFAULT_THRESHOLD) for label in scores.labels],
                dtype=np.float32,
            )
        return bool((scores.values <= limits).all())
