"""Firings: stored events, as the comparison with a replay takes them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from monitor.memory.replay_diff import Firing
from monitor.outputs.store.reader import StoreReader
from monitor.outputs.store.rows import EventFilter


def stored_firings(reader: StoreReader, wanted: EventFilter) -> Iterator[Firing]:
    """Yield all events that match, newest first; an event that still lasts ends now."""
    for event in reader.every_event(wanted):
        ended_at = time.time() if event.ended_at is None else event.ended_at
        yield Firing(event.started_at, ended_at, event.source, event.label, event.peak_score, event.event_id)
