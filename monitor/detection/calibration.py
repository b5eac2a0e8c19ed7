"""Calibration: the line from a checkpoint's margins to logits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from monitor.model.config_ranges import Range, check
from monitor.system.boundary import explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import ModelError

SHARE = 0.5
"""Share of the baseline that is subtracted from a logit.

A quarter to the whole of it, over one to four minutes, find about as much of the tuning scenes with the
starter (0.14 to 0.17 of all events with a threshold for each label); so do hops of a quarter of a second,
means of two to four windows and whitened prototypes, or less."""

QUANTILE = 0.9
"""Quantile of the last minute's logits that is the baseline: the room when it is most like the label."""

LARGEST_LOGIT = 1000.0
"""No window of any checkpoint gives more; a file of baselines may hold anything."""

MOST_BYTES = 4_096
"""Size limit of a calibration file."""

_RANGES = {
    "scale": Range(0, 1e6, whole=False, above=True),
    "centre": Range(-1e6, 1e6, whole=False),
    "ambience": Range(-LARGEST_LOGIT, LARGEST_LOGIT, whole=False),
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """The logit of a margin: ``scale * (margin - centre)``; belongs to the checkpoint."""

    scale: float
    """Logits per unit of margin."""
    centre: float
    """Margin whose logit is 0: with a baseline of 0 the score is then 0.5."""
    baseline: float
    """Logit that an ordinary room gives a label at its 90th percentile; holds until a room is known."""

    def as_dict(self) -> dict[str, float]:
        """The content of ``detection.json``."""
        return dict(zip(_RANGES, (self.scale, self.centre, self.baseline), strict=True))


def read_calibration(directory: Path) -> Calibration | None:
    """Read ``detection.json`` from beside a checkpoint; None if there is none."""
    path = directory / "detection.json"
    try:
        content = read_json(path, MOST_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, DamagedError) as error:
        raise ModelError(f"{path}: not a calibration: {explain(error)}") from error
    return calibration_of(content, f"{path}: not a calibration")


def calibration_of(content: object, where: str) -> Calibration:
    """Return the calibration in a JSON document; ModelError if it holds none."""
    if not isinstance(content, dict):
        raise ModelError(f"{where}: holds no mapping of scale, centre and ambience")
    for name, allowed in _RANGES.items():
        check(content.get(name), allowed, f"{where}: {name}")
    return Calibration(*(float(content[name]) for name in _RANGES))
