"""Step `prepare`: decode everything once; keep samples, and for the tuning set what it is asked."""

from __future__ import annotations

import json
import logging
import multiprocessing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training import geometry as g
from training.places import Places
from training.recordings import LONGEST_S, Recording, find_recordings
from training.sound import Samples, level, log_mel, read_sound, resample
from training.yamnet import Yamnet

LOG = logging.getLogger(__name__)
SHORTEST_S = 0.1
"""Anything shorter is a click or a placeholder."""

QUIETEST = 1e-4
"""Peak below which a file counts as silent."""


def prepare(places: Places, processes: int = 2) -> None:
    """Write the parts that are missing, one for each process."""
    recordings = find_recordings(places)
    train = [recording for recording in recordings if recording.split == "train"]
    places.audio.mkdir(parents=True, exist_ok=True)
    LOG.info("%d recordings, %d of them held back", len(recordings), len(recordings) - len(train))
    workers = [
        multiprocessing.Process(target=_write_part, args=(places, part, train[part::processes]))
        for part in range(processes)
        if not (places.audio / f"{part}.json").exists()
    ]
    for worker in workers:
        worker.start()
    if not (places.audio / "held_back.json").exists():
        _write_held_back(places, [recording for recording in recordings if recording.split == "tune"])
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise RuntimeError(f"a part failed with exit code {worker.exitcode}")


def _write_part(places: Places, part: int, recordings: list[Recording]) -> None:
    waves, entries = [], []
    for recording in tqdm(recordings, desc=f"part {part}", mininterval=10, disable=part > 0):
        wave = _load(recording.path)
        if wave is not None:
            waves.append(np.rint(wave * 32767).astype(np.int16))
            entries.append(_entry(recording, samples=len(wave)))
    np.save(places.audio / f"wave{part}.npy", np.concatenate(waves))
    (places.audio / f"{part}.json").write_text(json.dumps(entries))


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


def _entry(recording: Recording, **lengths: int) -> dict[str, str | int]:
    names = {"label": recording.label, "source": recording.source, "path": str(recording.path)}
    return names | lengths


def _load(path: Path) -> Samples | None:
    """The recording at 48 kHz, its loudest second at -20 dBFS."""
    try:
        sound, rate = read_sound(path, LONGEST_S)
    except (RuntimeError, OSError) as error:  # libsndfile's error is a RuntimeError
        LOG.warning("%s: %s", path.name, error)
        return None
    if len(sound) < SHORTEST_S * rate or np.abs(sound).max() < QUIETEST:
        return None
    return resample(level(sound, rate), rate, g.RATE)
