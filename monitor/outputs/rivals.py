"""Rivals from reviews: an event that is marked wrong counts against its label while the mark holds."""

from __future__ import annotations

import logging

from monitor.config import UNUSUAL
from monitor.detection.control import Control
from monitor.detection.example_learner import ExampleLearner
from monitor.detection.examples import as_rivals
from monitor.outputs.store.rows import Mark, StoredEvent
from monitor.types import MonitorError

log = logging.getLogger(__name__)


def follow_mark(event: StoredEvent, mark: Mark | None, control: Control, learner: ExampleLearner) -> bool:
    """Apply the mark of an event to its label; return whether the event counts against it now.

    An event that is no longer in the memory, or whose label was removed, has no effect.

    Parameters
    ----------
    event : StoredEvent
    mark : Mark or None
        The new one.
    control : Control
    learner : ExampleLearner
    """
    if event.label == UNUSUAL:
        return False
    until = event.ended_at or event.started_at + (event.duration_seconds or 0.0)
    try:
        if mark != "wrong":
            known = control.examples.get(event.label)
            if known is not None and event.event_id in known.rival_origins:
                control.take_back(event.label, event.event_id)
            return False
        heard = learner.between(event.label, event.source, (event.started_at, until), event.event_id)
        control.learn(as_rivals(heard))
    except MonitorError as error:
        log.info(
            "event %s is %s, but its label is not changed: %s", event.event_id, mark or "unmarked", error
        )
        return False
    return True
