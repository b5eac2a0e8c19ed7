"""Step `prepare`: decode everything once; keep samples, and for the tuning set what it is asked.

Of the further packages the teacher hears everything: to tell what is like what, and to leave out what
is in a test set under another name.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training import geometry as g
from training.places import Places
from training.recordings import LONGEST_S, Recording, find_further, find_recordings
from training.sound import Samples, level, log_mel, read_sound, resample
from training.store import to_int16, write_clips
from training.twins import ALIKE, Directions, directions, evaluated, likeness
from training.workers import finish
from training.yamnet import Yamnet

LOG = logging.getLogger(__name__)
SHORTEST_S = 0.1
"""Anything shorter is a click or a placeholder."""

QUIETEST = 1e-4
"""Peak below which a file counts as silent."""

FURTHER_S = 20.0
"""Seconds kept of one recording of a further package, a third of which are music."""


def prepare(places: Places, processes: int = 2) -> None:
    """Write the parts that are missing, one for each process."""
    recordings = find_recordings(places)
    train = [recording for recording in recordings if recording.split == "train"]
    places.audio.mkdir(parents=True, exist_ok=True)
    LOG.info("%d recordings, %d of them held back", len(recordings), len(recordings) - len(train))
    workers = [
        multiprocessing.Process(target=_write_part, args=(places, part, train[part::processes]))
        for part in range(processes)
        if not _table(places, part).exists()
    ]
    missing = [part for part in range(processes) if not _table(places, processes + part).exists()]
    further = list(find_further(places)) if missing else []
    if further:
        known = _hear_evaluated(places, recordings)
        workers += [
            multiprocessing.Process(
                target=_write_further, args=(places, processes + part, further[part::processes], known)
            )
            for part in missing
        ]
    for worker in workers:
        worker.start()
    if not (places.audio / "held_back.json").exists():
        _write_held_back(places, [recording for recording in recordings if recording.split == "tune"])
    finish(workers)


def _write_part(places: Places, part: int, recordings: list[Recording]) -> None:
    waves, entries = [], []
    for recording in tqdm(recordings, desc=f"part {part}", mininterval=10, disable=part > 0):
        wave = _load(recording.path)
        if wave is not None:
            waves.append(to_int16(wave))
            entries.append(_entry(recording, samples=len(wave)))
    write_clips(places.audio, part, waves, entries)


def _write_further(places: Places, part: int, recordings: list[Recording], known: Directions) -> None:
    yamnet = Yamnet(places.yamnet)
    waves, entries = [], []
    for recording in tqdm(recordings, desc=f"part {part}", mininterval=10, disable=part % 2 > 0):
        wave = _load(recording.path, FURTHER_S)
        if wave is None:
            continue
        heard = yamnet(resample(wave, g.RATE, g.TEACHER_RATE), leveled=True)
        alike = likeness(directions(heard.features), known)
        if alike >= ALIKE:
            LOG.info("left out, %.2f like something evaluated: %s", alike, recording.path)
            continue
        waves.append(to_int16(wave))
        kind = int(heard.scores.astype(np.float32).mean(axis=0).argmax())
        entries.append(_entry(recording, samples=len(wave), heard=kind))
    write_clips(places.audio, part, waves, entries)


def _hear_evaluated(places: Places, recordings: list[Recording]) -> Directions:
    """What the teacher makes of every second of what is evaluated, shape (rows, FEATURES)."""
    yamnet = Yamnet(places.yamnet)
    waves = (_load(path) for path in evaluated(places, recordings))
    heard = [
        directions(yamnet(resample(wave, g.RATE, g.TEACHER_RATE), leveled=True).features)
        for wave in waves
        if wave is not None
    ]
    return np.concatenate(heard)


def _write_held_back(places: Places, recordings: list[Recording]) -> None:
    yamnet = Yamnet(places.yamnet)
    mels, features, entries = [], [], []
    for recording in recordings:
        wave = _load(recording.path)
        if wave is not None:
            mels.append(log_mel(wave))
            features.append(yamnet(resample(wave, g.RATE, g.TEACHER_RATE)).features)
            entries.append(_entry(recording, frames=len(mels[-1]), rows=len(features[-1])))
    np.savez(places.audio / "held_back.npz", mel=np.concatenate(mels), features=np.concatenate(features))
    (places.audio / "held_back.json").write_text(json.dumps(entries))


def _table(places: Places, part: int) -> Path:
    return places.audio / f"{part}.json"


def _entry(recording: Recording, **lengths: int) -> dict[str, str | int]:
    names = {"label": recording.label, "source": recording.source, "path": str(recording.path)}
    return names | lengths


def _load(path: Path, longest_s: float = LONGEST_S) -> Samples | None:
    """The recording at 48 kHz, its loudest second at -20 dBFS."""
    try:
        sound, rate = read_sound(path, longest_s)
    except (RuntimeError, OSError) as error:  # libsndfile's error is a RuntimeError
        LOG.warning("%s: %s", path.name, error)
        return None
    if len(sound) < SHORTEST_S * rate or np.abs(sound).max() < QUIETEST:
        return None
    return resample(level(sound, rate), rate, g.RATE)
