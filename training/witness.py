"""Windows that the audio tower of a checkpoint and the audio teacher hear both.

Of the soundscapes, and of the mined sounds by themselves: in hours of soundscapes keys jangle twice, and
nothing can be learnt from that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from training import geometry as g
from training.augment import leveled
from training.batches import audible, choices, draw_rows
from training.crops import Drawer
from training.places import Places
from training.sound import Samples, log_mel, resample
from training.store import Clip, Soundscapes, load_clips, to_decibels, to_float32
from training.tower import AudioTower
from training.yamnet import Yamnet, to_one_level

OF_PART, OF_MINED = 9_000, 2_000
"""Windows that are drawn of each part of the soundscapes, and mined sounds."""

SNR_DB = ((5.0, 20.0), (-2.0, 8.0))
"""Each mined sound is heard by itself, and twice in something else, so far above that."""

BATCH = 64


@dataclass(frozen=True)
class Heard:
    """Windows as both hear them."""

    embeddings: npt.NDArray[np.float32]
    """The tower's, shape (windows, DIM)."""
    scores: npt.NDArray[np.float32]
    """The teacher's, of the window or of its loudest event by itself if that is audible and scores higher,
    shape (windows, CLASSES)."""
    labels: npt.NDArray[np.int64]
    """Label that stands out, -1 without one, shape (windows,)."""


def hear_soundscapes(part: Soundscapes, tower: AudioTower, rng: np.random.Generator) -> Heard:
    """Hear windows of a part, drawn as for the training of the tower."""
    rows = np.unique(draw_rows(part, OF_PART, rng, choices(part)))
    heard = audible(part.leads[rows])[:, None]
    embeddings = [
        _embed(tower, to_decibels(np.stack([part.mel[at : at + g.FRAMES] for at in part.starts[few]])))
        for few in np.array_split(rows, -(-len(rows) // BATCH))
    ]
    scores = np.maximum(part.scores[rows], part.alone_scores[rows] * heard).astype(np.float32)
    return Heard(np.concatenate(embeddings), scores, part.labels[rows].astype(np.int64))


def hear_mined(places: Places, tower: AudioTower, rng: np.random.Generator) -> Heard:
    """Hear mined sounds, by themselves and in recordings."""
    yamnet, drawer = Yamnet(places.yamnet), Drawer(load_clips(places.audio), rng)
    clips = load_clips(places.mined)
    mels, scores = [], []
    for number in rng.permutation(len(clips))[:OF_MINED]:
        second = loudest_second(clips[number])
        alone = np.zeros(g.CLASSES, np.float16)
        for snr in (None, *(rng.uniform(*limits) for limits in SNR_DB)):
            mixture = second if snr is None else mixed(second, drawer.draw(g.WINDOW)[1], snr)
            frame = resample(mixture, g.RATE, g.TEACHER_RATE)[: g.TEACHER_WINDOW]
            own, _ = yamnet.listen(to_one_level(frame))
            alone = own if snr is None else alone
            heard = 1.0 if snr is None else float(audible(np.array([snr], np.float32))[0])
            scores.append(np.maximum(own, alone * heard).astype(np.float32))
            mels.append(log_mel(mixture)[: g.FRAMES])
    parts = np.array_split(np.stack(mels), -(-len(mels) // BATCH))
    embeddings = np.concatenate([_embed(tower, few) for few in parts])
    return Heard(embeddings, np.stack(scores), np.full(len(scores), -1))


def loudest_second(clip: Clip) -> Samples:
    """The loudest window of a clip, shape (WINDOW,), with silence behind a shorter one."""
    wave = np.pad(to_float32(clip.wave), (0, max(0, g.WINDOW - len(clip.wave))))
    power = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    start = int(np.argmax(power[g.WINDOW :] - power[: -g.WINDOW]))
    return wave[start : start + g.WINDOW]


def mixed(sound: Samples, bed: Samples, snr: float) -> Samples:
    """A sound ``snr`` decibels above a bed, which is repeated if it is shorter."""
    bed = np.resize(bed, len(sound))
    gain = _rms(sound) / max(_rms(bed), 1e-6) * 10 ** (-snr / 20)
    return (sound + bed * np.float32(gain)).astype(np.float32)


def joined(several: list[Heard]) -> Heard:
    """All of them as one."""
    return Heard(
        np.concatenate([heard.embeddings for heard in several]),
        np.concatenate([heard.scores for heard in several]),
        np.concatenate([heard.labels for heard in several]),
    )


@torch.inference_mode()
def _embed(tower: AudioTower, decibels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = tower(leveled(torch.from_numpy(decibels))[:, None])
    return np.asarray(embeddings.float())


def _rms(wave: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
