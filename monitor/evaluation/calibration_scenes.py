"""Calibration scenes: events mixed into background recordings of the kit, in memory, with the time of each.

The same options give the same scenes, at any rate the same events at the same seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from monitor.evaluation.annotations import Occurrence
from monitor.evaluation.calibration_kit import Kit, KitClip, KitEvent, decode_clips
from monitor.types import Samples

_SHORT_SECONDS = 1.5
"""An event shorter than this may be repeated, if its label comes in series."""

_SHARE_OF_SERIES = 0.7
_EDGE_SECONDS = 0.005
"""Over which an event rises and falls."""

_DECAY_SECONDS = (0.15, 0.6)
"""Within which the sound in a room falls by 60 dB."""

_REVERBERANT_DB = (-12.0, 0.0)
"""Power of all reflections relative to the direct sound."""

_SECOND_BED_DB = (-20.0, -6.0)
_LEVELS_DBFS = (-45.0, -28.0)
"""RMS of beds, that of microphones in quiet rooms."""

_PEAK = 0.99
_FULL_SCALE = 32767


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """How many scenes there are, and what happens in them."""

    scenes: int = 3
    """With events."""
    quiet_scenes: int = 1
    """Without any."""
    seconds: float = 270.0
    """Length of each."""
    snrs_db: tuple[float, ...] = (20.0, 10.0, 5.0)
    """Ratio of the RMS of an event to that of the bed, both between onset and offset; each as often."""
    gaps: tuple[float, float] = (2.0, 8.0)
    """Seconds between the end of an event and the next."""
    seed: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Audio, and what happens in it."""

    samples: Samples
    """Shape (seconds * rate,)."""
    occurrences: tuple[Occurrence, ...]
    """In order, without overlap; none in a quiet scene."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """An event's place in a scene, before it is mixed."""

    event: KitEvent
    snr_db: float
    starts: tuple[float, ...]
    """Seconds at which the sound begins, once or several times."""

    @property
    def stop(self) -> float:
        return self.starts[-1] + self.event.offset - self.event.onset


