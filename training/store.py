"""What `prepare` wrote, as one list of clips over memory maps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training import geometry as g

LOUD_DB = 20.0
"""A frame this much below the loudest of its recording holds nothing of its label."""


@dataclass(frozen=True)
class Clip:
    """A recording: log-mel in dB and what the teacher heard, with its label."""

    label: str
    source: str
    split: str
    mel: npt.NDArray[np.float16]
    """Shape (frames, MELS), `FRAMES_PER_S`."""
    scores: npt.NDArray[np.float16]
    """Shape (rows, CLASSES), one row every `TEACHER_HOP`."""
    features: npt.NDArray[np.float16]
    """Shape (rows, FEATURES)."""
    loud: npt.NDArray[np.intp]
    """Frames within `LOUD_DB` of the loudest."""

    def rows(self, start: int, stop: int) -> slice:
        """Teacher rows that lie in frames ``[start, stop)``, at least the nearest one."""
        per_row = g.TEACHER_HOP / g.TEACHER_RATE * g.FRAMES_PER_S
        width = g.TEACHER_WINDOW / g.TEACHER_RATE * g.FRAMES_PER_S
        slack = 0.15 * width
        first = int(np.ceil((start - slack) / per_row))
        last = int(np.floor((stop + slack - width) / per_row))
        if last < first:
            first = last = round(((start + stop) / 2 - width / 2) / per_row)
        first = min(max(first, 0), len(self.scores) - 1)
        return slice(first, max(min(last, len(self.scores) - 1), first) + 1)


def load_clips(folder: Path, split: str) -> list[Clip]:
    """All clips of a split; the arrays are read from disk when touched."""
    clips = []
    for part in sorted(folder.glob("?.json")):
        mel, scores, features = (
            np.load(folder / f"{name}{part.stem}.npy", mmap_mode="r")
            for name in ("mel", "scores", "features")
        )
        frame = row = 0
        for entry in json.loads(part.read_text()):
            frames = slice(frame, frame := frame + entry["frames"])
            rows = slice(row, row := row + entry["rows"])
            if entry["split"] == split:
                loud = loud_frames(mel[frames])
                named = entry["label"], entry["source"], split
                clips.append(Clip(*named, mel[frames], scores[rows], features[rows], loud))
    return clips


def loud_frames(mel: npt.NDArray[np.float16]) -> npt.NDArray[np.intp]:
    """Indices of frames within `LOUD_DB` of the loudest, by their strongest band."""
    strongest = mel.max(axis=1)
    return np.flatnonzero(strongest >= strongest.max() - LOUD_DB)
