"""Hearing of the sounds that may go into the calibration kit; those of an evaluation are left out.

A recording of an evaluation is recognised by its hash and its group of duplicates, which the manifest knows,
and by likeness: games take their sounds from the same collections as test sets do.
"""

from __future__ import annotations

import functools
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve
from tqdm import tqdm

from training import geometry as g
from training.kit_sources import Source
from training.places import Places
from training.sound import Samples, read_sound, resample
from training.twins import Directions, directions, evaluated
from training.yamnet import Yamnet

LOG = logging.getLogger(__name__)
LONGEST_S = 30.0
SECONDS = 1.1
"""Of a clip of the cohort: a window of the starter, and a bit for those whose hop does not fit."""

SHORTEST_S = 0.08
QUIETEST = 1e-3
LEAST_HZ = 3_000.0
"""A recording with nothing above is an old telephone's or a toy's."""

EVALUATED_HOP = 2 * g.TEACHER_HOP

ALIKE = 0.97
"""Cosine of the teacher's features from which on two sounds are taken for one."""

MAYBE_ALIKE = 0.93
CORRELATED = 0.4
"""Correlation of the samples, at the best lag, that decides between the two."""


@dataclass(frozen=True, eq=False)
class Heard:
    """A sound at 48 kHz, cut to what is used of it."""

    source: Source
    wave: Samples
    features: npt.NDArray[np.float32]
    """Shape (FEATURES,), length 1."""
    scores: npt.NDArray[np.float32]
    """Shape (CLASSES,)."""


class Evaluated:
    """Everything that something is measured on; what the teacher makes of it is kept in a file."""

    def __init__(self, places: Places, yamnet: Yamnet) -> None:
        places.kit.mkdir(parents=True, exist_ok=True)
        field = sorted((places.data / "field-dev").rglob("*.ogg"))
        self._paths = [*evaluated(places, []), *field]
        kept = places.kit / "evaluated.npz"
        if not kept.exists():
            heard = [self._hear(path, yamnet) for path in tqdm(self._paths, desc="evaluated", mininterval=10)]
            owners = [owner for owner, rows in enumerate(heard) for _ in rows]
            np.savez(kept, rows=np.concatenate(heard), owners=owners)
        with np.load(kept) as arrays:
            self._rows, self._owners = arrays["rows"], arrays["owners"]

    def has(self, wave: Samples, features: Directions) -> bool:
        """Whether ``wave``, at 16 kHz, of which the teacher made ``features``, is taken from one of them."""
        alike = (self._rows @ features.T).max(axis=1)
        if float(alike.max()) >= ALIKE:
            return True
        owners = np.unique(self._owners[alike >= MAYBE_ALIKE])
        return any(correlation(_small(self._paths[owner]), wave) >= CORRELATED for owner in owners)

    def _hear(self, path: Path, yamnet: Yamnet) -> Directions:
        return directions(yamnet(_small(path), leveled=True, hop=EVALUATED_HOP).features)


def correlation(one: Samples, other: Samples) -> float:
    """Largest normalised correlation of the shorter with any part of the longer, 0 to 1."""
    long, short = (one, other) if len(one) >= len(other) else (other, one)
    products = np.abs(fftconvolve(long, short[::-1], "valid"))
    power = np.cumsum(np.concatenate([[0.0], np.square(long, dtype=np.float64)]))
    norms = np.sqrt((power[len(short) :] - power[: len(power) - len(short)]) * np.sum(np.square(short)))
    loud = norms > 1e-3 * norms.max(initial=0.0)
    return float((products[loud] / norms[loud]).max(initial=0.0))


def listen(sources: Iterable[Source], places: Places) -> Iterator[Heard]:
    """Listen to the loudest second of each; leave out what is silent, dull, or evaluated.

    What was heard once is kept in the work directory.
    """
    yamnet = Yamnet(places.yamnet)
    known = Evaluated(places, yamnet)
    seen: set[int] = set()
    for source in tqdm(list(sources), desc="candidates", mininterval=10):
        wave = _cut(source.file)
        if wave is None:
            continue
        digest = zlib.crc32(np.round(wave * 1000).astype(np.int16).tobytes())
        if digest in seen:
            continue
        seen.add(digest)
        kept = places.kit / f"{digest:08x}.npz"
        if not kept.exists():
            small = resample(wave, g.RATE, g.TEACHER_RATE)
            heard = yamnet(small, leveled=True)
            features = directions(heard.features.astype(np.float32).mean(axis=0, keepdims=True))[0]
            scores = heard.scores.astype(np.float32).mean(axis=0)
            np.savez(kept, features=features, scores=scores, evaluated=known.has(small, features[None]))
        with np.load(kept) as arrays:
            if not arrays["evaluated"]:
                yield Heard(source, wave, arrays["features"], arrays["scores"])


def refuse_evaluated(waves: Mapping[str, Samples], places: Places) -> None:
    """Raise an error if a second of one of these sounds, at 48 kHz, is taken from an evaluation."""
    yamnet = Yamnet(places.yamnet)
    known = Evaluated(places, yamnet)
    found = []
    for name, wave in tqdm(waves.items(), desc="events and beds", mininterval=10):
        small = resample(wave, g.RATE, g.TEACHER_RATE)
        heard = directions(yamnet(small, leveled=True, hop=EVALUATED_HOP).features)
        if known.has(small, heard):
            found.append(name)
    if found:
        raise ValueError(f"taken from something evaluated, as it seems: {', '.join(found)}")


@functools.cache
def _small(path: Path) -> Samples:
    """A recording as the teacher hears it."""
    sound, rate = read_sound(path, LONGEST_S)
    return resample(sound, rate, g.TEACHER_RATE)


def _cut(path: Path) -> Samples | None:
    """The loudest `SECONDS` of a recording at 48 kHz; None if it is of no use."""
    try:
        sound, rate = read_sound(path, LONGEST_S)
    except (RuntimeError, OSError) as error:  # libsndfile's error is a RuntimeError
        LOG.warning("%s: %s", path.name, error)
        return None
    if len(sound) < SHORTEST_S * rate or np.abs(sound).max() < QUIETEST or rate / 2 < LEAST_HZ:
        return None
    length = min(len(sound), int(SECONDS * rate))
    power = np.cumsum(np.concatenate([[0.0], np.square(sound, dtype=np.float64)]))
    energy = power[length:] - power[: len(power) - length]
    start = int(np.argmax(energy >= 0.9 * energy.max()))  # the first that is nearly as loud as any
    return resample(sound[start : start + length], rate, g.RATE)
