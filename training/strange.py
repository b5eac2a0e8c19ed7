"""Make a recording strange: another sound that nobody recorded, with the detail of a real one.

The audio teacher judges whatever it is given, so what comes out needs no name, only to be unlike what
there is already: some thousands of recordings are too few kinds of sound by themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d
from scipy.signal import fftconvolve, hilbert, lfilter

from training import geometry as g
from training.sound import Samples, resample

Random = np.random.Generator
SPEEDS = (0.4, 2.5)
LONGEST = 10 * g.RATE
"""Samples that come out at most."""

TINY = 1e-6


def faster_or_slower(wave: Samples, rng: Random) -> Samples:
    """Play it at another speed, and so at another pitch."""
    speed = np.exp(rng.uniform(*np.log(SPEEDS)))
    return resample(wave, g.RATE, int(g.RATE / speed))


def backwards(wave: Samples, rng: Random) -> Samples:
    """Play it from its end."""
    del rng
    return wave[::-1].copy()


def glide(wave: Samples, rng: Random) -> Samples:
    """Change the speed on the way, as of something that falls, starts or passes by."""
    knots = np.exp(rng.normal(0, 0.35, int(rng.integers(2, 6))))
    speed = np.interp(np.linspace(0, 1, len(wave)), np.linspace(0, 1, len(knots)), knots)
    places = np.cumsum(speed)
    return np.interp(np.arange(int(places[-1])), places, wave).astype(np.float32)


def ring(wave: Samples, rng: Random) -> Samples:
    """Multiply with a tone: every frequency becomes two."""
    hertz = np.exp(rng.uniform(np.log(30), np.log(2_500)))
    return wave * _tone(len(wave), hertz, rng)


def shift(wave: Samples, rng: Random) -> Samples:
    """Move all frequencies by as many hertz: what was in tune no longer is."""
    hertz = rng.choice((-1, 1)) * np.exp(rng.uniform(np.log(30), np.log(1_500)))
    turning = np.exp(2j * np.pi * hertz * np.arange(len(wave)) / g.RATE)
    return np.real(hilbert(wave) * turning).astype(np.float32)


def beating(wave: Samples, rng: Random) -> Samples:
    """Let it swell and fade 2 to 40 times a second."""
    hertz, depth = np.exp(rng.uniform(np.log(2), np.log(40))), rng.uniform(0.4, 1)
    return wave * (1 - depth * (0.5 + 0.5 * _tone(len(wave), hertz, rng))).astype(np.float32)


def grains(wave: Samples, rng: Random) -> Samples:
    """Short pieces of it laid over each other at another pace, more or less in order."""
    size = min(len(wave), int(np.exp(rng.uniform(np.log(0.02), np.log(0.25))) * g.RATE))
    pace, disorder = np.exp(rng.uniform(np.log(0.4), np.log(2.0))), rng.exponential(0.15) * g.RATE
    step = max(1, size // 2)
    count = min(int(len(wave) / pace), LONGEST) // step + 1
    window = np.hanning(size).astype(np.float32)
    out = np.zeros(count * step + size, dtype=np.float32)
    for i in range(count):
        at = int(i * step * pace + rng.normal(0, disorder))
        at = min(max(at, 0), len(wave) - size)
        out[i * step : i * step + size] += window * wave[at : at + size]
    return out


def distort(wave: Samples, rng: Random) -> Samples:
    """Overdrive it, or keep few of its levels or samples."""
    loud = wave / max(float(np.abs(wave).max()), TINY)
    kind = rng.integers(3)
    if kind == 0:
        return np.tanh(loud * np.float32(rng.uniform(2, 20)))
    if kind == 1:
        levels = np.float32(2 ** rng.uniform(2, 5))
        return np.rint(loud * levels) / levels
    return loud[np.arange(len(loud)) // (step := int(rng.integers(3, 12))) * step]


def resonate(wave: Samples, rng: Random) -> Samples:
    """Through a tube or a box: echoes closer together than can be told apart."""
    delay = int(g.RATE / np.exp(rng.uniform(np.log(60), np.log(1_200))))
    back = np.zeros(delay + 1)
    back[0], back[-1] = 1, -rng.choice((-1, 1)) * rng.uniform(0.5, 0.93)
    return lfilter([1.0], back, wave).astype(np.float32)


def colour(wave: Samples, rng: Random) -> Samples:
    """Give its spectrum a random shape of some 12 dB."""
    spectrum = np.fft.rfft(wave)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(wave), 1 / g.RATE), 40) / 40)
    shape = np.interp(octaves, np.linspace(0, 9.3, 8), rng.normal(0, 12, 8))
    return np.fft.irfft(spectrum * 10 ** (shape / 20), len(wave)).astype(np.float32)


def texture(wave: Samples, rng: Random) -> Samples:
    """What is left of it without its order in time: as rain is of drops, a crowd of voices."""
    size = 2 ** int(rng.integers(10, 16))
    length = max(len(wave), 2 * size)
    padded = np.resize(wave, length)
    out = np.zeros(length + size, dtype=np.float32)
    window = np.hanning(size).astype(np.float32)
    for at in range(0, length - size + 1, size // 4):
        frame = np.fft.rfft(padded[at : at + size] * window)
        phases = np.exp(2j * np.pi * rng.random(len(frame)))
        out[at : at + size] += window * np.fft.irfft(np.abs(frame) * phases, size).astype(np.float32)
    return out[:length]


def repeat(wave: Samples, rng: Random) -> Samples:
    """A short piece of it, again and again, evenly or not."""
    piece = wave[: int(np.exp(rng.uniform(np.log(0.04), np.log(0.6))) * g.RATE)]
    pause, unevenness = np.exp(rng.uniform(np.log(0.02), np.log(0.6))), rng.choice((0.0, 0.1, 0.5))
    count = int(rng.integers(2, 13))
    steps = (len(piece) + pause * g.RATE) * np.exp(unevenness * rng.standard_normal(count))
    starts = np.concatenate([[0.0], np.cumsum(steps)])[:count].astype(int)
    out = np.zeros(min(LONGEST, starts[-1] + len(piece)), dtype=np.float32)
    for start in starts[starts < len(out)]:
        stop = min(len(out), start + len(piece))
        out[start:stop] += piece[: stop - start] * np.float32(np.exp(0.3 * rng.standard_normal()))
    return out


def loudness_of(other: Samples, wave: Samples, rng: Random) -> Samples:
    """One recording with another's rise and fall."""
    del rng
    size = g.RATE // 100
    own, wanted = (np.sqrt(uniform_filter1d(np.square(x), size)) for x in (wave, other))
    wanted = np.interp(np.linspace(0, 1, len(wave)), np.linspace(0, 1, len(wanted)), wanted)
    return (wave / np.maximum(own, 0.05 * own.max() + TINY) * wanted).astype(np.float32)


