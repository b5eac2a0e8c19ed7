"""A checkpoint of the size and shape of ``laion/larger_clap_general``, with random weights.

Random weights map all sounds to nearly one point, and a monitor refuses to listen with such.  So the mean
over some sounds is taken away from what comes out; no number of operations changes by that.  It hears
nothing all the same, so it brings a calibration: otherwise a run would qualify it first, and refuse it.
"""

from __future__ import annotations

import json
from pathlib import Path

from monitor.detection.calibration import Calibration
from tests.support.checkpoints import LARGER_CLAP_GENERAL, build, centre

RATE = 48_000


def build_full_size(directory: Path) -> Path:
    """Write it into a new directory, and return that."""
    build(directory, LARGER_CLAP_GENERAL)
    calibration = Calibration(scale=10.0, centre=1.0, baseline=-10.0)
    (directory / "detection.json").write_text(json.dumps(calibration.as_dict()))
    return centre(directory, LARGER_CLAP_GENERAL)
