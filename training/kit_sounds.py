"""Sounds of a home that circuits and motors make, and so can be made here: beeps, alarms, motors, noise.

Every one is drawn from a seed; no two are alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from training import geometry as g
from training.sound import Samples
from training.synth import Curve, Random, band, place, struck, time, tone, wander


def smoke_alarm(rng: Random) -> Curve:
    """Three beeps of half a second, half a second apart (the temporal-three pattern of ISO 8201)."""
    pitch, harmonics = ((520, 12), (2_900, 3), (3_100, 2), (3_200, 4), (3_400, 3))[int(rng.integers(5))]
    beep = _beep(rng, pitch, 0.5, harmonics)
    return place([beep] * 3, np.array([0.0, 1.0, 2.0]), 2.5)


def microwave(rng: Random) -> Curve:
    """Three to five equal beeps of a piezo buzzer, about one a second."""
    count, on, step = int(rng.integers(3, 6)), rng.uniform(0.25, 0.6), rng.uniform(0.75, 1.1)
    return _series(_beep(rng, rng.uniform(1_900, 2_800), on, 3), count, step)


def alarm_clock(rng: Random) -> Curve:
    """Groups of four short beeps of a quartz clock."""
    pitch, on = rng.uniform(1_800, 2_400), rng.uniform(0.05, 0.08)
    starts = np.array([group + beep * 0.125 for group in (0.0, 1.0, 2.0) for beep in range(4)])
    return place([_beep(rng, pitch, on, 5)] * len(starts), starts, 2.6)


def doorbell(rng: Random) -> Curve:
    """Two chime bars, the second a third lower."""
    first, decay = rng.uniform(520, 760), rng.uniform(1.2, 2.2)
    bars = [struck(rng, pitch, decay, 4, 1.7) for pitch in (first, first * 0.794)]
    return place(bars, np.array([0.0, rng.uniform(0.4, 0.8)]), 3.0)


def vacuum(rng: Random) -> Curve:
    """A fast motor's whine with harmonics, in the rush of moved air, starting up."""
    t = time(3.5)
    speed = rng.uniform(180, 420) * (1 - 0.6 * np.exp(-t / rng.uniform(0.15, 0.5)))
    speed *= 1 + 0.01 * wander(rng, len(t), 2)
    whine = tone(speed, rng, 40, rng.uniform(0.7, 1.1))
    air = band(rng.standard_normal(len(t)), rng.uniform(150, 400), rng.uniform(5_000, 11_000))
    high = tone(speed * rng.uniform(9, 14), rng, 2)
    return _even(whine) + rng.uniform(1.0, 2.5) * _even(air) + rng.uniform(0.1, 0.4) * _even(high)


def kettle(rng: Random) -> Curve:
    """A whistling kettle: breath, then a tone that rises and settles."""
    t = time(3.5)
    rise = 1 - np.exp(-t / rng.uniform(0.4, 1.0))
    pitch = rng.uniform(1_400, 2_600) * (0.75 + 0.25 * rise) * (1 + 0.004 * wander(rng, len(t), 9))
    whistle = tone(pitch, rng, 4, 1.6) * rise**2
    steam = band(rng.standard_normal(len(t)), 900, 12_000)
    return _even(whistle) * (0.9 + 0.1 * wander(rng, len(t), 6)) + rng.uniform(0.2, 0.6) * _even(steam)


def hair_dryer(rng: Random) -> Curve:
    """A small fan's blades and a broad rush."""
    t = time(3.0)
    blades = tone(rng.uniform(280, 600) * (1 + 0.004 * wander(rng, len(t), 3)), rng, 16, 1.2)
    air = band(rng.standard_normal(len(t)), rng.uniform(200, 600), rng.uniform(6_000, 14_000))
    return rng.uniform(0.3, 0.8) * _even(blades) + _even(air)


