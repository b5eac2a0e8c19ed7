"""Things that happen, to be kept."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from monitor.config import StoreConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.event_machine import ulid
from monitor.detection.near_misses import NearMiss
from monitor.detection.rules import rule_of
from monitor.outputs.store import Store, StoreReader
from monitor.types import Event, Scores
from tests.support import events
from tests.support.events import RATE, ended, label_of, near_miss

NOON = 1_795_435_200.0
"""Unix seconds of a whole hour."""

FOR_EVER = StoreConfig(keep_days=36_500, keep_near_misses_days=36_500, keep_minutes_days=36_500)
"""What happened at noon is kept whenever the tests run."""


def event(at=NOON, *, seconds=4.0, peak_score=0.8, **fields):
    """Return an event that is over."""
    known = {"id": ulid(at), "source": "mic", "score": min(peak_score, 0.7), "peak_score": peak_score}
    return ended(events.event(at=at, **known | fields), seconds)


def start_of(over):
    """Return the event as it was when it began."""
    return replace(over, stop=None, ended_at=None, peak_score=over.score, reason=None)


def miss(at=NOON, **fields):
    return near_miss(at=at, **{"source": "mic"} | fields)


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


def rule(label, vote):
    """Return a rule by which so many windows must agree, among so many."""
    hits, of = vote
    return replace(rule_of(label_of(label), rate=RATE, hop=RATE), hits=hits, of=of)


@contextmanager
def storing(path, config=None, *, labels=(), votes=None, **settings):
    """Lend a store whose thread runs."""
    store = Store(path, config or FOR_EVER, rate=RATE, **settings)
    store.on_labels(
        ActiveLabels(tuple(labels), ("mic",)), {"mic": [rule(*vote) for vote in (votes or {}).items()]}
    )
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
                store.on_event(thing, label_of("dog"))
            elif isinstance(thing, NearMiss):
                store.on_near_miss(thing)
            else:
                store.on_scores(thing)
    assert (store.dropped, store.refused, store.waiting, store.trouble) == (0, 0, 0, None)
    return StoreReader(path)
