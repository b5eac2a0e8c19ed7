"""Choice of the cohort: as many kinds of sound as there are, the freest licences first.

One sound after the other is taken that is least like those taken already, to the audio teacher.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from training.kit_listen import Heard
from training.kit_sources import Source
from training.sounds import class_phrases

PER_GROUP = 2
PER_FOLDER = 20
PER_PACKAGE = 100
PER_CLASS = 40
PER_LABEL = 25
"""Most sounds of one original, one folder, one package, one class of the teacher, one label."""

ALIKE = 0.985
"""Cosine from which on another sound brings nothing."""

RARE = 3
"""A share-alike licence is taken only where so few sounds of its class have another."""

SURE = 0.25
"""Score of the teacher from which on its class names a sound."""


def candidates(sources: Iterable[Source]) -> list[Source]:
    """Leave out what could not be chosen for its many equals, before anybody listens to it."""
    used: Counter[tuple[object, ...]] = Counter()
    kept = []
    for source in sources:
        rank = source.terms.rank
        keys = ("group", rank, *source.group), ("folder", rank, *source.folder)
        most = (3, 40) if rank == 0 else (1, 12)
        if source.label == "speech" and (rank or used["speech",] >= PER_LABEL):
            continue
        if all(used[key] < limit for key, limit in zip(keys, most, strict=True)):
            kept.append(source)
            used.update([*keys, ("speech",)] if source.label == "speech" else keys)
    return kept


def choose(heard: Sequence[Heard], most: int) -> list[Heard]:
    """Choose at most so many sounds, in the order in which they were taken."""
    chosen: list[Heard] = []
    used: Counter[tuple[str, ...]] = Counter()
    features = np.stack([one.features for one in heard])
    nearest = np.zeros(len(heard), dtype=np.float32)
    for rank in (0, 1):
        rare = Counter(one.scores.argmax() for one in chosen)
        open_ = np.array(
            [
                one.source.terms.rank == rank and (rank == 0 or rare[one.scores.argmax()] < RARE)
                for one in heard
            ]
        )
        while open_.any() and len(chosen) < most:
            index = int(np.argmin(np.where(open_, nearest, np.inf)))
            open_[index] = False
            if nearest[index] >= ALIKE or not _room(heard[index], used):
                continue
            chosen.append(heard[index])
            used.update(limits(heard[index]).keys())
            nearest = np.maximum(nearest, features @ features[index])
    return chosen


def limits(heard: Heard) -> dict[tuple[str, ...], int]:
    """What the number of sounds like this one is limited by, and to how many."""
    source = heard.source
    kind = ("class", str(heard.scores.argmax()))
    return {
        ("group", *source.group): PER_GROUP,
        ("folder", *source.folder): PER_FOLDER,
        ("package", source.package): PER_PACKAGE,
        kind: PER_CLASS if source.terms.rank == 0 else RARE,
        ("label", source.label or str(id(heard))): PER_LABEL,
    }


def name_of(heard: Heard, classes: Sequence[str]) -> str:
    """Label of a sound, else the teacher's class if it is sure, else nothing."""
    best = int(heard.scores.argmax())
    if heard.source.label:
        return heard.source.label.replace("_", " ")
    whole, *parts = class_phrases(classes[best])
    return (parts[0] if parts else whole) if heard.scores[best] >= SURE else ""


def _room(heard: Heard, used: Counter[tuple[str, ...]]) -> bool:
    return all(used[key] < most for key, most in limits(heard).items())
