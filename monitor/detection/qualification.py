"""Qualification: calibration, cohort and figures of one checkpoint, measured on the calibration kit."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.detection.calibration import Calibration
from monitor.detection.cohort import Cohort

GUESSING = 0.6
"""A checkpoint whose mean AUROC is surely below is refused: guessing gives 0.5, the starter 0.9 and more."""

_FORMATS = {"bfloat16": "16-bit", "float16": "16-bit"}
"""Number formats that give nearly the same embeddings; every other one is a class of its own."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value, with the interval that holds it in 95 of 100 draws."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a checkpoint is worth on the calibration kit."""

    auroc: Figure
    """Mean over the kit's labels of the AUROC of their windows in the calibration scenes, in [0, 1]."""
    recall: Mapping[str, Figure]
    """Share of the events that are found at a score of 0.5, by their SNR in dB ("20", "10", "5")."""
    false_alarms: Figure
    """Counted at a score of 0.5, per hour and label."""
    zero_shot: float
    """Share of the clean events whose label is the most similar of all, in [0, 1]."""
    window_seconds: float
    """Time to embed one window on this machine, in seconds."""
    cohort_windows: int
    scene_windows: int
    label_hours: float
    """Hours of the scenes times labels: what false alarms are counted over."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a qualification holds for."""

    identity: str
    """Of the checkpoint's files."""
    length: int
    """Samples in a window."""
    hop: int
    """Samples between two windows."""
    number_format: str
    """Of the model: ``float32``, ``16-bit``, ``int8`` (torch) or ``onnx int8``."""
    kit: int
    """Version of the calibration kit."""

    @property
    def key(self) -> str:
        """Return a hash of all of it, the name of the file in the state directory."""
        parts = (self.identity, self.length, self.hop, self.number_format, self.kit)
        return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]


def number_format(dtype: str, engine: str = "torch") -> str:
    """Return the class of a number format: formats of one class share a qualification."""
    rounded_otherwise = dtype == "int8" and engine == "onnx"
    return "onnx int8" if rounded_otherwise else _FORMATS.get(dtype, dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Qualification:
    """Figures and calibration of one checkpoint, for one length and hop of windows."""

    setup: Setup
    calibration: Calibration
    cohort: Cohort
    figures: Figures
    made_at: float = field(default_factory=time.time)
    """Unix seconds."""

    @property
    def guessing(self) -> bool:
        """Whether the checkpoint cannot tell sounds apart: its AUROC is surely that of a guess."""
        return self.figures.auroc.high < GUESSING


def calibration_status(qualification: Qualification | None, identity: str) -> dict[str, Any]:
    """Return which calibration holds, ready for JSON.

    ``source`` is ``shipped`` for one that came with the checkpoint, and ``qualified`` for one that was
    measured on this machine.  Everything else is None for a checkpoint that came without figures.

    Parameters
    ----------
    qualification : Qualification or None
        As in the engine.
    identity : str
        Of the checkpoint.
    """
    if qualification is None:
        unknown = ("kit", "made_at", "auroc", "recall", "false_alarms", "zero_shot")
        return {"source": "shipped"} | dict.fromkeys(unknown)
    figures = qualification.figures
    return {
        "source": "qualified" if qualification.setup.identity == identity else "shipped",
        "kit": qualification.setup.kit,
        "made_at": round(qualification.made_at, 3),
        "auroc": round(figures.auroc.value, 3),
        "recall": {snr: round(each.value, 3) for snr, each in figures.recall.items()},
        "false_alarms": round(figures.false_alarms.value, 3),
        "zero_shot": round(figures.zero_shot, 3),
    }
