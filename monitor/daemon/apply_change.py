"""Change of settings while the monitor runs: detection first, then the outputs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from monitor.config import UNUSUAL, LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.control import Change
from monitor.detection.events import Detector
from monitor.detection.rules import rules_of
from monitor.outputs import Output
from monitor.types import EndReason, Event

if TYPE_CHECKING:
    from monitor.daemon.parts import Parts


def label_of(event: Event, detector: Detector, active_labels: ActiveLabels) -> LabelConfig:
    """Return the label of an event: among those in force, or that of unusual sounds."""
    if detector.unusual is not None and event.label == UNUSUAL:
        return detector.unusual.label(event.source)
    return active_labels.label(event.source, event.label)


def apply_change(parts: Parts, before: Change, change: Change, outputs: Output) -> None:
    """Apply changed settings; called between two windows, so that no window is lost.

    The outputs receive the end of each event that the change ends, then the change.
    """
    labels = change.active_labels
    ended = parts.detector.apply(rules_of(parts.config, parts.engine, labels))
    if not labels.armed:
        ended += parts.detector.finish(EndReason.DISARMED)
    for event in ended:
        outputs.on_event(event, label_of(event, parts.detector, before.active_labels))
    for name in parts.status:
        parts.baselines.record(name, before.prototypes, parts.scorer.baseline(name))
    parts.scorer.apply(labels, change.prototypes)
    outputs.on_labels(labels, parts.detector.rules)
    outputs.apply(change.config)
    logging.getLogger("monitor").setLevel(change.config.log_level.upper())
