"""Search: the moments of the memory that fit a direction of the embedding space best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detection.prototypes import Directions
from monitor.detection.quantised import UNITS
from monitor.memory.memory_reader import Chunk, MemoryReader
from monitor.memory.segment import MemoryFormatError

_AT_ONCE = 512
"""Windows in one matrix product: 1 MB at d = 512, so that what was read is still in the cache."""

_SHARE = 0.5
"""A stretch reaches as far as its windows fit more than this share of the way from the usual to its best."""

_LOOKED_AT = 20_000
"""Best windows from which the stretches are made."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of time that fits."""

    source: str
    started_at: float
    """Unix seconds of the start of its first window."""
    ended_at: float
    """Unix seconds of the end of its last window."""
    peak_at: float
    """Unix seconds of the end of its best window."""
    fit: float
    """Of the best window: deviations of the cosine above its mean over all kinds of sound."""
    level_dbfs: float
    """Level of the newest hop of the best window, in dB of full scale."""


@dataclass(frozen=True, slots=True, eq=False)
class _Fits:
    """Every window of a source that was looked at."""

    ended_at: NDArray[np.float64]
    fits: NDArray[np.float32]
    levels: NDArray[np.float32]
    length: float
    """Seconds in a window; of the newest segment."""
    hop: float


def search(
    reader: MemoryReader,
    direction: Directions,
    sources: Iterable[str],
    *,
    since: float = 0.0,
    until: float = float("inf"),
    top: int = 20,
) -> list[Moment]:
    """Return the moments that fit best, best first; those nearer than a window are one.

    Parameters
    ----------
    reader : MemoryReader
    direction : Directions
        Of one vector.
    sources : iterable of str
    since, until : float
        Unix seconds of the ends of windows.
    top : int
        Most moments.
    """
    found: list[Moment] = []
    for source in sources:
        fits = _fits_of(reader, reader.chunks(source, since, until), direction)
        if fits is not None:
            found += _stretches(source, fits, top)
    return sorted(found, key=lambda moment: -moment.fit)[:top]


def _fits_of(reader: MemoryReader, chunks: Iterable[Chunk], direction: Directions) -> _Fits | None:
    times, fits, levels = [], [], []
    header = None
    cosines_of = _Cosines(direction.vectors[0])
    for chunk in chunks:
        try:
            fits.append(cosines_of(chunk))
        except MemoryFormatError as error:  # deleted meanwhile
            reader.report(chunk.segment.path, error)
            continue
        header = chunk.segment.header
        times.append(chunk.ended_at)
        levels.append(chunk.levels)
    if header is None:
        return None
    cosines = np.concatenate(fits)
    scaled: NDArray[np.float32] = (cosines - direction.mean) / direction.deviation
    length, hop = header.length / header.rate, header.hop / header.rate
    return _Fits(np.concatenate(times), scaled, np.concatenate(levels), length, hop)


class _Cosines:
    """Cosines of windows with a vector, in buffers that are used again: new ones cost a third of the time."""

    def __init__(self, vector: NDArray[np.float32]) -> None:
        self._units = (vector / np.float32(UNITS)).astype(np.float32)
        self._rows = np.empty((_AT_ONCE, len(vector)), dtype=np.int16)
        self._several = np.empty((_AT_ONCE, len(vector)), dtype=np.float32)

    def __call__(self, chunk: Chunk) -> NDArray[np.float32]:
        cosines = np.empty(len(chunk.windows), dtype=np.float32)
        first = 0
        for rows in chunk.blocks(self._rows):
            part = self._several[: len(rows)]
            np.copyto(part, rows)
            np.dot(part, self._units, out=cosines[first : first + len(rows)])
            first += len(rows)
        return cosines


def _stretches(source: str, found: _Fits, top: int) -> list[Moment]:
    count = len(found.fits)
    if not count:
        return []
    middle, last = (count - 1) // 2, max(0, count - _LOOKED_AT)
    usual, least = np.partition(found.fits, [middle, last])[[middle, last]].tolist()
    best = np.flatnonzero(found.fits >= least)
    taken = np.zeros(count, dtype=bool)
    moments: list[Moment] = []
    for place in best[np.argsort(-found.fits[best], kind="stable")].tolist():
        if len(moments) == top:
            break
        if taken[place]:
            continue
        first, last = _around(found, place, usual)
        begin = found.ended_at[first] - found.length
        near = slice(
            int(np.searchsorted(found.ended_at, begin)),
            int(np.searchsorted(found.ended_at, found.ended_at[last] + found.length, side="right")),
        )
        if not taken[near].any():
            moments.append(
                Moment(
                    source,
                    float(begin),
                    float(found.ended_at[last]),
                    float(found.ended_at[place]),
                    float(found.fits[place]),
                    float(found.levels[place]),
                )
            )
        taken[near] = True
    return moments


def _around(found: _Fits, place: int, usual: float) -> tuple[int, int]:
    """Return the first and the last window of the stretch around a window."""
    least = usual + _SHARE * (float(found.fits[place]) - usual)
    first = last = place
    while first > 0 and _belongs(found, first - 1, first, least):
        first -= 1
    while last + 1 < len(found.fits) and _belongs(found, last + 1, last, least):
        last += 1
    return first, last


def _belongs(found: _Fits, place: int, beside: int, least: float) -> bool:
    near = abs(found.ended_at[place] - found.ended_at[beside]) <= 2 * found.hop
    return bool(near and found.fits[place] > least)
