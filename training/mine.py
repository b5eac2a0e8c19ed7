"""Step `mine`: look for sounds of rare kinds among those that nobody recorded.

Of the seconds of thirty hours of soundscapes one in seven hundred was a cough to the teacher, one in three
thousand a doorbell: a tower that is to imitate it there has hardly anything to go by.  So recordings made
strange and sounds made from nothing are drawn by the ten thousand, and those are kept that the teacher takes
for a kind of which there are few; what is kept is changed again or crossed with others of its kind, and kept
if it still is one.  Nothing gets a label: the teacher judges the mixture, as everywhere.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from training import geometry as g
from training.crops import Drawer
from training.places import Places
from training.sound import Samples, level, resample
from training.sounds import find_sounds
from training.store import load_clips
from training.strange import change, cross, strange
from training.synth import synthesise
from training.yamnet import Yamnet

LOG = logging.getLogger(__name__)
SURE = 0.3
"""Score from which on the teacher takes a sound for something."""

MOST = 100
"""Sounds kept of a kind, in each process."""

CHANGED, MADE = 0.5, 0.2
"""Shares of the candidates that are kept sounds changed again, and sounds made from nothing; the others
are recordings made strange."""

CROSSED = 0.4
"""Share of the changed ones that have something of another sound of their kind."""

GENERATIONS = 4
"""Changes of changes of changes please the teacher, and are less and less like anything."""

SECONDS = (0.5, 2.5)


@dataclass(frozen=True)
class Found:
    """A sound and how often it was changed."""

    wave: npt.NDArray[np.int16]
    """Shape (samples,), 48 kHz, full scale at 32768."""
    generation: int

    @property
    def samples(self) -> Samples:
        """The same at full scale 1."""
        return self.wave.astype(np.float32) / 32768


@dataclass
class Pool:
    """What was found, by class."""

    wanted: npt.NDArray[np.intp]
    """Classes that are looked for."""
    kept: dict[int, list[Found]] = field(default_factory=dict)

    def offer(self, found: Found, scores: npt.NDArray[np.float32]) -> bool:
        """Keep a sound, if it is of a kind that is wanted: as the one of which there are fewest.

        Parameters
        ----------
        scores
            Of the teacher's classes, shape (CLASSES,).
        """
        kinds = [int(kind) for kind in self.wanted[scores[self.wanted] >= SURE]]
        if not kinds:
            return False
        rarest = min(kinds, key=lambda kind: len(self.kept.get(kind, ())))
        own = self.kept.setdefault(rarest, [])
        if len(own) >= MOST:
            return False
        own.append(found)
        return True

    def parents(self, rng: np.random.Generator) -> tuple[Found, Found] | None:
        """Two sounds of one kind, rare kinds more often; None before there is any to be changed."""
        kinds = [kind for kind, own in self.kept.items() if len(own) < MOST]
        if not kinds:
            return None
        weights = np.array([len(self.kept[kind]) ** -0.5 for kind in kinds])
        own = self.kept[kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]]
        first, other = (own[int(rng.integers(len(own)))] for _ in range(2))
        return (first, other) if first.generation < GENERATIONS else None


def mine(places: Places, minutes: float, processes: int = 2) -> None:
    """Look for ``minutes``, and write a part for each process."""
    places.mined.mkdir(parents=True, exist_ok=True)
    workers = [
        multiprocessing.Process(target=write_part, args=(places, part, minutes)) for part in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise RuntimeError(f"a part failed with exit code {worker.exitcode}")


def write_part(places: Places, part: int, minutes: float) -> None:
    """Look for ``minutes`` and write what was found."""
    os.setsid()  # Linux shares the cores out by session
    rng = np.random.default_rng([part, 12])
    pool = Pool(wanted_kinds(places))
    drawer, yamnet = Drawer(load_clips(places.audio), rng), Yamnet(places.yamnet)
    end, asked = time.monotonic() + 60 * minutes, 0
    with tqdm(desc=f"part {part}", mininterval=10, disable=part > 0) as bar:
        while time.monotonic() < end:
            found = candidate(pool, drawer, rng)
            asked += 1
            bar.update(pool.offer(found, heard(yamnet, found.samples)))
    count = sum(len(own) for own in pool.kept.values())
    LOG.info("part %d: %d of %d kept, of %d kinds", part, count, asked, len(pool.kept))
    _write(places, part, pool.kept)


def wanted_kinds(places: Places) -> npt.NDArray[np.intp]:
    """Classes that some label is one of: the others come often enough, or nobody asks for them."""
    _, sounds = find_sounds(places.class_map)
    return np.unique([kind for sound in sounds for kind in sound.classes])


def candidate(pool: Pool, drawer: Drawer, rng: np.random.Generator) -> Found:
    """Something new, its loudest second at one level."""
    share, seconds = rng.random(), rng.uniform(*SECONDS)
    parents = pool.parents(rng) if share < CHANGED else None
    generation = 0
    if parents is not None:
        first, other = parents
        generation = first.generation + 1
        crossed = rng.random() < CROSSED
        wave = cross(other.samples, first.samples, rng) if crossed else change(first.samples, rng)
    elif share < CHANGED + MADE:
        wave = synthesise(rng, seconds)
    else:
        length = int(seconds * g.RATE)
        (_, wave), (_, other_wave) = drawer.draw(length), drawer.draw(length)
        wave = strange(wave, other_wave, rng)
    loud = level(wave[: int(SECONDS[1] * g.RATE)], g.RATE)
    return Found(np.rint(loud * 32767).astype(np.int16), generation)


def heard(yamnet: Yamnet, wave: Samples) -> npt.NDArray[np.float32]:
    """The highest score of every class in any second, shape (CLASSES,)."""
    rows = yamnet(resample(wave, g.RATE, g.TEACHER_RATE), leveled=True, hop=2 * g.TEACHER_HOP)
    return rows.scores.astype(np.float32).max(axis=0)


def _write(places: Places, part: int, kept: dict[int, list[Found]]) -> None:
    waves, entries = [], []
    for kind, own in sorted(kept.items()):
        for found in own:
            waves.append(found.wave)
            entries.append({"label": "", "source": "mined", "heard": kind, "samples": len(found.wave)})
    np.save(places.mined / f"wave{part}.npy", np.concatenate(waves))
    (places.mined / f"{part}.json").write_text(json.dumps(entries))
