"""Compose a soundscape: a bed and a few events in ten seconds, as a room and a microphone give them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, fftconvolve, sosfilt

from training import geometry as g
from training.crops import Drawer
from training.sound import Samples, level, resample
from training.strange import strange
from training.synth import synthesise

SECONDS = 10
LENGTH = SECONDS * g.RATE
ROW = round(g.TEACHER_HOP / g.TEACHER_RATE * g.RATE)
"""Samples between the rows that are judged: 0.24 s."""

ROWS = 1 + (LENGTH - g.WINDOW) // ROW
"""Rows whose whole second lies in the soundscape."""

EVENTS = (1, 6)
LONGEST_EVENT_S = (0.8, 5.0)
SNR_DB = (-6.0, 25.0)
"""Of an event against the bed."""

MADE, MINED, STRANGE = 0.1, 0.35, 0.25
"""Shares of the events that are made from nothing, what `mine` found, and recordings made strange.  They
have no label; the teacher says what they are like."""

CHANGES = {
    "speed": 0.5,
    "room": 0.35,
    "low_pass": 0.15,
    "high_pass": 0.15,
    "bed": 0.8,
    "noise_bed": 0.25,
    "strange_bed": 0.4,
    "hum": 0.25,
}
"""How often each of these is done."""

LEADING_DB = 3.0
"""An event this much above everything else together gives the second its name ..."""

FADED_DB = 20.0
"""... unless it is this much below its own loudest second."""

NO_LEAD = -99.0


@dataclass(frozen=True)
class Leads:
    """Which event is the loudest in each of the seconds."""

    events: npt.NDArray[np.intp]
    """Its index, -1 where there is none, or only the faded end of one.  Shape (ROWS,)."""
    decibels: npt.NDArray[np.float32]
    """Its power over that of everything else in that second, in dB; `NO_LEAD` where there is none."""


@dataclass(frozen=True)
class Soundscape:
    """Ten seconds, and what is known of each of its seconds."""

    wave: Samples
    """Shape (LENGTH,), 48 kHz."""
    labels: list[str]
    """The label that stands out, one for each of the `ROWS`; empty: none."""
    events: list[Samples]
    """Each event by itself, as it is in the mixture, shape (LENGTH,)."""
    leads: Leads


class Composer:
    """Compose soundscapes for ever, of recordings and of what `mine` found."""

    def __init__(self, drawer: Drawer, mined: Drawer, rng: np.random.Generator) -> None:
        self._drawer, self._mined, self._rng = drawer, mined, rng

    def compose(self) -> Soundscape:
        """Compose the next one."""
        rng = self._rng
        bed = self._bed()
        events = [self._event() for _ in range(rng.integers(*EVENTS))]
        names, waves = [name for name, _ in events], [wave for _, wave in events]
        total = bed + sum(waves)
        leads = lead(total, waves)
        loud = level(total, g.RATE) * np.float32(10 ** (rng.uniform(-10, 0) / 20))
        return Soundscape(loud.astype(np.float32), name_rows(names, leads), waves, leads)

    def _sometimes(self, change: str) -> bool:
        return bool(self._rng.random() < CHANGES[change])

    def _bed(self) -> Samples:
        """Something that goes on all the time, its power 1; or almost nothing."""
        rng = self._rng
        if not self._sometimes("bed"):
            return noise(LENGTH, rng) * np.float32(10 ** (rng.uniform(-60, -25) / 20))
        if self._sometimes("noise_bed"):
            return hum(noise(LENGTH, rng), rng) if self._sometimes("hum") else noise(LENGTH, rng)
        _, wave = self._drawer.draw(LENGTH)
        if self._sometimes("strange_bed"):
            wave = self._strange(wave)
        wave = self._change(wave)
        whole = np.tile(wave, -(-LENGTH // len(wave)))[:LENGTH]
        return whole / np.float32(max(rms(whole), 1e-6))

    def _event(self) -> tuple[str, Samples]:
        """A label and its sound somewhere in silence, at a random ratio to power 1."""
        rng = self._rng
        label, wave = self._draw(rng.uniform(*LONGEST_EVENT_S))
        wave = fade(self._change(wave))
        wave *= np.float32(10 ** (rng.uniform(*SNR_DB) / 20) / max(loudest(wave), 1e-6))
        placed = np.zeros(LENGTH, dtype=np.float32)
        start = int(rng.integers(0, max(1, LENGTH - len(wave) // 2)))
        part = wave[: LENGTH - start]
        placed[start : start + len(part)] = part
        return label, placed

    def _draw(self, seconds: float) -> tuple[str, Samples]:
        """A recording with its label, or a sound that nobody recorded."""
        kind = self._rng.random()
        if kind < MADE:
            return "", synthesise(self._rng, seconds)
        length = int(seconds * g.RATE)
        if kind < MADE + MINED:
            return "", self._mined.draw(length)[1]
        clip, wave = self._drawer.draw(length)
        return ("", self._strange(wave)) if kind < MADE + MINED + STRANGE else (clip.label, wave)

    def _strange(self, wave: Samples) -> Samples:
        _, other = self._drawer.draw(len(wave))
        return strange(wave, other, self._rng)

    def _change(self, wave: Samples) -> Samples:
        rng = self._rng
        if self._sometimes("speed"):
            wave = resample(wave, g.RATE, int(g.RATE * rng.uniform(0.75, 1.35)))
        if self._sometimes("room"):
            wave = reverberate(wave, rng)
        if self._sometimes("low_pass"):
            wave = _filter(wave, "low", rng.uniform(3_000, 10_000))
        if self._sometimes("high_pass"):
            wave = _filter(wave, "high", rng.uniform(80, 500))
        return wave


def name_rows(names: list[str], leads: Leads) -> list[str]:
    """The label of the event that stands out in each second, empty if none does; see `LEADING_DB`."""
    return [
        names[event] if decibels > LEADING_DB else ""
        for event, decibels in zip(leads.events, leads.decibels, strict=True)
    ]


def lead(total: Samples, events: list[Samples]) -> Leads:
    """The loudest event of each second, and how far it is above the rest; see `FADED_DB`."""
    everything = row_powers(total)
    own = np.stack([row_powers(wave) for wave in events])
    own[own <= own.max(axis=1, keepdims=True) * 10 ** (-FADED_DB / 10)] = 0
    first = own.argmax(axis=0)
    power = own[first, np.arange(ROWS)]
    ratio = np.maximum(power, 1e-12) / np.maximum(everything - power, 1e-12)
    there = power > 0
    decibels = np.where(there, 10 * np.log10(ratio), NO_LEAD)
    return Leads(np.where(there, first, -1), decibels.astype(np.float32))


def row_powers(wave: Samples) -> npt.NDArray[np.float64]:
    """Mean power in the second of every row, shape (ROWS,)."""
    summed = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    starts = np.arange(ROWS) * ROW
    return (summed[starts + g.WINDOW] - summed[starts]) / g.WINDOW


def rms(wave: npt.NDArray[np.floating]) -> float:
    """Root of the mean power."""
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


def loudest(wave: Samples) -> float:
    """RMS of the loudest quarter of a second."""
    part = g.RATE // 4
    count = max(1, len(wave) // part)
    return max(rms(piece) for piece in np.array_split(wave, count))


def fade(wave: Samples) -> Samples:
    """Ten milliseconds up at the start and down at the end, where a cut would click."""
    length = min(g.RATE // 100, len(wave) // 2)
    ramp = np.linspace(0, 1, length, dtype=np.float32)
    faded = wave.copy()
    faded[:length] *= ramp
    faded[len(wave) - length :] *= ramp[::-1]
    return faded


def noise(length: int, rng: np.random.Generator) -> Samples:
    """Steady noise with a spectrum falling 0 to 6 dB an octave; power 1."""
    spectrum = np.fft.rfft(rng.standard_normal(length).astype(np.float32))
    hertz = np.maximum(np.fft.rfftfreq(length, 1 / g.RATE), 20)
    wave = np.fft.irfft(spectrum * hertz ** -rng.uniform(0, 1), length)
    return (wave / rms(wave)).astype(np.float32)


def hum(wave: Samples, rng: np.random.Generator) -> Samples:
    """Add a mains frequency and some of its harmonics; power 1."""
    time = np.arange(len(wave)) / g.RATE
    base, strength = rng.choice((50, 60, 100, 120)), rng.uniform(0.3, 2)
    for harmonic in range(1, 8):
        wave = wave + strength / harmonic * rng.random() * np.sin(2 * np.pi * base * harmonic * time)
    return (wave / rms(wave)).astype(np.float32)


def reverberate(wave: Samples, rng: np.random.Generator) -> Samples:
    """Add the tail of a room: noise falling 60 dB in 0.15 to 0.9 s, 0 to 15 dB under the sound."""
    fall = rng.uniform(0.15, 0.9)
    length = int(fall * g.RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail *= 10 ** (-rng.uniform(0, 15) / 20) / np.sqrt(np.sum(tail**2))
    wet = fftconvolve(wave, tail.astype(np.float32))
    wet[: len(wave)] += wave
    return wet.astype(np.float32)


def _filter(wave: Samples, kind: str, hertz: float) -> Samples:
    sections = butter(2, hertz, kind, fs=g.RATE, output="sos")
    return sosfilt(sections, wave).astype(np.float32)
