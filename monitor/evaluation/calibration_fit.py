"""Calibration fit: scale and centre from false alarms counted at shifts of the threshold.

Above a high score the number of false alarms falls about exponentially: so the mean excess of those counted
tells how far to move for a rate that is too low to be counted (peaks over threshold, with an exponential
tail; Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001, chapter 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detection.calibration import QUANTILE, SHARE, Calibration
from monitor.detection.cohort_norm import SMALLEST_DEVIATION

RATE, TEN_TIMES = 1.0, 10.0
"""False alarms an hour and label that score 0.5 and 0.1."""

SHIFTS = np.arange(-4.0, 12.01, 0.25)
"""Shifts that are counted, in deviations of the margins."""

ENOUGH = 30
"""False alarms that are counted rather than extrapolated from: their rate is known to a fifth."""

PRIOR_EXCESS = 1.0
"""Mean excess that is assumed before anything is counted, in deviations of the margins; the starter's."""

PRIOR_COUNT = 5.0
"""False alarms that the assumption counts for."""


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """False alarms at each shift."""

    shifts: NDArray[np.float64]
    """Ascending, evenly spaced, shape (shifts,)."""
    false_alarms: NDArray[np.int64]
    """Of all scenes and labels, shape (shifts,)."""
    label_hours: float

    def shift_at(self, rate: float) -> float:
        """Return the shift with this many false alarms an hour and label."""
        wanted = rate * self.label_hours
        counts = np.maximum.accumulate(self.false_alarms[::-1])[::-1].astype(float)
        reached = np.flatnonzero(counts >= max(wanted, ENOUGH))
        first = int(reached[-1]) if len(reached) else 0
        here = max(counts[first], 0.5)
        if wanted >= ENOUGH and len(reached) and first + 1 < len(counts):
            excess = (self.shifts[1] - self.shifts[0]) / np.log(here / max(counts[first + 1], 0.5))
        else:
            excess = self._excess(counts[first:])
        return max(float(self.shifts[0]), float(self.shifts[first] + excess * np.log(here / wanted)))

    def _excess(self, counts: NDArray[np.float64]) -> float:
        """Return the mean excess over the first shift: the area below the counts, shared by all."""
        area = (counts.sum() - 0.5 * counts[0]) * (self.shifts[1] - self.shifts[0])
        return float((area + PRIOR_COUNT * PRIOR_EXCESS) / (counts[0] + PRIOR_COUNT))


def first_guess(margins: NDArray[np.float32]) -> Calibration:
    """Return a calibration with one logit for each deviation of the margins, shape (windows, labels)."""
    spread = max(float(margins.std()), SMALLEST_DEVIATION)
    usual = float(np.quantile(margins, QUANTILE))
    centre = usual + 2.0 * spread / (1.0 - SHARE)
    return Calibration(scale=1.0 / spread, centre=centre, baseline=(usual - centre) / spread)


def corrected(calibration: Calibration, tail: Tail, usual: float) -> Calibration:
    """Return the calibration with which a score of 0.5 has one false alarm per hour and label, 0.1 ten.

    Parameters
    ----------
    calibration : Calibration
        The one with which ``tail`` was counted.
    tail : Tail
    usual : float
        Margin that an ordinary room gives a label at its 90th percentile.
    """
    at, at_ten = tail.shift_at(RATE), tail.shift_at(TEN_TIMES)
    stretch = math.log(0.9 / 0.1) / max(at - at_ten, 0.05)
    # logit = scale * (margin - SHARE * q90 - (1 - SHARE) * centre), so a shift of it is one of the centre.
    centre = calibration.centre + at / (calibration.scale * (1.0 - SHARE))
    scale = calibration.scale * stretch
    return Calibration(scale=scale, centre=centre, baseline=scale * (usual - centre))
