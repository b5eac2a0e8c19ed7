"""Backgrounds of any length: recorded ones made longer without a period, and two that are synthesised.

Textures (rain, wind, a crowd) are random crops laid over each other with cross-fades that keep the
power, each at a slightly other speed, some backwards, under a slow random tilt and gain; speech, music
and typing are whole recordings in random order with pauses.  Room tone and a machine are made of
noise and harmonics: Debian has no recording of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import scipy.fft
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter, resample_poly

from benchmarks.scene_sources import RATE, Clip, Samples, at_rms, faded, load

TEXTURES = ("rain", "wind", "crowd")
SEQUENCES = ("speech", "music", "keyboard")
BEDS = ("rain", "wind", "crowd", "speech", "music", "room", "machine")
"""What scenes play in; typing is a label's sound in others and is a bed of its own only."""

_DRIFT_SECONDS = 8.0


def bed(kind: str, clips: Sequence[Clip], seconds: float, random: np.random.Generator) -> Samples:
    """Background of this kind with an RMS of about 0.1, whose level and colour drift.

    Parameters
    ----------
    kind : str
        One of `BEDS`, ``keyboard``, ``white`` or ``hum``.
    clips : sequence of Clip
        Recordings of it; none for what is synthesised.
    seconds : float
    random : numpy.random.Generator
    """
    length = round(seconds * RATE)
    if kind in TEXTURES:
        plain = _texture([load(clip) for clip in clips], length, random)
    elif kind in SEQUENCES:
        plain = _sequence(
            [load(clip) for clip in clips], length, random, pause=0.25 if kind == "keyboard" else 1.5
        )
    else:
        plain = SYNTHESISED[kind](length, random)
    return at_rms(_drifting(plain, random), 0.1)


def looped(recording: Samples, seconds: float, random: np.random.Generator) -> Samples:
    """One recording made longer by crops of it that fade into each other, with an RMS of about 0.1."""
    return at_rms(_drifting(_texture([recording], round(seconds * RATE), random, (4.0, 15.0)), random), 0.1)


def _texture(
    recordings: Sequence[Samples],
    length: int,
    random: np.random.Generator,
    crops: tuple[float, float] = (1.5, 4.0),
) -> Samples:
    """Overlapped crops of so many seconds; neighbours fade into each other at constant power."""
    fade = RATE // 2
    out = np.zeros(length + int((crops[1] + 1) * RATE), dtype=np.float32)
    at = 0
    while at < length + fade:
        recording = recordings[int(random.integers(len(recordings)))]
        wanted = min(len(recording), int(random.uniform(*crops) * RATE))
        start = int(random.integers(len(recording) - wanted + 1))
        crop = at_rms(_respeeded(recording[start : start + wanted], random), 0.1)
        crop = faded(crop[::-1].copy() if random.integers(2) else crop, fade)
        stop = min(len(out), at + len(crop))
        out[at:stop] += crop[: stop - at]
        at += len(crop) - min(fade, len(crop) // 2)
    return out[fade : fade + length]


def _sequence(
    recordings: Sequence[Samples], length: int, random: np.random.Generator, *, pause: float
) -> Samples:
    """Whole recordings, one after the other in random order, with pauses, on faint room tone."""
    out = at_rms(SYNTHESISED["room"](length, random), 0.1 * 10 ** (-30 / 20))
    at = 0
    while at < length:
        for index in random.permutation(len(recordings)):
            recording = faded(at_rms(_respeeded(recordings[index], random), 0.1), RATE // 50)
            stop = min(length, at + len(recording))
            out[at:stop] += recording[: max(0, stop - at)]
            at += len(recording) + int(random.exponential(pause) * RATE)
            if at >= length:
                break
    return out


def _respeeded(samples: Samples, random: np.random.Generator) -> Samples:
    """Played 0 to 6 % faster or slower."""
    up = int(random.integers(94, 107))
    return np.asarray(resample_poly(samples, up, 100), np.float32)


def _drifting(samples: Samples, random: np.random.Generator) -> Samples:
    """Under a gain of some +-2.5 dB and a shelf of some +-4 dB that both change within seconds."""
    gain = _slow(len(samples), random) * 2.5
    share = _slow(len(samples), random) * 4.0
    low = lfilter([0.12], [1.0, -0.88], samples)  # a first-order shelf at about 1 kHz
    out = samples + (10 ** (share / 20) - 1.0) * low
    return np.asarray(out * 10 ** (gain / 20), np.float32)


def _slow(length: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Random curve of standard deviation 1 that changes within `_DRIFT_SECONDS`, shape (length,)."""
    points = max(16, 4 * length // int(_DRIFT_SECONDS * RATE))
    curve = gaussian_filter1d(random.standard_normal(points), 2.0, mode="wrap")
    positions = np.linspace(0, points - 1, length)
    return np.asarray(np.interp(positions, np.arange(points), curve / curve.std()), np.float64)


def _coloured(length: int, random: np.random.Generator, slope: float) -> Samples:
    """Noise whose power falls by ``slope`` * 3 dB an octave above 30 Hz."""
    padded = scipy.fft.next_fast_len(length, real=True)
    spectrum = scipy.fft.rfft(random.standard_normal(padded, dtype=np.float32))
    frequency = np.maximum(scipy.fft.rfftfreq(padded, 1 / RATE), 30.0)
    return at_rms(scipy.fft.irfft(spectrum * frequency ** (-slope / 2), padded)[:length], 0.1)


def _room(length: int, random: np.random.Generator) -> Samples:
    """A quiet room: noise between pink and brown, that of the microphone, and a trace of mains hum."""
    hum = 0.02 * _harmonics(length, random, 50.0, 6)
    noise = _coloured(length, random, random.uniform(1.2, 1.8)) + 0.1 * _coloured(length, random, 0.0)
    return np.asarray(noise + hum, np.float32)


def _machine(length: int, random: np.random.Generator) -> Samples:
    """A fan or a compressor: harmonics of a motor whose speed wavers, and the noise of moved air."""
    motor = _harmonics(length, random, random.uniform(48, 130), 12)
    air = _coloured(length, random, random.uniform(0.8, 1.4))
    return np.asarray(0.5 * motor + 0.7 * air, np.float32)


def _hum(length: int, random: np.random.Generator) -> Samples:
    """Mains hum with little noise."""
    return np.asarray(
        _harmonics(length, random, 50.0, 10) + 0.02 * _coloured(length, random, 0.5), np.float32
    )


def _white(length: int, random: np.random.Generator) -> Samples:
    return _coloured(length, random, 0.0)


def _harmonics(length: int, random: np.random.Generator, pitch: float, count: int) -> Samples:
    """Tones at multiples of a pitch that wavers by some 0.3 %, RMS 0.1."""
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.003 * _slow(length, random))) / RATE
    out = np.zeros(length, dtype=np.float32)
    for number in range(1, count + 1):
        strength = random.uniform(0.2, 1.0) / number
        out += (strength * np.sin(number * phase + random.uniform(0, 2 * np.pi))).astype(np.float32)
    return at_rms(out, 0.1)


SYNTHESISED: dict[str, Callable[[int, np.random.Generator], Samples]] = {
    "room": _room,
    "machine": _machine,
    "hum": _hum,
    "white": _white,
}
