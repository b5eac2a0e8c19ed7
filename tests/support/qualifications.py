"""Qualifications without a measurement, and a small calibration kit of two tones."""

import numpy as np

from monitor.detection.calibration import Calibration
from monitor.detection.cohort import cohort_of
from monitor.detection.qualification import Figure, Figures, Qualification, Setup

FIGURE = Figure(0.9, 0.8, 0.95)


def qualification(dimension=8, *, auroc=FIGURE, **setup):
    """Return a qualification of a checkpoint with embeddings of this length."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((30, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    of = {"identity": "weights", "length": 48_000, "hop": 24_000, "number_format": "float32", "kit": 1}
    return Qualification(
        setup=Setup(**of | setup),
        calibration=Calibration(2.0, 1.5, -3.0),
        cohort=cohort_of(vectors, [-1, 0, 1] * 10, ("dog", "door bell"), vectors[:2]),
        figures=Figures(
            auroc=auroc,
            recall={"20": FIGURE, "10": Figure(0.5, 0.4, 0.6)},
            false_alarms=Figure(1.0, 0.5, 2.0),
            zero_shot=0.75,
            window_seconds=0.01,
            cohort_windows=30,
            scene_windows=120,
            label_hours=4.5,
        ),
        made_at=1_700_000_000.0,
    )
