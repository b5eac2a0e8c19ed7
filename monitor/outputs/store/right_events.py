"""Events that a user has marked as right, as stretches of time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.outputs.store.reader import StoreReader
from monitor.outputs.store.rows import EventFilter, StoredEvent
from monitor.outputs.store.schema import FILE


def right_events(state: Path, source: str, since: float) -> dict[str, NDArray[np.float64]]:
    """Return start and end of the events of a source in Unix seconds, by label, shape (n, 2).

    Parameters
    ----------
    state : Path
        The state directory.
    source : str
    since : float
        Unix seconds.

    Raises
    ------
    StoreError
        The store cannot be read now.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for event in _right(state / FILE, EventFilter(since=since, sources=(source,), review="right")):
        ended_at = event.started_at if event.ended_at is None else event.ended_at
        found.setdefault(event.label, []).append((event.started_at, ended_at))
    return {label: np.array(spans, dtype=np.float64) for label, spans in found.items()}


def _right(path: Path, wanted: EventFilter) -> Iterator[StoredEvent]:
    if not path.exists():
        return
    reader = StoreReader(path)
    try:
        yield from reader.every_event(wanted)
    finally:
        reader.close()