class _Sounds:
    """Sounds of events, decoded once and kept in 16 bits."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._kept: dict[KitEvent, NDArray[np.int16]] = {}

    def of(self, event: KitEvent) -> Samples:
        """Return the samples from onset to offset, with soft edges."""
        if event not in self._kept:
            [(_, samples)] = decode_clips([event.clip], self.rate)
            part = samples[round(event.onset * self.rate) : round(event.offset * self.rate)]
            self._kept[event] = np.round(part.clip(-1.0, 1.0) * _FULL_SCALE).astype(np.int16)
        sound: Samples = self._kept[event].astype(np.float32)
        sound /= _FULL_SCALE
        edge = min(round(_EDGE_SECONDS * self.rate), len(sound) // 2)
        ramp = np.linspace(0.0, 1.0, edge, dtype=np.float32)
        sound[:edge] *= ramp
        sound[len(sound) - edge :] *= ramp[::-1]
        return sound


def calibration_scenes(kit: Kit, rate: int, options: SceneOptions | None = None) -> Iterator[Scene]:
    """Mix scenes one at a time: first those with events, then the quiet ones.

    A scene is two beds, the second softer, with events in rooms.  Labels and SNRs take turns, so that every
    pair of the two occurs as often as any other, give or take one; so do the clips of a label.

    Parameters
    ----------
    kit : Kit
    rate : int
        Hz, of the samples.
    options : SceneOptions, optional

    Yields
    ------
    Scene
        Peaks within full scale.

    Raises
    ------
    SourceError
        A file of the kit is missing or damaged.
    """
    options = options or SceneOptions()
    turns = _turns(kit, options)
    sounds = _Sounds(rate)
    for number in range(options.scenes + options.quiet_scenes):
        random = np.random.default_rng([options.seed, number])
        placed = _plan(kit, turns, options, random) if number < options.scenes else []
        yield _mixed(_bed(kit.beds, options.seconds, rate, random), placed, sounds, options.seed)


def _turns(kit: Kit, options: SceneOptions) -> Iterator[tuple[KitEvent, float]]:
    """Yield events and SNRs without end, in random order, all pairs of label and SNR before any again."""
    random = np.random.default_rng([options.seed, 0, 0])
    events = {
        label.name: [event for event in kit.events if event.label == label.name] for label in kit.labels
    }
    used = dict.fromkeys(events, 0)
    pairs = list(product(events, options.snrs_db))
    while True:
        for index in random.permutation(len(pairs)):
            label, snr_db = pairs[index]
            yield events[label][used[label] % len(events[label])], snr_db
            used[label] += 1


def _plan(
    kit: Kit,
    turns: Iterator[tuple[KitEvent, float]],
    options: SceneOptions,
    random: np.random.Generator,
) -> list[_Placed]:
    """Place events until the scene is full."""
    in_series = {label.name for label in kit.labels if label.series}
    placed: list[_Placed] = []
    at = random.uniform(*options.gaps)
    while True:
        event, snr_db = next(turns)
        length = event.offset - event.onset
        starts = [at]
        if event.label in in_series and length < _SHORT_SECONDS and random.random() < _SHARE_OF_SERIES:
            for _ in range(int(random.integers(1, 4))):
                starts.append(starts[-1] + length + random.uniform(0.15, 0.7))
        candidate = _Placed(event, snr_db, tuple(starts))
        if candidate.stop + options.gaps[0] > options.seconds:
            return placed
        placed.append(candidate)
        at = candidate.stop + random.uniform(*options.gaps)


def _bed(beds: Sequence[KitClip], seconds: float, rate: int, random: np.random.Generator) -> Samples:
    """Return one bed and a softer one, each repeated from a random place, at the level of a microphone."""
    first, second = (beds[i] for i in random.permutation(len(beds))[:2])
    level = 10.0 ** (random.uniform(*_LEVELS_DBFS) / 20.0)
    softer = level * 10.0 ** (random.uniform(*_SECOND_BED_DB) / 20.0)
    length = round(seconds * rate)
    out = np.zeros(length, dtype=np.float32)
    for clip, rms in ((first, level), (second, softer)):
        [(_, samples)] = decode_clips([clip], rate)
        samples = np.roll(samples, round(random.uniform(0.0, clip.seconds) * rate)) * (rms / _rms(samples))
        for start in range(0, length, len(samples)):
            out[start : start + len(samples)] += samples[: length - start]
    return out


def _mixed(scene: Samples, placed: Sequence[_Placed], sounds: _Sounds, seed: int) -> Scene:
    """Add the events to the bed; changes ``scene``."""
    rate = sounds.rate
    occurrences = []
    for number, one in enumerate(placed):
        random = np.random.default_rng([seed, number, round(one.starts[0] * 1000)])
        dry = _repeated(one, sounds)
        wet = _convolved(dry, _room(rate, random))
        start = round(one.starts[0] * rate)
        stop = start + len(dry)
        # What an earlier event leaves behind has died away: gaps are longer than rooms resound.
        gain = _rms(scene[start:stop]) * 10.0 ** (one.snr_db / 20.0) / _rms(wet[: len(dry)])
        part = scene[start : start + len(wet)]
        part += gain * wet[: len(part)]
        occurrences.append(Occurrence(one.event.label, start / rate, stop / rate, one.snr_db))
    scene *= min(1.0, _PEAK / max(float(np.abs(scene).max()), 1e-9))
    return Scene(scene, tuple(occurrences))


def _repeated(placed: _Placed, sounds: _Sounds) -> Samples:
    """Return the event's sound, at all its starts, the first at 0."""
    sound = sounds.of(placed.event)
    begins = [round((start - placed.starts[0]) * sounds.rate) for start in placed.starts]
    out = np.zeros(begins[-1] + len(sound), dtype=np.float32)
    for begin in begins:
        out[begin : begin + len(sound)] += sound
    return out


def _room(rate: int, random: np.random.Generator) -> Samples:
    """Return an impulse response: the direct sound, then noise that dies away exponentially."""
    decay = random.uniform(*_DECAY_SECONDS)
    times = np.arange(1, round(decay * rate)) / rate
    tail = random.standard_normal(len(times)) * 10.0 ** (-3.0 * times / decay)
    power = 10.0 ** (random.uniform(*_REVERBERANT_DB) / 10.0)
    tail *= np.sqrt(power / np.sum(np.square(tail)))
    return np.concatenate([[1.0], tail]).astype(np.float32)


def _rms(samples: Samples) -> float:
    return max(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), 1e-9)


def _convolved(sound: Samples, room: NDArray[np.floating]) -> Samples:
    """Convolve in the frequency domain, shape (len(sound) + len(room) - 1,)."""
    length = len(sound) + len(room) - 1
    size = 1 << (length - 1).bit_length()
    spectrum = np.fft.rfft(sound, size) * np.fft.rfft(room, size)
    return np.fft.irfft(spectrum, size)[:length].astype(np.float32)
