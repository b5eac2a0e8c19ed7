"""Step `mix`: compose soundscapes and listen to them with the audio teacher.

The tower is then taught with what the teacher heard in exactly the same mixture, not with
guesses from the sounds that went into it: a function is learnt, and any sound will do for that.
(Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent".)
The teacher hears the loudest event of each second by itself, too: so the tower can learn to hear
through a bed what the teacher hears only without it.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
from collections.abc import Sequence

import numpy as np
from numpy.lib.format import open_memmap
from tqdm import trange

from training import geometry as g
from training.crops import Drawer
from training.places import Places
from training.sound import log_mel, resample
from training.sounds import find_sounds
from training.soundscape import LENGTH, ROW, ROWS, SECONDS, Composer, Soundscape
from training.store import load_clips, to_bytes
from training.workers import run
from training.yamnet import Heard, Yamnet, to_one_level

LOG = logging.getLogger(__name__)
FRAMES = 1 + LENGTH // g.HOP
"""Frames of a soundscape."""

PART_HOURS = 1.0
"""A run of `train` takes the parts that are finished when it starts."""


def mix(places: Places, hours: float, processes: int = 2) -> None:
    """Write ``hours`` of soundscapes in parts; those that are there stay.

    Raises
    ------
    ValueError
        There are no recordings, or nothing was mined.
    """
    for folder, step in ((places.audio, "prepare"), (places.mined, "mine")):
        if not load_clips(folder):
            raise ValueError(f"{folder}: no sounds: run the step `{step}` first")
    places.soundscapes.mkdir(parents=True, exist_ok=True)
    parts = range(math.ceil(hours / PART_HOURS))
    workers = [
        multiprocessing.Process(target=_write_parts, args=(places, parts[first::processes]))
        for first in range(processes)
    ]
    run(workers)


def _write_parts(places: Places, parts: Sequence[int]) -> None:
    os.setsid()  # Linux shares the cores out by session
    for part in parts:
        if not (places.soundscapes / f"labels{part}.npy").exists():
            _write_part(places, part, int(PART_HOURS * 3600 / SECONDS))


def _write_part(places: Places, part: int, count: int) -> None:
    rng = np.random.default_rng(part)
    recordings, mined = (Drawer(load_clips(folder), rng) for folder in (places.audio, places.mined))
    composer = Composer(recordings, mined, rng)
    yamnet = Yamnet(places.yamnet)
    _, sounds = find_sounds(places.class_map)
    index = {sound.name: i for i, sound in enumerate(sounds)}
    folder, rows = places.soundscapes, count * ROWS
    mel = open_memmap(folder / f"mel{part}.npy", "w+", np.uint8, (count * FRAMES, g.MELS))
    scores = open_memmap(folder / f"scores{part}.npy", "w+", np.float16, (rows, g.CLASSES))
    features = open_memmap(folder / f"features{part}.npy", "w+", np.float16, (rows, g.FEATURES))
    alone_scores = open_memmap(folder / f"alone_scores{part}.npy", "w+", np.float16, (rows, g.CLASSES))
    alone_features = open_memmap(folder / f"alone_features{part}.npy", "w+", np.float16, (rows, g.FEATURES))
    leads = np.empty(rows, dtype=np.float32)
    starts = np.empty(rows, dtype=np.int64)
    labels = np.empty(rows, dtype=np.int16)
    for i in trange(count, desc=f"part {part}", mininterval=10, disable=part > 0):
        scape = composer.compose()
        heard = yamnet(resample(scape.wave, g.RATE, g.TEACHER_RATE), leveled=True)
        own = slice(i * ROWS, (i + 1) * ROWS)
        mel[i * FRAMES : (i + 1) * FRAMES] = to_bytes(log_mel(scape.wave))
        scores[own], features[own] = heard.scores[:ROWS], heard.features[:ROWS]
        alone = hear_alone(yamnet, scape)
        alone_scores[own], alone_features[own] = alone.scores, alone.features
        leads[own] = scape.leads.decibels
        starts[own] = i * FRAMES + np.rint(np.arange(ROWS) * ROW / g.HOP).astype(np.int64)
        labels[own] = [index.get(label, -1) for label in scape.labels]
    np.save(folder / f"starts{part}.npy", starts)
    np.save(folder / f"leads{part}.npy", leads)
    np.save(folder / f"labels{part}.npy", labels)


def hear_alone(yamnet: Yamnet, scape: Soundscape) -> Heard:
    """What the teacher makes of the loudest event of each second by itself, zeros where there is none."""
    heard = Heard(np.zeros((ROWS, g.CLASSES), np.float16), np.zeros((ROWS, g.FEATURES), np.float16))
    for event in np.unique(scape.leads.events[scape.leads.events >= 0]):
        wave = resample(scape.events[event], g.RATE, g.TEACHER_RATE)
        for row in np.flatnonzero(scape.leads.events == event):
            start = row * g.TEACHER_HOP
            frame = to_one_level(wave[start : start + g.TEACHER_WINDOW])
            heard.scores[row], heard.features[row] = yamnet.listen(frame)
    return heard
