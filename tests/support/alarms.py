"""Synthesised sounders: alarms in their temporal patterns, other beepers, and rooms around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from monitor.types import Window

RATE = 48_000
"""Hz"""

Sound = NDArray[np.float32]
"""Mono at `RATE`."""

Group = Sequence[tuple[float, float]]
"""Seconds on and seconds off of each beep."""


def t3(*, beep: float = 1.0, pause: float = 1.0) -> Group:
    """One group of T3; the factors stretch its beeps and gaps, and its pause."""
    return [(0.5 * beep, 0.5 * beep)] * 2 + [(0.5 * beep, 1.5 * pause)]


def t4(*, beep: float = 1.0, pause: float = 1.0) -> Group:
    """One group of T4; the factors stretch its beeps and gaps, and its pause."""
    return [(0.1 * beep, 0.1 * beep)] * 3 + [(0.1 * beep, 5.0 * pause)]


def beeps(group: Group, seconds: float, hertz: float, *, square: bool = False, start: float = 0.0) -> Sound:
    """Beeps of one pitch from ``start`` on, a group over and over; ``square`` has odd harmonics."""
    time = np.arange(round(seconds * RATE)) / RATE
    harmonics = (1, 3, 5, 7, 9) if square else (1,)
    wave = np.sum([np.sin(2 * np.pi * k * hertz * time) / k for k in harmonics], axis=0)
    out = np.zeros(len(time), dtype=np.float32)
    while start < seconds:
        for on, off in group:
            beep = slice(round(start * RATE), round((start + on) * RATE))
            length = len(out[beep])
            out[beep] = wave[beep] * np.clip(
                np.minimum(np.arange(length), np.arange(length)[::-1]) / 240, 0, 1
            )
            start += on + off
    return out


def microwave(seconds: float, random: np.random.Generator) -> Sound:
    """Three to six beeps of a kitchen appliance or a washing machine, repeated after 10 to 60 s."""
    on, off = random.uniform(0.15, 1.2, 2)
    group = [(on, off)] * int(random.integers(3, 7)) + [(0.0, random.uniform(10, 60))]
    return beeps(group, seconds, random.uniform(1800, 4200), start=random.uniform(1, 8))


def lorry(seconds: float, random: np.random.Generator) -> Sound:
    """Steady beeps of a reversing lorry, or of a timer, half a second on and off."""
    on = random.uniform(0.4, 0.6)
    hertz = random.uniform(1000, 1500) if random.integers(2) else random.uniform(2800, 3600)
    return beeps([(on, on * random.uniform(0.8, 1.2))], seconds, hertz, start=random.uniform(0, 5))


def alarm_clock(seconds: float, random: np.random.Generator) -> Sound:
    """Two to five short beeps every second or two."""
    on = random.uniform(0.06, 0.15)
    group = [(on, on)] * int(random.integers(2, 6)) + [(0.0, random.uniform(0.3, 1.0))]
    return beeps(group, seconds, random.uniform(1900, 4200), start=random.uniform(0, 5))


def kettle(seconds: float, random: np.random.Generator) -> Sound:
    """A whistle that rises, wavers and breaks off."""
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = random.uniform(1500, 2600) + 1200 * (1 - np.exp(-time / random.uniform(3, 10)))
    pitch += 40 * np.sin(2 * np.pi * random.uniform(0.3, 6) * time)
    wave = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    stop = random.uniform(0.4, 1.0) * seconds
    return (wave * np.clip(time / 4, 0, 1) * (time < stop)).astype(np.float32)


def bird(seconds: float, random: np.random.Generator) -> Sound:
    """A song of two to five notes near 3 kHz, again and again with small differences."""
    notes = [
        (random.uniform(0.05, 0.6), random.uniform(0.03, 0.5)) for _ in range(int(random.integers(2, 6)))
    ]
    pitches = random.uniform(2600, 4200, len(notes)) if random.integers(2) else [3100.0] * len(notes)
    pause = random.uniform(0.5, 6)
    out = np.zeros(round(seconds * RATE), dtype=np.float32)
    at = random.uniform(0, 3)
    while at < seconds:
        for (on, off), pitch in zip(notes, pitches, strict=True):
            beep = slice(round(at * RATE), round((at + on) * RATE))
            time = np.arange(len(out[beep])) / RATE
            sweep = pitch * (1 + random.uniform(-0.1, 0.1) * time / on)
            out[beep] = np.sin(2 * np.pi * np.cumsum(sweep) / RATE) * np.sin(np.pi * np.clip(time / on, 0, 1))
            at += on + off
        at += pause * random.uniform(0.8, 1.2)
    return out


OTHERS = (microwave, lorry, alarm_clock, kettle, bird)
"""Sounds that are mistaken for an alarm."""


def in_room(dry: Sound, decay_seconds: float, random: np.random.Generator, *, direct: float = 1.0) -> Sound:
    """The same sound in a room: the direct sound, and reverberation as loud as it at ``direct`` = 1.

    Exponentially decaying noise; ``decay_seconds`` to -60 dB.
    """
    time = np.arange(round(decay_seconds * RATE)) / RATE
    response = random.standard_normal(len(time)) * 10 ** (-3 * time / decay_seconds)
    response /= np.sqrt(np.sum(response**2))
    response[0] += direct
    return fftconvolve(dry, response)[: len(dry)].astype(np.float32)


def mixed(sound: Sound, noise: Sound, snr_db: float) -> Sound:
    """A sound in noise, at an RMS of 0.1; the SNR compares the RMS while it sounds with that of the noise."""
    sounding = sound[np.abs(sound) > 0.1 * np.abs(sound).max()]
    out = rms(noise) / rms(sounding) * 10 ** (snr_db / 20) * sound + noise
    return (0.1 / rms(out) * out).astype(np.float32)


def pink_noise(seconds: float, random: np.random.Generator) -> Sound:
    """Noise of the same power in every octave."""
    spectrum = np.fft.rfft(random.standard_normal(round(seconds * RATE)))
    hertz = np.arange(len(spectrum)) / seconds
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, 30)), round(seconds * RATE)).astype(np.float32)


def rms(sound: Sound) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def windows_of(audio: Sound, length: int, hop: int) -> Iterator[Window]:
    """Windows of one source."""
    for start in range(0, len(audio) - length + 1, hop):
        yield Window("mic", start, audio[start : start + length], (start + length) / RATE)