def spectrum_of(other: Samples, wave: Samples, rng: Random) -> Samples:
    """One recording with another's colour from moment to moment, as a vocoder does."""
    del rng
    size, bands = 2048, 48
    length = max(2 * size, min(len(wave), len(other)))
    ours, theirs = (_frames(np.resize(x, length), size) for x in (wave, other))
    edges = np.unique(np.geomspace(1, size // 2, bands).astype(int))
    ours_power, their_power = (np.add.reduceat(np.abs(x) ** 2, edges, axis=1) for x in (ours, theirs))
    gains = np.sqrt((their_power + TINY) / (ours_power + 1e-3 * ours_power.max() + TINY))
    gains = np.repeat(gains, np.diff([*edges, size // 2 + 1]), axis=1)
    shaped = np.fft.irfft(ours[:, edges[0] :] * gains, size, axis=1).astype(np.float32)
    out = np.zeros(length + size, dtype=np.float32)
    for i, frame in enumerate(shaped):
        out[i * size // 4 : i * size // 4 + size] += frame * np.hanning(size)
    return out[:length]


def body_of(other: Samples, wave: Samples, rng: Random) -> Samples:
    """One recording in another's body: a short piece of that, dying away, answers to every sample of this."""
    seconds = np.exp(rng.uniform(np.log(0.02), np.log(0.4)))
    start = max(0, int(np.abs(other).argmax()) - g.RATE // 500)
    piece = other[start : start + int(seconds * g.RATE)]
    piece = piece * np.exp(-3 * np.linspace(0, 1, len(piece), dtype=np.float32))
    return fftconvolve(wave, piece).astype(np.float32)[:LONGEST]


def turns(other: Samples, wave: Samples, rng: Random) -> Samples:
    """Short pieces of the two by turns, as a latch, a creak and a thud make a door."""
    pieces: list[Samples] = []
    length = 0
    while length < max(len(wave), len(other)):
        source = (wave, other)[len(pieces) % 2]
        size = min(len(source), int(np.exp(rng.uniform(np.log(0.03), np.log(0.6))) * g.RATE))
        at = int(rng.integers(0, len(source) - size + 1))
        ramp = np.minimum(1, np.minimum(np.arange(size), np.arange(size)[::-1]) / (g.RATE / 200))
        pieces.append(source[at : at + size] * ramp.astype(np.float32))
        length += size
    return np.concatenate(pieces)[:LONGEST]


Change = Callable[[Samples, Random], Samples]

ALONE: tuple[Change, ...] = (
    faster_or_slower, backwards, glide, ring, shift, beating, grains, distort,
    resonate, colour, texture, repeat,
)  # fmt: skip
TOGETHER: tuple[Callable[[Samples, Samples, Random], Samples], ...] = (
    loudness_of, spectrum_of, body_of, turns,
)  # fmt: skip
MIXED = 0.5
"""How often two recordings become one."""


def strange(wave: Samples, other: Samples, rng: Random) -> Samples:
    """One to three changes of ``wave``, or something of it and ``other`` with at most three."""
    mixed = rng.random() < MIXED
    if mixed:
        wave = cross(other, wave, rng)
    for number in rng.permutation(len(ALONE))[: rng.integers(0 if mixed else 1, 4)]:
        wave = ALONE[number](wave, rng)[:LONGEST]
    return wave if float(np.abs(wave).max(initial=0)) > TINY else other


def change(wave: Samples, rng: Random) -> Samples:
    """One change of ``wave``; as it was if nothing would be left."""
    changed = ALONE[int(rng.integers(len(ALONE)))](wave, rng)[:LONGEST]
    return changed if float(np.abs(changed).max(initial=0)) > TINY else wave


def cross(other: Samples, wave: Samples, rng: Random) -> Samples:
    """Something of ``wave`` and ``other``."""
    return TOGETHER[int(rng.integers(len(TOGETHER)))](other, wave, rng)


def _tone(length: int, hertz: float, rng: Random) -> Samples:
    phase = rng.uniform(0, 2 * np.pi)
    return np.sin(2 * np.pi * hertz * np.arange(length) / g.RATE + phase).astype(np.float32)


def _frames(wave: Samples, size: int) -> npt.NDArray[np.complex64]:
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[:: size // 4]
    return np.fft.rfft(frames * np.hanning(size)).astype(np.complex64)
