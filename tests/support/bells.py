"""Sounds of bells, synthesised: two strokes of inharmonic partials in a room with a little noise."""

import numpy as np

from monitor.types import Samples

RATE = 48_000
PARTIALS = ((1.0, 1.0), (2.76, 0.4), (5.4, 0.2))


def bell(first=660.0, second=523.0, *, seed=0, noise=0.003) -> Samples:
    """Return two seconds with two strokes, at these frequencies in Hz."""
    random = np.random.default_rng(seed)
    out = noise * random.standard_normal(2 * RATE)
    times = np.arange(round(0.7 * RATE)) / RATE
    for frequency, start in ((first, 0.2), (second, 0.7)):
        stroke = sum(a * np.sin(2 * np.pi * frequency * h * times) for h, a in PARTIALS) * np.exp(-5 * times)
        begin = round((start + random.uniform(-0.02, 0.02)) * RATE)
        out[begin : begin + len(stroke)] += 0.3 * random.uniform(0.5, 1.0) * stroke
    return out.astype(np.float32)
