"""Make sounds from nothing: impacts, alarms, motors, voices, water, with everything about them drawn.

Nobody is meant to take them for recordings.  They put the audio teacher, and so the tower after it, in
places where no recording of ours is: of every kind some hundreds, no two alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, lfilter, sosfilt

from training import geometry as g
from training.sound import Samples

Random = np.random.Generator
Curve = npt.NDArray[np.float64]

HIGHEST = 18_000.0
"""Hz of the highest partial."""

SMOKE = 0.25
"""Share of the alarms that are a smoke alarm's."""

FORMANTS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
"""Hz, of the vowels a, i, u, e and o (Peterson and Barney 1952)."""


def synthesise(rng: Random, seconds: float) -> Samples:
    """A sound of some kind, at most about ``seconds`` long."""
    wave = KINDS[int(rng.integers(len(KINDS)))](rng, seconds)
    return (wave / max(float(np.abs(wave).max()), 1e-9)).astype(np.float32)


# Tools


def between(rng: Random, low: float, high: float) -> float:
    """A draw whose logarithm is even between those of the two."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def time(seconds: float) -> Curve:
    """Moments of the samples."""
    return np.arange(max(1, int(seconds * g.RATE))) / g.RATE


def wander(rng: Random, length: int, per_second: float) -> Curve:
    """A smooth random curve of deviation 1."""
    points = max(4, int(length / g.RATE * per_second) + 3)
    curve = gaussian_filter1d(rng.standard_normal(points), 0.7)
    return np.interp(np.linspace(0, points - 1, length), np.arange(points), curve / max(curve.std(), 1e-6))


def tone(hertz: Curve, rng: Random, harmonics: int = 1, fall: float = 1.0) -> Curve:
    """Harmonics of a pitch that changes, each weaker than the one before by ``fall``."""
    phase = 2 * np.pi * np.cumsum(hertz) / g.RATE
    most = int(min(harmonics, max(1, HIGHEST // max(float(hertz.max()), 1.0))))
    parts = [rng.uniform(0.3, 1) * n**-fall * np.sin(n * phase) for n in range(1, most + 1)]
    return np.asarray(sum(parts))


def band(wave: Curve, low: float, high: float) -> Curve:
    """What lies between two frequencies."""
    return np.asarray(sosfilt(butter(2, (low, min(high, 20_000)), "band", fs=g.RATE, output="sos"), wave))


def hiss(rng: Random, length: int) -> Curve:
    """Noise between two random frequencies."""
    low = between(rng, 40, 4_000)
    return band(rng.standard_normal(length), low, low * between(rng, 1.5, 30))


def place(parts: list[Curve], starts: Curve, seconds: float) -> Curve:
    """Short sounds at their moments (seconds)."""
    out = np.zeros(int(seconds * g.RATE) + 1)
    for part, start in zip(parts, (starts * g.RATE).astype(int), strict=True):
        piece = part[: max(0, len(out) - start)]
        out[start : start + len(piece)] += piece
    return out


def moments(rng: Random, seconds: float, low: float, high: float) -> Curve:
    """Moments at some rate (a second), evenly or by chance."""
    rate, uneven = between(rng, low, high), rng.choice((0.0, 0.1, 1.0))
    steps = (1 - uneven + uneven * rng.exponential(1, int(seconds * rate) + 2)) / rate
    starts = np.cumsum(steps) - steps[0]
    return np.asarray(starts[starts < seconds])


def struck(rng: Random, hertz: float, decay: float, partials: int, stretch: float) -> Curve:
    """A body that rings when hit: partials out of tune, the higher the sooner gone."""
    t = time(min(4.0, 3 * decay))
    out = np.zeros(len(t))
    for n in range(partials):
        own = hertz * (1 + n * stretch * rng.uniform(0.6, 1.6))
        if own < HIGHEST:
            out += rng.uniform(0.2, 1) * np.exp(-6 * t / decay * (1 + 0.5 * n)) * np.sin(2 * np.pi * own * t)
    click = rng.standard_normal(len(t)) * np.exp(-t / between(rng, 0.0005, 0.01))
    return out + between(rng, 0.05, 2) * click


def puff(rng: Random, low: float, high: float, decay: float) -> Curve:
    """A short burst of noise that dies away."""
    t = time(min(3.0, 5 * decay))
    rise = np.minimum(1, t / between(rng, 0.0005, 0.01))
    return band(rng.standard_normal(len(t)), low, high) * rise * np.exp(-t / decay)


# Kinds


def bells(rng: Random, seconds: float) -> Curve:
    """Bells, chimes, dishes, metal, wood."""
    at = moments(rng, seconds, 0.4, 8)
    hertz, decay = between(rng, 120, 4_000), between(rng, 0.03, 3)
    partials, stretch = int(rng.integers(1, 9)), between(rng, 0.4, 2)
    scale = rng.choice((0.0, 0.3), p=(0.6, 0.4))
    hits = [struck(rng, hertz * np.exp(scale * rng.standard_normal()), decay, partials, stretch) for _ in at]
    return place(hits, at, seconds)


def shatter(rng: Random, seconds: float) -> Curve:
    """A blow and many small bright pieces after it."""
    count, spread = int(rng.integers(15, 90)), between(rng, 0.1, 0.8)
    starts = np.minimum(rng.exponential(spread, count), seconds - 0.01)
    starts[0] = 0
    pieces = [
        rng.exponential() * struck(rng, between(rng, 1_500, 9_000), between(rng, 0.02, 0.4), 4, 0.7)
        for _ in starts
    ]
    blow = puff(rng, between(rng, 150, 1_500), 9_000, between(rng, 0.01, 0.1)) * rng.uniform(0.5, 4)
    return place([*pieces, blow], np.append(starts, 0), seconds)


def alarm(rng: Random, seconds: float) -> Curve:
    """Beeps in a pattern; now and then the three and a pause of a smoke alarm (ISO 8201)."""
    pitch, harmonics = between(rng, 350, 4_500), int(rng.choice((1, 3, 12)))
    if rng.random() < SMOKE:
        on, off, group, pause = 0.5, 0.5, 3, 1.5
        pitch = rng.choice((520.0, rng.uniform(2_800, 3_500)))
    else:
        on, off = between(rng, 0.03, 0.8), between(rng, 0.03, 0.8)
        group, pause = int(rng.integers(1, 6)), between(rng, 0.05, 1.5)
    starts, at = [], 0.0
    while at < seconds:
        starts += [at + i * (on + off) for i in range(group)]
        at = starts[-1] + on + pause
    second = rng.choice((1.0, 1.0, between(rng, 0.6, 1.7)))
    both = [tone(np.full(int(on * g.RATE) + 1, pitch * f), rng, harmonics) for f in (1.0, second)]
    chosen = np.array(starts)
    chosen = chosen[chosen < seconds]
    return place([both[i % 2] for i in range(len(chosen))], chosen, seconds)


def siren(rng: Random, seconds: float) -> Curve:
    """A pitch that rises and falls, or jumps between two."""
    t = time(seconds)
    cycle = t * between(rng, 0.15, 6) + rng.random()
    shape = rng.integers(4)
    swing = (
        np.sin(2 * np.pi * cycle),
        np.sign(np.sin(2 * np.pi * cycle)),
        2 * (cycle % 1) - 1,
        1 - 2 * np.abs(2 * (cycle % 1) - 1),
    )[int(shape)]
    return tone(
        between(rng, 300, 2_000) * np.exp(rng.uniform(0.1, 0.7) * swing), rng, int(rng.integers(1, 12))
    )


def telephone(rng: Random, seconds: float) -> Curve:
    """Rings of two tones, or of a bell with a fast clapper, with pauses."""
    on, off = between(rng, 0.3, 2), between(rng, 0.2, 3)
    t = time(seconds)
    pitches = [between(rng, 400, 2_500)]
    pitches.append(pitches[0] * rng.uniform(1.05, 1.4))
    warble = np.sin(2 * np.pi * between(rng, 8, 30) * t)
    if rng.integers(2):
        wave = np.where(warble > 0, *(tone(np.full(len(t), p), rng, 5) for p in pitches))
    else:
        wave = sum(tone(np.full(len(t), p), rng, 7) for p in pitches) * (1.2 + warble)
    return np.asarray(wave * ((t % (on + off)) < on))


def horn(rng: Random, seconds: float) -> Curve:
    """A horn of a car, a ship or a train: steady reeds, long or short."""
    t = time(seconds)
    base = between(rng, 90, 600)
    ratios = np.sort(rng.uniform(1, 2, int(rng.integers(1, 4))))
    reeds = sum(tone(np.full(len(t), base * r), rng, 30, rng.uniform(0.3, 1.1)) for r in ratios)
    on, off = between(rng, 0.1, 3), between(rng, 0.1, 1)
    return np.asarray(reeds * gaussian_filter1d(((t % (on + off)) < on).astype(float), g.RATE * 0.01))


def motor(rng: Random, seconds: float) -> Curve:
    """Something that turns: strokes at a wandering speed, and noise in their rhythm."""
    t = time(seconds)
    speed = between(rng, 6, 400) * np.exp(rng.uniform(0, 0.3) * wander(rng, len(t), rng.uniform(0.3, 3)))
    phase = np.cumsum(speed) / g.RATE
    strokes = np.exp(-between(rng, 1, 12) * (phase % 1)) - 0.3
    roar = hiss(rng, len(t)) * (1 - rng.random() * (phase % 1))
    body = band(strokes, between(rng, 30, 200), between(rng, 400, 6_000))
    return np.asarray(body / (body.std() + 1e-9) + between(rng, 0.05, 3) * roar / (roar.std() + 1e-9))


def rotor(rng: Random, seconds: float) -> Curve:
    """Blades: deep puffs, ten or twenty a second, over a whine."""
    at = moments(rng, seconds, 7, 25)
    low = between(rng, 30, 150)
    one = [puff(rng, low, low * between(rng, 3, 20), between(rng, 0.01, 0.05)) for _ in range(3)]
    wave = place([one[i % 3] for i in range(len(at))], at, seconds)
    whine = tone(np.full(len(wave), between(rng, 300, 3_000)), rng, 4)
    return np.asarray(wave / (wave.std() + 1e-9) + between(rng, 0.02, 0.6) * whine)


def clicks(rng: Random, seconds: float) -> Curve:
    """Keys, ticks, cracks: very short, at any rate."""
    at = moments(rng, seconds, 1, 18)
    low = between(rng, 300, 4_000)
    several = [
        puff(rng, low * rng.uniform(0.7, 1.4), low * between(rng, 3, 12), between(rng, 0.001, 0.02))
        for _ in range(6)
    ]
    return place([rng.uniform(0.2, 1) * several[int(rng.integers(6))] for _ in at], at, seconds)


def knocks(rng: Random, seconds: float) -> Curve:
    """Knocks on wood, steps, a door: dull, in rhythm."""
    at = moments(rng, seconds, 0.7, 7)[: int(rng.integers(1, 12))]
    low = between(rng, 40, 400)
    body, decay = between(rng, 60, 700), between(rng, 0.015, 0.25)
    dull = [puff(rng, low, low * 8, decay) * rng.uniform(0.3, 1) for _ in at]
    ringing = [rng.random() * struck(rng, body, decay, 3, 1.1) for _ in at]
    return place([*dull, *ringing], np.concatenate([at, at]), seconds)


def drops(rng: Random, seconds: float) -> Curve:
    """Drops and bubbles: short tones that rise (Minnaert)."""
    at = moments(rng, seconds, 0.8, 60)
    low = between(rng, 250, 2_000)
    parts = []
    for _ in range(24):
        t = time(between(rng, 0.02, 0.15))
        hertz = low * between(rng, 0.6, 3) * (1 + between(rng, 0.3, 8) * t)
        parts.append(np.sin(2 * np.pi * np.cumsum(hertz) / g.RATE) * np.exp(-t / between(rng, 0.005, 0.05)))
    wave = place([rng.exponential() * parts[int(rng.integers(24))] for _ in at], at, seconds)
    return wave + rng.choice((0.0, 0.05, 0.3)) * hiss(rng, len(wave))


def rush(rng: Random, seconds: float) -> Curve:
    """Wind, surf, steam, a tap: noise that swells and changes colour."""
    t = time(seconds)
    swell = np.exp(rng.uniform(0, 1.2) * wander(rng, len(t), between(rng, 0.3, 12)))
    low, high = hiss(rng, len(t)), hiss(rng, len(t))
    share = 0.5 + 0.5 * np.tanh(wander(rng, len(t), between(rng, 0.3, 4)))
    whistle = tone(between(rng, 200, 1_500) * np.exp(0.2 * wander(rng, len(t), 1)), rng)
    wave = share * low / (low.std() + 1e-9) + (1 - share) * high / (high.std() + 1e-9)
    return np.asarray(swell * (wave + rng.choice((0.0, 0.0, 0.5)) * whistle))


def crackle(rng: Random, seconds: float) -> Curve:
    """Fire, rain on leaves, paper: very many little cracks over a murmur."""
    length = int(seconds * g.RATE)
    cracks = rng.standard_normal(length) * (rng.random(length) < between(rng, 3e-5, 3e-2))
    cracks *= rng.exponential(1, length) ** 2
    size = between(rng, 0.0003, 0.004)
    shaped = lfilter([1], [1, -np.exp(-1 / (size * g.RATE))], cracks)
    return np.asarray(
        hiss(rng, length) * between(rng, 0.003, 0.3) + band(shaped, between(rng, 100, 2_000), 18_000)
    )


def chirps(rng: Random, seconds: float) -> Curve:
    """Birds, insects, frogs, toys: short glides and trills in phrases."""
    at = moments(rng, seconds, 0.8, 14)
    base, long = between(rng, 300, 7_000), between(rng, 0.02, 0.5)
    up, trill, depth = rng.normal(0, 0.5), between(rng, 5, 120), rng.choice((0.0, 0.05, 0.3))
    harmonics = int(rng.choice((1, 1, 3, 10)))
    parts = []
    for _ in at:
        t = time(long * np.exp(0.2 * rng.standard_normal()))
        bend = up * t / long + depth * np.sin(2 * np.pi * trill * t) + 0.1 * rng.standard_normal()
        parts.append(tone(np.minimum(base * np.exp(bend), 16_000), rng, harmonics) * np.hanning(len(t)))
    return place(parts, at, seconds)


def voice(rng: Random, seconds: float) -> Curve:
    """A throat: speech, crying, laughter, a bark, a meow, a moo, by pitch, rhythm and how it opens."""
    base, size = between(rng, 60, 900), between(rng, 0.6, 1.8)
    at = moments(rng, seconds, 0.4, 7)
    roughness, bend = rng.choice((0.0, 0.05, 0.4)), rng.normal(0, 0.4)
    held = between(rng, 0.08, 1.5)
    parts = []
    for _ in at:
        t = time(min(held * np.exp(0.3 * rng.standard_normal()), seconds))
        x = t / t[-1] if len(t) > 1 else t
        arch = bend * x + rng.uniform(-0.3, 0.6) * np.sin(np.pi * x) + 0.03 * wander(rng, len(t), 8)
        pitch = base * np.exp(arch + roughness * wander(rng, len(t), 90) + 0.1 * rng.standard_normal())
        source = np.exp(-6 * ((np.cumsum(pitch) / g.RATE) % 1)) - 0.16
        source = source + between(rng, 0.01, 1) * 0.3 * rng.standard_normal(len(t))
        first, last = (FORMANTS[int(rng.integers(len(FORMANTS)))] for _ in range(2))
        whole = sum(
            (1 - x) * band(source, 0.85 * a * size, 1.15 * a * size) / (n + 1)
            + x * band(source, 0.85 * b * size, 1.15 * b * size) / (n + 1)
            for n, (a, b) in enumerate(zip(first, last, strict=True))
        )
        opening = np.minimum(1, np.minimum(x, 1 - x) / rng.uniform(0.03, 0.4))
        parts.append(np.asarray(whole * opening * rng.uniform(0.4, 1)))
    return place(parts, at, seconds)


def bang(rng: Random, seconds: float) -> Curve:
    """Shots, explosions, slams, thunder: a crack, then a rumble that grows dull."""
    at = moments(rng, seconds, 0.25, 10)[: int(rng.integers(1, 10))]
    decay = between(rng, 0.03, 1.2)
    low, high = between(rng, 25, 200), between(rng, 400, 8_000)
    rumbles = [puff(rng, low, high, decay) for _ in at]
    cracks = [rng.uniform(0, 2) * puff(rng, high / 4, 18_000, decay / 8) for _ in at]
    return place([*rumbles, *cracks], np.concatenate([at, at]), seconds)


def buzz(rng: Random, seconds: float) -> Curve:
    """Insects, razors, transformers, buzzers: a rough low tone, steady or wandering."""
    t = time(seconds)
    pitch = between(rng, 50, 900) * np.exp(rng.choice((0.0, 0.02, 0.15)) * wander(rng, len(t), 5))
    wave = tone(pitch, rng, 40, rng.uniform(0.2, 1.2))
    level = np.exp(rng.choice((0.0, 0.8)) * wander(rng, len(t), between(rng, 0.5, 8)))
    return np.asarray(wave * level + 0.1 * rng.random() * rng.standard_normal(len(t)))


def scrape(rng: Random, seconds: float) -> Curve:
    """Sawing, squeaking, brushing: noise or a squeal in strokes."""
    t = time(seconds)
    stroke = np.abs(np.sin(np.pi * t * between(rng, 0.5, 10))) ** between(rng, 0.5, 4)
    squeal = tone(between(rng, 200, 4_000) * np.exp(0.3 * stroke + 0.05 * wander(rng, len(t), 30)), rng, 10)
    rough = hiss(rng, len(t))
    share = rng.random()
    return np.asarray(
        stroke * (share * squeal / (squeal.std() + 1e-9) + (1 - share) * rough / (rough.std() + 1e-9))
    )


def tune(rng: Random, seconds: float) -> Curve:
    """Notes of some instrument that nobody has built."""
    at = moments(rng, seconds, 1, 9)
    base, decay, harmonics = between(rng, 60, 900), between(rng, 0.05, 2), int(rng.integers(1, 20))
    parts = []
    for _ in at:
        t = time(min(2.0, 2 * decay))
        pitch = (
            base * 2 ** (rng.choice((0, 2, 4, 5, 7, 9, 12)) / 12) * (1 + 0.005 * np.sin(2 * np.pi * 5 * t))
        )
        parts.append(tone(pitch, rng, harmonics) * np.exp(-3 * t / decay) * np.minimum(1, t / 0.01))
    return place(parts, at, seconds)


KINDS: tuple[Callable[[Random, float], Curve], ...] = (
    bells, shatter, alarm, siren, telephone, horn, motor, rotor, clicks, knocks, drops, rush,
    crackle, chirps, voice, voice, voice, bang, buzz, scrape, tune,
)  # fmt: skip
