"""Things that happen, to be kept."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from monitor.config import StoreConfig
from monitor.detection.events import ulid
from monitor.outputs.store import Store, StoreReader
from monitor.types import Event, MissReason, NearMiss, Scores

RATE = 4
NOON = 1_795_435_200.0
"""Unix seconds of a whole hour."""

FOR_EVER = StoreConfig(keep_days=36_500, keep_misses_days=36_500, keep_minutes_days=36_500)
"""What happened at noon is kept whenever the tests run."""


def event(at=NOON, *, source="mic", label="dog", peak=0.8, seconds=4.0, ident=None):
    """Return an event that is over."""
    return Event(
        id=ident or ulid(at),
        source=source,
        label=label,
        start=0,
        stop=16,
        started_at=at,
        ended_at=at + seconds,
        score=min(peak, 0.7),
        peak=peak,
        windows=3,
        level_dbfs=-30.0,
        uncertainty_seconds=1.0,
        reason="quiet",
    )


def start_of(over):
    """Return the event as it was when it began."""
    return replace(over, stop=None, ended_at=None, peak=over.score, reason=None)


def miss(at=NOON, *, source="mic", label="dog", reason=MissReason.BELOW_THRESHOLD, score=0.4):
    return NearMiss(
        source=source,
        label=label,
        start=0,
        stop=3 * RATE,
        at=at,
        score=score,
        threshold=0.5,
        reason=reason,
        rival=None,
        hits=0,
        needed=2,
        level_dbfs=float("-inf"),
    )


def window(at, *values, source="mic", labels=("dog", "cat"), level_dbfs=-30.0):
    return Scores(
        source=source,
        start=0,
        stop=8,
        ended_at=at,
        labels=labels[: len(values)],
        values=np.array(values, np.float32),
        level_dbfs=level_dbfs,
    )


@contextmanager
def storing(path, config=None, *, labels=(), votes=None, **settings):
    """Lend a store whose thread runs."""
    store = Store(path, config or FOR_EVER, rate=RATE, **settings)
    store.apply_labels(labels, votes or {})
    thread = threading.Thread(target=store.run)
    thread.start()
    try:
        yield store
    finally:
        store.close()
        thread.join(120)
        assert not thread.is_alive()


def kept(path, *things, config=None, **settings):
    """Keep things, and return what can be asked of them."""
    with storing(path, config, **settings) as store:
        for thing in things:
            if isinstance(thing, Event):
                store.on_event(thing)
            elif isinstance(thing, NearMiss):
                store.on_near_miss(thing)
            else:
                store.on_scores(thing)
    assert (store.dropped, store.refused, store.waiting, store.trouble) == (0, 0, 0, None)
    return StoreReader(path)
