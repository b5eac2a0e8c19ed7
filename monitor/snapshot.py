"""Everything that is known of a run at one moment, ready for JSON: what `clap-monitor status` shows."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict

from monitor import __version__
from monitor.control import Control, Listening
from monitor.hearing import Hearing
from monitor.outputs.mqtt import Mqtt
from monitor.status import Health, SourceStatus

SCHEMA = 1


def snapshot(
    control: Control,
    *,
    started_at: float,
    hearing: Hearing,
    sources: Mapping[str, SourceStatus],
    healths: Mapping[str, Health],
    mqtt: Mqtt | None,
    totals: Mapping[str, object],
) -> dict[str, object]:
    """Put together what every part counts.

    Parameters
    ----------
    control : Control
    started_at : float
        Unix seconds.
    hearing : Hearing
    sources, healths : mapping
        By the name of a source; what is not known yet is missing in the last.
    mqtt : Mqtt or None
    totals : mapping
        Of all sources together.

    Returns
    -------
    dict
        No number in it is infinite or none.  A key may be added to it, none changes its meaning.
    """
    config, listening = control.config, control.listening
    return {
        "schema": SCHEMA,
        "node": config.node,
        "version": __version__,
        "pid": os.getpid(),
        "started_at": round(started_at, 3),
        "uptime_seconds": round(time.time() - started_at, 1),
        "model": {
            "name": hearing.model.name,
            "device": hearing.model.device,
            "dtype": hearing.model.dtype,
            "window_seconds": hearing.length / hearing.rate,
            "hop_seconds": hearing.hop / hearing.rate,
            "rate": hearing.rate,
        },
        "armed": listening.armed,
        "changed_at_run_time": control.overridden,
        "changes_kept": control.kept,
        **totals,
        "lag_seconds": round(max(_lag(status, hearing.rate) for status in sources.values()), 3),
        "sources": {
            name: _source(status, hearing.rate, healths.get(name, Health()))
            for name, status in sources.items()
        },
        "labels": [_label(listening, id_) for id_ in (label.id for label in listening.labels)],
        "mqtt": None if mqtt is None else _mqtt(mqtt),
        "reload": None if control.reloaded is None else asdict(control.reloaded),
    }


def _source(status: SourceStatus, rate: int, health: Health) -> dict[str, object]:
    return {
        "online": status.captured > 0 and not status.ended and status.deaf_since is None,
        "ended": status.ended,
        "deaf": status.trouble,
        "deaf_since": status.deaf_since,
        "overloaded": health.overloaded,
        "level_dbfs": round(status.level_dbfs, 1) if math.isfinite(status.level_dbfs) else None,
        "captured_seconds": round(status.captured / rate, 3),
        "lost_seconds": round(status.lost / rate, 3),
        "dropped_seconds": round(health.dropped_seconds, 3),
        "lag_seconds": round(_lag(status, rate), 3),
        "overflows": status.overflows,
        "gaps": status.gaps,
        "reopened": status.reopened,
        "windows": {
            "scored": status.scored,
            "skipped": status.skipped,
            "gated": dict(status.gated),
        },
    }


def _lag(status: SourceStatus, rate: int) -> float:
    """Seconds of audio that has come and has not been looked at."""
    return max(0, status.captured - status.scored_until) / rate


def _label(listening: Listening, label: str) -> dict[str, object]:
    found = listening.everywhere(label)
    return {
        "id": found.id,
        "name": found.title,
        "enabled": found.enabled,
        "prompts": list(found.prompts),
        "threshold": found.threshold,
        "thresholds": {source: listening.label(source, label).threshold for source in listening.sources},
    }


def _mqtt(mqtt: Mqtt) -> dict[str, object]:
    return {
        "connected": mqtt.connected,
        "published": mqtt.published,
        "waiting": mqtt.waiting,
        "dropped": mqtt.dropped,
        "trouble": mqtt.trouble,
    }
