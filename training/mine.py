"""Step `mine`: look for sounds of rare kinds among those that nobody recorded.

Of the seconds of thirty hours of soundscapes one in seven hundred was a cough to the teacher, one in three
thousand a doorbell: a tower that is to imitate it there has hardly anything to go by.  So recordings made
strange and sounds made from nothing are drawn by the ten thousand, and those are kept that the teacher takes
for a kind of which there are few; what is kept is changed again or crossed with others of its kind, and kept
if it still is one.  Nothing gets a label: the teacher judges the mixture, as everywhere.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from training import geometry as g
from training.augment import leveled
from training.crops import Drawer
from training.places import Places
from training.sound import Samples, level, log_mel, resample
from training.sounds import find_sounds
from training.store import load_clips, to_float32, to_int16, write_clips
from training.strange import change, cross, strange
from training.synth import synthesise
from training.teacher import Teacher, load_teacher
from training.tower import AudioTower, ears_of, frozen
from training.workers import run
from training.yamnet import Heard, Yamnet

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
HOP = 2 * g.TEACHER_HOP
"""Samples of the teacher between the seconds that it hears."""

UNLIKE = 0.3
"""One less the cosine between tower and teacher, from which on a sound is one that the tower has to learn: in
the tuning half of the scenes it is .33 where there is an event, .08 for dogs, of which there is enough."""


@dataclass(frozen=True)
class Found:
    """A sound and how often it was changed."""

    wave: npt.NDArray[np.int16]
    """Shape (samples,), 48 kHz, full scale at 32768."""
    generation: int

    @property
    def samples(self) -> Samples:
        """The same at full scale 1."""
        return to_float32(self.wave)


@dataclass
class Pool:
    """What was found, by class."""

    wanted: npt.NDArray[np.intp]
    """Classes that are looked for."""
    kept: dict[int, list[Found]] = field(default_factory=dict)

    def offer(self, found: Found, heard: Heard, pupil: Pupil | None = None) -> bool:
        """Keep a sound, if it is of a kind that is wanted: as the one of which there are fewest.

        Parameters
        ----------
        heard
            What the teacher makes of its seconds, one at each `HOP`.
        pupil
            Who has to err in the second that is most like that kind, None if that is not asked.
        """
        scores = heard.scores[:, self.wanted].astype(np.float32)
        kinds = [int(kind) for kind in self.wanted[scores.max(axis=0) >= SURE]]
        if not kinds:
            return False
        rarest = min(kinds, key=lambda kind: len(self.kept.get(kind, ())))
        if len(self.kept.get(rarest, ())) >= MOST:
            return False
        if pupil is not None and not pupil.errs(found.samples, heard, int(heard.scores[:, rarest].argmax())):
            return False
        self.kept.setdefault(rarest, []).append(found)
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


class Pupil:
    """A tower that has learnt for some time: only what it still gets wrong is of use to it."""

    def __init__(self, tower: AudioTower, teacher: Teacher) -> None:
        self._tower, self._teacher = tower, teacher

    @torch.inference_mode()
    def errs(self, wave: Samples, heard: Heard, row: int) -> bool:
        """Whether it hears another thing than the teacher in the second that begins at a row's hop."""
        start = row * HOP * g.RATE // g.TEACHER_RATE
        second = wave[start : start + g.WINDOW]
        second = np.pad(second, (0, g.WINDOW - len(second)))
        mel = leveled(torch.from_numpy(log_mel(second)[None]))
        taught = self._teacher.sound(torch.from_numpy(heard.features[row : row + 1].astype(np.float32)))
        return float(1 - (self._tower(mel[:, None]) * taught).sum()) >= UNLIKE


def mine(places: Places, minutes: float, start: Path | None = None, processes: int = 2) -> None:
    """Look for ``minutes``, and add a part for each process to what is there.

    With a checkpoint to ``start`` from only such sounds are kept as it hears otherwise than the teacher.
    """
    places.mined.mkdir(parents=True, exist_ok=True)
    there = len(list(places.mined.glob("[0-9]*.json")))
    workers = [
        multiprocessing.Process(target=write_part, args=(places, part, minutes, start))
        for part in range(there, there + processes)
    ]
    run(workers)


def write_part(places: Places, part: int, minutes: float, start: Path | None = None) -> None:
    """Look for ``minutes`` and write what was found."""
    os.setsid()  # Linux shares the cores out by session
    rng = np.random.default_rng([part, 12])
    pool = Pool(wanted_kinds(places))
    pupil = load_pupil(places, start) if start else None
    drawer, yamnet = Drawer(load_clips(places.audio), rng), Yamnet(places.yamnet)
    end, asked = time.monotonic() + 60 * minutes, 0
    with tqdm(desc=f"part {part}", mininterval=10, disable=part % 2 > 0) as bar:
        while time.monotonic() < end:
            found = candidate(pool, drawer, rng)
            asked += 1
            heard = yamnet(resample(found.samples, g.RATE, g.TEACHER_RATE), leveled=True, hop=HOP)
            bar.update(pool.offer(found, heard, pupil))
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
    return Found(to_int16(loud), generation)


def load_pupil(places: Places, start: Path) -> Pupil:
    """The audio tower of a checkpoint, beside the teacher."""
    torch.set_num_threads(1)
    return Pupil(frozen(ears_of(start)), load_teacher(places.runs / "teacher.pt"))


def _write(places: Places, part: int, kept: dict[int, list[Found]]) -> None:
    waves: list[npt.NDArray[np.int16]] = []
    entries: list[dict[str, str | int]] = []
    for kind, own in sorted(kept.items()):
        for found in own:
            waves.append(found.wave)
            entries.append({"label": "", "source": "mined", "heard": kind, "samples": len(found.wave)})
    write_clips(places.mined, part, waves, entries)
