"""Events in rooms, mixed into beds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import fftconvolve, resample_poly

from benchmarks.scene_sources import COUNTED, DISTRACTING, RATE, Clip, Samples, at_rms, faded, load

SNRS_DB = (20, 10, 5, 0)

SERIES = frozenset(
    [
        "alarm_beep",
        "car_horn",
        "cat_meow",
        "clock_tick",
        "cough",
        "coughing",
        "dog_bark",
        "duck_goose",
        "frog",
        "hen",
        "keyboard_typing",
        "laughter",
        "sheep_goat",
        "keys",
        "knocking",
        "telephone",
        "telephone_ring",
    ]
)
"""Sounds that seldom come alone: a clip shorter than 1.5 s is mostly repeated two to four times."""

_SHARE_OF_SERIES = 0.7
_LONGEST_SECONDS = 6.0
_QUIET = (6.0, 18.0)
"""Seconds between the end of an event and the next."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One event of a scene."""

    label: str
    onset: float
    """Seconds from the beginning of the scene."""
    offset: float
    snr_db: int


def plan(
    count: int,
    random: np.random.Generator,
    counted: Sequence[str] = COUNTED,
    distracting: Sequence[str] = DISTRACTING,
) -> list[tuple[str, int]]:
    """Labels and SNRs of ``count`` events in random order; every pair of the two as often as any other.

    One event in five is a distraction.
    """
    pairs = [(label, snr) for label in counted for snr in SNRS_DB]
    others = [(label, snr) for label in distracting for snr in SNRS_DB]
    chosen: list[tuple[str, int]] = []
    for pool, wanted in ((pairs, count - count // 5), (others, count // 5)):
        order: list[int] = []
        while len(order) < wanted:
            order += random.permutation(len(pool)).tolist()
        chosen += [pool[i] for i in order[:wanted]]
    return [chosen[i] for i in random.permutation(len(chosen))]


def rooms(count: int, random: np.random.Generator) -> list[Samples]:
    """Impulse responses of rooms of 2 to 8 m that die away in 0.15 to 0.6 s; the direct sound is 1, at 0."""
    import pyroomacoustics as pra

    responses: list[Samples] = []
    while len(responses) < count:
        size = random.uniform((2.5, 2.5, 2.3), (8.0, 6.0, 3.2))
        decay = random.uniform(0.15, 0.6)
        try:
            absorption, order = pra.inverse_sabine(decay, size)
        except ValueError:  # so short a decay that no wall is soft enough: another room
            continue
        room = pra.ShoeBox(size, fs=RATE, materials=pra.Material(absorption), max_order=min(order, 30))
        room.add_source(random.uniform(0.3, size - 0.3))
        room.add_microphone(random.uniform(0.3, size - 0.3))
        room.compute_rir()
        response = np.asarray(room.rir[0][0])
        direct = int(np.argmax(np.abs(response)))
        responses.append(faded_tail(response[direct:] / abs(response[direct])))
    return responses


def faded_tail(response: np.ndarray) -> Samples:
    """At most 0.6 s of a response, ending softly."""
    out = response[: int(0.6 * RATE)].astype(np.float32)
    length = min(len(out), RATE // 20)
    out[len(out) - length :] *= np.linspace(1, 0, length, dtype=np.float32)
    return out


def event(label: str, clips: Sequence[Clip], random: np.random.Generator) -> Samples:
    """One occurrence: a clip at a slightly other speed, or a short series of it."""
    clip = load(clips[int(random.integers(len(clips)))])
    clip = resample_poly(clip, int(random.integers(96, 105)), 100).astype(np.float32)
    if label in SERIES and len(clip) < 1.5 * RATE and random.random() < _SHARE_OF_SERIES:
        parts = [clip]
        for _ in range(int(random.integers(1, 4))):
            parts += [np.zeros(int(random.uniform(0.15, 0.7) * RATE), dtype=np.float32), clip]
        clip = np.concatenate(parts)
    return faded(clip[: int(_LONGEST_SECONDS * RATE)], RATE // 100)


def mix(
    bed: Samples,
    events: Sequence[tuple[str, int]],
    clips: Mapping[str, Sequence[Clip]],
    responses: Sequence[Samples],
    random: np.random.Generator,
) -> tuple[Samples, list[Placed]]:
    """Lay events into a bed until either ends; each with the SNR asked for over its own duration.

    The SNR is the ratio of the RMS of the reverberant event to that of the bed, both unweighted and
    between the annotated onset and offset.  Returns the scene and what was placed.
    """
    scene = bed.copy()
    placed = []
    at = int(random.uniform(*_QUIET) * RATE)
    for label, snr in events:
        dry = event(label, clips[label], random)
        stop = at + len(dry)
        if stop + RATE > len(scene):
            break
        wet = fftconvolve(dry, responses[int(random.integers(len(responses)))])
        wet = wet[: len(scene) - at]
        behind = float(np.sqrt(np.mean(np.square(bed[at:stop], dtype=np.float64))))
        gain = behind * 10 ** (snr / 20) / float(np.sqrt(np.mean(np.square(wet[: len(dry)]))))
        scene[at : at + len(wet)] += (gain * wet).astype(np.float32)
        placed.append(Placed(label, at / RATE, stop / RATE, snr))
        at = stop + int(random.uniform(*_QUIET) * RATE)
    return scene, placed


def as_recorded(scene: Samples, random: np.random.Generator) -> Samples:
    """The level of some microphone: an RMS of -45 to -28 dBFS, and two changes of gain by up to 16 dB."""
    gains_db = random.uniform(-8, 8, 3)
    changes = np.sort(random.uniform(0.1, 0.9, 2)) * len(scene)
    steps = np.searchsorted(changes, np.arange(len(scene)), side="right")
    curve = uniform_filter1d(10 ** (gains_db / 20)[steps], RATE // 10)
    loud = at_rms(scene * curve, 10 ** (random.uniform(-45, -28) / 20))
    return (loud * min(1.0, 0.99 / float(np.abs(loud).max()))).astype(np.float32)
