"""Step `prepare`: decode everything once; keep log-mel and what the teacher hears."""

from __future__ import annotations

import json
import logging
import multiprocessing
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training import geometry as g
from training.places import Places
from training.recordings import LONGEST_S, Recording, find_recordings
from training.sound import level, log_mel, read_sound, resample
from training.yamnet import Yamnet

LOG = logging.getLogger(__name__)
SHORTEST_S = 0.1
"""Anything shorter is a click or a placeholder."""

QUIETEST = 1e-4
"""Peak below which a file counts as silent."""


def prepare(places: Places, processes: int = 2) -> None:
    """Write the parts that are missing, one for each process."""
    recordings = find_recordings(places)
    places.audio.mkdir(parents=True, exist_ok=True)
    LOG.info("%d recordings", len(recordings))
    workers = [
        multiprocessing.Process(target=_write_part, args=(places, part, recordings[part::processes]))
        for part in range(processes)
        if not (places.audio / f"{part}.json").exists()
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise RuntimeError(f"a part failed with exit code {worker.exitcode}")


def _write_part(places: Places, part: int, recordings: list[Recording]) -> None:
    yamnet = Yamnet(places.yamnet)
    mels, scores, features, entries = [], [], [], []
    for recording in tqdm(recordings, desc=f"part {part}", mininterval=10, disable=part > 0):
        sound = _load(recording.path)
        if sound is None:
            continue
        wide, narrow = sound
        mel, heard = log_mel(wide).astype(np.float16), yamnet(narrow)
        mels.append(mel)
        scores.append(heard.scores)
        features.append(heard.features)
        lengths = {"frames": len(mel), "rows": len(heard.scores)}
        entries.append(asdict(recording) | {"path": str(recording.path)} | lengths)
    folder = places.audio
    np.save(folder / f"mel{part}.npy", np.concatenate(mels))
    np.save(folder / f"scores{part}.npy", np.concatenate(scores))
    np.save(folder / f"features{part}.npy", np.concatenate(features))
    (folder / f"{part}.json").write_text(json.dumps(entries))


def _load(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The recording at 48 and at 16 kHz, its loudest second at -20 dBFS."""
    try:
        sound, rate = read_sound(path, LONGEST_S)
    except (RuntimeError, OSError) as error:  # libsndfile's error is a RuntimeError
        LOG.warning("%s: %s", path.name, error)
        return None
    if len(sound) < SHORTEST_S * rate or np.abs(sound).max() < QUIETEST:
        return None
    sound = level(sound, rate)
    return resample(sound, rate, g.RATE), resample(sound, rate, g.TEACHER_RATE)