def drill(rng: Random) -> Curve:
    """A drill that is pressed twice: gears and a commutator motor that slows under load."""
    t = time(2.8)
    presses = (t % rng.uniform(1.4, 1.6)) < rng.uniform(0.9, 1.2)
    pressed = gaussian_filter1d(presses.astype(float), g.RATE * 0.06)
    speed = rng.uniform(120, 260) * (0.3 + 0.7 * pressed) * (1 + 0.03 * wander(rng, len(t), 8))
    gears = tone(speed, rng, 60, 0.5) + 0.5 * tone(speed * rng.uniform(2.1, 3.7), rng, 30, 0.7)
    rasp = band(rng.standard_normal(len(t)), 1_000, 9_000) * (
        1 + np.sin(2 * np.pi * np.cumsum(speed) / g.RATE)
    )
    return pressed * (_even(gears) + rng.uniform(0.2, 0.8) * _even(rasp))


def blender(rng: Random) -> Curve:
    """A loud universal motor whose speed drops when it bites, and what it churns."""
    t = time(3.0)
    speed = rng.uniform(140, 320) * (1 - 0.4 * np.exp(-t / 0.2)) * (1 + 0.05 * wander(rng, len(t), 4))
    motor = tone(speed, rng, 50, rng.uniform(0.4, 0.8))
    churn = band(rng.standard_normal(len(t)), 300, 7_000) * np.exp(0.7 * wander(rng, len(t), 14))
    return _even(motor) + rng.uniform(0.4, 1.0) * _even(churn)


def siren(rng: Random) -> Curve:
    """A horn that rises and falls, or two tones in turn."""
    t = time(3.5)
    swing = np.sin(2 * np.pi * t * rng.uniform(0.25, 0.6))
    swing = swing if rng.integers(2) else np.sign(np.sin(2 * np.pi * t))
    return tone(rng.uniform(550, 800) * np.exp(0.28 * swing), rng, 10, 0.9)


EVENTS: dict[str, Callable[[Random], Curve]] = {
    "smoke_alarm": smoke_alarm,
    "microwave": microwave,
    "alarm_clock": alarm_clock,
    "doorbell": doorbell,
    "vacuum": vacuum,
    "kettle": kettle,
    "hair_dryer": hair_dryer,
    "drill": drill,
    "blender": blender,
    "siren": siren,
}

# Beds


def fan(rng: Random, seconds: float) -> Curve:
    """Moved air and a soft hum of blades."""
    t = time(seconds)
    blades = tone(np.full(len(t), rng.uniform(70, 130)), rng, 8, 1.0)
    return _even(coloured(rng, len(t), 1.0)) + 0.25 * _even(blades)


def fridge(rng: Random, seconds: float) -> Curve:
    """Twice the mains frequency with harmonics, and a little gurgling air."""
    t = time(seconds)
    hum = tone(np.full(len(t), 100.0), rng, 9, 0.9)
    return _even(hum) * (1 + 0.05 * wander(rng, len(t), 0.5)) + 0.4 * _even(coloured(rng, len(t), 1.3))


def quiet_room(rng: Random, seconds: float) -> Curve:
    """The noise of a room and of a microphone."""
    length = len(time(seconds))
    return _even(coloured(rng, length, 1.6)) + 0.3 * _even(coloured(rng, length, 0.0))


BEDS: dict[str, Callable[[Random, float], Curve]] = {
    "fan": fan,
    "fridge": fridge,
    "quiet room": quiet_room,
}


def coloured(rng: Random, length: int, slope: float) -> Curve:
    """Noise whose power falls as 1 / f ** slope, above 30 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hertz = np.maximum(np.fft.rfftfreq(length, 1 / g.RATE), 30.0)
    return np.asarray(np.fft.irfft(spectrum * hertz ** (-slope / 2), length))


def normalised(wave: npt.NDArray[np.floating], peak: float = 0.5) -> Samples:
    """A sound with this peak."""
    return (wave * (peak / max(float(np.abs(wave).max()), 1e-9))).astype(np.float32)


def _even(wave: Curve) -> Curve:
    return wave / max(float(np.std(wave)), 1e-9)


def _beep(rng: Random, pitch: float, on: float, harmonics: int) -> Curve:
    """A tone that is switched on and off within a few milliseconds."""
    t = time(on)
    edge = np.minimum(1, np.minimum(t, on - t) / 0.004).clip(0)
    return tone(np.full(len(t), pitch), rng, harmonics, 1.2) * edge


def _series(one: Curve, count: int, step: float) -> Curve:
    starts = np.linspace(0, (count - 1) * step, count)
    return place([one] * count, starts, float(starts[-1]) + len(one) / g.RATE)
