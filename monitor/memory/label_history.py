"""Label history: how often a label would have fired while the memory reaches back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monitor.config import LabelConfig
from monitor.detection.calibration import Calibration
from monitor.detection.prototypes import Prototypes
from monitor.detection.rules import rule_of
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.source_replay import SourceReplay, Watchlist


@dataclass(frozen=True, slots=True)
class LabelHistory:
    """Events that a label would have had."""

    events: int
    hours: float
    """Scored audio of all sources together."""


@dataclass(frozen=True, slots=True, eq=False)
class HistoryOptions:
    """How windows become events of a label."""

    calibration: Calibration
    rate: int
    """Samples per second."""
    hop_of: Callable[[str], int]
    """Source to its samples between two windows."""


def label_history(
    reader: MemoryReader, label: LabelConfig, prototypes: Prototypes, options: HistoryOptions, since: float
) -> LabelHistory | None:
    """Count the events of one label since a moment; None if the memory holds nothing of that time.

    Parameters
    ----------
    reader : MemoryReader
    label : LabelConfig
    prototypes : Prototypes
        Of this label alone.
    options : HistoryOptions
    since : float
        Unix seconds.
    """
    events, seconds = 0, 0.0
    for source in reader.sources:
        hop = options.hop_of(source)
        rule = rule_of(label, rate=options.rate, hop=hop)
        replay = SourceReplay(reader, source, options.calibration, lambda _labels, _background: prototypes)
        found = replay.events(Watchlist(prototypes, (rule,)), since)
        events += sum(event.ended_at is None for event in found)
        windows = sum(len(chunk.windows) for chunk in reader.chunks(source, since))
        seconds += windows * hop / options.rate
    return LabelHistory(events, seconds / 3600) if seconds else None
