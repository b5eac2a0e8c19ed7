"""Events that labels would have started: a replay of their configuration over the memory."""

from __future__ import annotations

import time
from collections.abc import Iterator

from monitor.config import Config
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.engine import Engine
from monitor.detection.prototypes import Prototypes
from monitor.detection.rules import rule_of, rules_of
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.replay_diff import Firing
from monitor.memory.source_replay import SourceReplay, Watchlist
from monitor.types import Event

WARM_UP_SECONDS = 120.0
"""A replay begins this much earlier, so that it knows the room as the monitor did."""


def would_fire(
    reader: MemoryReader,
    engine: Engine,
    source: str,
    watchlist: Watchlist | None,
    *,
    since: float = 0.0,
    until: float = float("inf"),
) -> Iterator[Firing]:
    """Yield the events of a source that begin in some time, in the order of their ends.

    Parameters
    ----------
    reader : MemoryReader
    engine : Engine
        Its calibration counts, and it embeds prompts.
    source : str
    watchlist : Watchlist or None
        The labels; None for those that were in force, as they changed.
    since, until : float
        Unix seconds.
    """
    replay = SourceReplay(reader, source, engine.calibration, engine.build_prototypes)
    for event in replay.events(watchlist, max(0.0, since - WARM_UP_SECONDS), until):
        if event.reason is not None and event.started_at >= since:
            yield firing_of(event)


def firing_of(event: Event) -> Firing:
    """Return an event as a comparison takes it."""
    ended_at = time.time() if event.ended_at is None else event.ended_at
    return Firing(event.started_at, ended_at, event.source, event.label, round(event.peak_score, 3))


def watchlist_at(
    source: str, config: Config, engine: Engine, labels: ActiveLabels, prototypes: Prototypes
) -> Watchlist:
    """Return labels as a source would detect them; one that is not configured detects all of them.

    Parameters
    ----------
    source : str
    config : Config
    engine : Engine
    labels : ActiveLabels
    prototypes : Prototypes
        Of the enabled labels.
    """
    rules = rules_of(config, engine, labels).get(source)
    if rules is None:
        rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in labels.enabled]
    return Watchlist(prototypes, tuple(rules), unusual=source in labels.unusual)
