"""Entries of windows and breaks, as the memory and the results of a scan keep them."""

from __future__ import annotations

import math
from dataclasses import replace

from monitor.detection.quantised import DISTANCE_UNITS, quantised
from monitor.memory.memory_reader import to_ns
from monitor.memory.segment import (
    BREAKS,
    DISTANCE_SHIFT,
    GATES,
    HOUR_NS,
    PATTERN_FLAGS,
    SPEECH_FLAG,
    Entry,
    Kind,
)
from monitor.types import Break, EndReason, Scores


def entry_of(scores: Scores) -> Entry:
    """Return the entry of a window, scored or not."""
    flags = round(scores.distance * DISTANCE_UNITS) << DISTANCE_SHIFT
    entry = Entry(to_ns(scores.ended_at), scores.stop, level=_finite(scores.level_dbfs), flags=flags)
    if scores.embedding is not None and scores.gated is None:
        flags += sum(PATTERN_FLAGS[name] for name in scores.patterns) + SPEECH_FLAG * scores.speech
        return replace(entry, flags=flags, vector=quantised(scores.embedding).astype("<i2").tobytes())
    if scores.gated is not None:
        return replace(entry, kind=Kind.GATED, reason=GATES.index(scores.gated))
    return entry


def entry_of_break(at: Break) -> Entry:
    """Return the entry of a place where the audio is interrupted."""
    return Entry(to_ns(at.at), at.index, kind=Kind.BREAK, reason=BREAKS.index(EndReason(at.reason)))


def joined(last: Entry, entry: Entry, hop: int) -> Entry | None:
    """Return one entry for two windows in a row that were not scored for the same reason; None otherwise.

    Nor for unusual ones, which may begin an event: each keeps its time and level.
    """
    alike = last.kind == entry.kind == Kind.GATED and last.reason == entry.reason
    if (
        not alike
        or last.flags
        or entry.flags
        or entry.stop != last.stop + hop
        or last.ended_ns // HOUR_NS != entry.ended_ns // HOUR_NS
    ):
        return None
    return replace(entry, count=last.count + entry.count)


def _finite(level: float) -> float:
    return level if math.isfinite(level) else -999.0
