"""Audio small enough to read: rate 4 Hz, ramps, so that a value is its index."""

from collections.abc import Iterator

import numpy as np

from monitor.types import AudioBlock, Samples, Scores

RATE = 4


def ramp(n: int) -> Samples:
    return np.arange(n, dtype=np.float32)


def blocks_of(audio: Samples, size: int, *, gap_at: int | None = None) -> Iterator[AudioBlock]:
    for start in range(0, len(audio), size):
        samples = audio[start : start + size]
        stop = start + len(samples)
        yield AudioBlock("mic", start, samples, ended_at=100 + stop / RATE, gap=start == gap_at)


def scores_of(*values: float, hop: int = 4, length: int = 8, label: str = "dog") -> list[Scores]:
    """Scores of consecutive windows of one label of one source."""
    return [
        Scores(
            source="mic",
            start=i * hop,
            stop=i * hop + length,
            ended_at=100 + (i * hop + length) / RATE,
            labels=(label,),
            values=np.array([value], dtype=np.float32),
            level_dbfs=-30.0,
        )
        for i, value in enumerate(values)
    ]
