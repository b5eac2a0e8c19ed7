"""Recordings: those to train on, those kept for tuning, and what they are called."""

from __future__ import annotations

import csv
import gzip
import random
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.packages import packages, sounds_of
from training.places import Places

Split = Literal["train", "tune"]

ESC10_LABELS = {"fire_crackling": "fire_crackle", "person_sneeze": "sneeze"}
"""Folder names of ESC-10 that the corpus calls differently."""

TRAINING_FOLDS = (1, 2, 3)
TUNING_FOLD = 3
"""Fold 4 is the bar: nothing in this file may read it."""

CAPS_S = {"speech": 5_000.0, "music": 6_000.0}
"""Most seconds kept of the two labels that would otherwise be four fifths of the audio."""

PER_PACKAGE_S = {"speech": 600.0, "music": 1_500.0}
LONGEST_S = 40.0
"""Seconds kept of one recording; the cut is placed by a hash of its path."""


@dataclass(frozen=True)
class Recording:
    """One file of sound.  ``label`` is empty where nobody named it."""

    path: Path
    source: Literal["esc10", "corpus", "donateacry", "further"]
    label: str
    caption: str
    split: Split


def find_recordings(places: Places, seed: int = 0) -> list[Recording]:
    """List everything trained or tuned on, in a fixed order."""
    return [*_esc10(places.data), *_donateacry(places.data), *_corpus(places, seed)]


def find_further(places: Places) -> Iterator[Recording]:
    """List what is in the packages of `packages.csv`; all of it without a label, and trained on."""
    for package in packages():
        for path in sounds_of(places.packages / package.name):
            yield Recording(path, "further", "", "", "train")


def _esc10(data: Path) -> Iterator[Recording]:
    for path in sorted((data / "esc10").glob("*/*.ogg")):
        fold, original, _ = path.stem.split("-")
        if int(fold) in TRAINING_FOLDS:
            label = ESC10_LABELS.get(path.parent.name, path.parent.name)
            tune = int(fold) == TUNING_FOLD and _one_in(2, original)
            yield Recording(path, "esc10", label, "", "tune" if tune else "train")


def _donateacry(data: Path) -> Iterator[Recording]:
    for path in sorted((data / "donateacry").glob("*.flac")):
        yield Recording(path, "donateacry", "baby_cry", "a baby crying", "train")


def _corpus(places: Places, seed: int) -> Iterator[Recording]:
    with gzip.open(places.manifest, "rt") as file:
        rows = list(csv.DictReader(file))
    random.Random(seed).shuffle(rows)
    for row in _capped(without_evaluated(rows, evaluated_paths(places.data))):
        path = places.packages / row["package"] / row["path"]
        if path.exists():
            label = "" if row["confidence"] == "low" else row["label"]
            rare = label not in ("", "speech", "music")
            tune = rare and _one_in(6, row["dup_group"] or row["pcm_hash"])
            split: Split = "tune" if tune else "train"
            yield Recording(path, "corpus", label, row["caption"], split)


def evaluated_paths(data: Path) -> set[str]:
    """Paths, as in the manifest, of the recordings that `eval-dev` is cut from."""
    with (data / "eval-dev" / "clips.csv").open() as file:
        return {row["source_path"].partition("/")[2] for row in csv.DictReader(file)}


def without_evaluated(rows: Iterable[dict[str, str]], evaluated: set[str]) -> list[dict[str, str]]:
    """Drop evaluated recordings and all but one of each group of duplicates."""
    rows = list(rows)
    tainted = {row["dup_group"] for row in rows if row["path"] in evaluated} - {""}
    seen: set[str] = set()
    kept = []
    for row in rows:
        key = row["dup_group"] or row["pcm_hash"]
        placeholder = row["caption"].startswith("(")
        if key in seen or key in tainted or row["path"] in evaluated or placeholder:
            continue
        seen.add(key)
        kept.append(row)
    return kept


def _capped(rows: Iterable[dict[str, str]]) -> Iterator[dict[str, str]]:
    used: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for row in rows:
        label, package = row["label"], row["package"]
        seconds = min(float(row["duration_s"]), LONGEST_S)
        full = used[label,] >= CAPS_S.get(label, float("inf"))
        if full or used[label, package] >= PER_PACKAGE_S.get(label, float("inf")):
            continue
        used[label,] += seconds
        used[label, package] += seconds
        yield row


def _one_in(n: int, key: str) -> bool:
    return zlib.crc32(key.encode()) % n == 0
