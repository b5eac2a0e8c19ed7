"""Snapshot of a run, ready for JSON: what `clap-monitor status` shows."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor import __version__
from monitor.audio.source_status import OVERLOADED, Health, SourceStatus
from monitor.daemon.progress import run_summary
from monitor.daemon.unusual_references import unusual_status
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.qualification import calibration_status
from monitor.outputs.clips import ClipRecorder
from monitor.outputs.embedding_memory import EmbeddingMemory
from monitor.outputs.hooks import Hook
from monitor.outputs.mqtt.publisher import MqttPublisher
from monitor.outputs.notify.notifier import Notifier
from monitor.outputs.payload import event_payload
from monitor.outputs.store import Store
from monitor.types import Event, GateReason

if TYPE_CHECKING:
    from monitor.daemon.parts import Parts

SCHEMA = 1

_MEMORY = ("written", "waiting", "dropped", "bytes")


def snapshot(parts: Parts) -> dict[str, Any]:
    """Return what every part counts.

    No number in it is infinite or NaN.  A later version may add keys, but changes the meaning of none.
    """
    control, engine = parts.control, parts.engine
    config, active_labels, reloaded = control.config, control.active_labels, control.last_reload
    refused = reloaded is not None and bool(reloaded.faults)
    configured_at = parts.started_at if reloaded is None or refused else reloaded.at
    listeners = parts.listeners.counts
    sources = {
        name: _source(status, engine.rate, parts.healths.get(name, Health()))
        | {"listeners": listeners[name].now, "listeners_lost_seconds": round(listeners[name].lost_seconds, 3)}
        for name, status in parts.status.items()
    }
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "node": config.node,
        "version": __version__,
        "pid": os.getpid(),
        "started_at": round(parts.started_at, 3),
        "uptime_seconds": round(time.time() - parts.started_at, 1),
        "model": {
            "name": engine.model.name,
            "engine": engine.model.engine,
            "device": engine.model.device,
            "dtype": engine.model.dtype,
            "window_seconds": engine.length / engine.rate,
            "hop_seconds": engine.hop / engine.rate,
            "rate": engine.rate,
            "calibration": calibration_status(engine.qualification, engine.model.identity),
        },
        "armed": active_labels.armed,
        "changed_at_run_time": control.overridden,
        "changes_kept": control.saved,
        "configured_at": round(configured_at, 3),
        "real_time_factor": round(run_summary(parts).real_time_factor, 4),
        "windows": _total([source["windows"] for source in sources.values()]),
        "events": parts.counters.started,
        **_outputs(parts),
        "commands": _commands(parts),
        "lag_seconds": max(source["lag_seconds"] for source in sources.values()),
        "sources": sources,
        "labels": [
            _label(active_labels, label.id, parts.counters.last.get(label.id))
            | {"target": label.target, "targets": parts.target_thresholds.words(label)}
            for label in active_labels.labels
        ],
        "unusual": unusual_status(parts.unusual),
        "reload": None if reloaded is None else asdict(reloaded),
        "watchlist": parts.follower.document(),
    }
    return {**found, "problems": problems(found)}


def _outputs(parts: Parts) -> dict[str, object]:
    archive, directories = parts.archive, parts.directories
    return {
        "mqtt": None if parts.mqtt is None else _mqtt(parts.mqtt),
        "store": None if archive.store is None else _counts(archive.store, "written", "waiting", "dropped"),
        "memory": None if parts.memory is None else _counts(parts.memory, *_MEMORY),
        "clips": None if archive.recorder is None else _clips(archive.recorder),
        "notify": [_counts(each, "name", "sent", "failed", "held", "dropped") for each in parts.notifiers],
        "hooks": [_counts(each, "name", "done", "failed", "killed", "dropped") for each in parts.hooks],
        "faults": {name: faults.count for name, faults in parts.faults.copy().items() if faults.count},
        "disk_free_bytes": {name: _free(path) for name, path in directories.paths.items()},
        "directories": dict(directories.trouble),
        "http": parts.http_servers.counts(),
    }


def _commands(parts: Parts) -> dict[str, int]:
    commands, mqtt = parts.commands, parts.mqtt
    return {
        "done": commands.done,
        "replaced": commands.replaced,
        "refused": commands.refused,
        "lost": commands.lost + (0 if mqtt is None else mqtt.status.unreadable),
    }


def _clips(clips: ClipRecorder) -> dict[str, object]:
    return {
        "decided": dict(clips.outcomes),
        "bytes": clips.library.size,
        "deleted": sum(clips.library.deleted.copy().values()),
        "trouble": clips.trouble,
    }


def _counts(output: Store | EmbeddingMemory | Notifier | Hook, *names: str) -> dict[str, object]:
    return {name: getattr(output, name) for name in (*names, "trouble")}


def _free(path: Path) -> int:
    """Return the free bytes of the file system where a directory is, or will be."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def problems(snapshot: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what keeps the monitor from its work, as ``what`` and ``why``; empty if it is healthy."""
    found = [(name, why) for name, source in snapshot["sources"].items() if (why := _problem(source))]
    mqtt, reload = snapshot["mqtt"], snapshot["reload"]
    if mqtt is not None and not mqtt["connected"]:
        found.append(("broker", f"not connected: {mqtt['trouble'] or 'not reached yet'}"))
    if mqtt is not None:
        found += [("broker", problem) for problem in mqtt["problems"]]
    kept = [
        (what, snapshot[what]["trouble"])
        for what in ("store", "memory", "clips")
        if snapshot[what] is not None
    ]
    found += [(what, f"cannot be written: {trouble}") for what, trouble in kept if trouble]
    watchlist = snapshot["watchlist"]
    if watchlist is not None and watchlist["reason"] is not None:
        found.append(("fleet", f"watchlist refused: {watchlist['reason']}"))
    found += [(key, trouble) for key, trouble in snapshot.get("directories", {}).items() if trouble]
    found += [
        (output, f"{count} faults of clap-monitor, see the log")
        for output, count in snapshot.get("faults", {}).items()
    ]
    for what, outputs in (("notify", snapshot["notify"]), ("hook", snapshot["hooks"])):
        found += [(f"{what} {each['name']}", each["trouble"]) for each in outputs if each["trouble"]]
    if reload is not None and reload["faults"]:
        found.append(("reload", f"refused: {reload['faults'][0]}"))
    return [{"what": what, "why": why} for what, why in found]


def _problem(source: Mapping[str, Any]) -> str | None:
    if source["offline"]:
        return f"offline: {source['offline_text']}"
    return OVERLOADED if source["overloaded"] else None


def _total(windows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the sums of the sources' counts as they were read; read again, one may have gone on."""
    return {
        "scored": sum(each["scored"] for each in windows),
        "unchanged": sum(each["gated"].get(GateReason.UNCHANGED, 0) for each in windows),
        "gated": sum(sum(each["gated"].values()) for each in windows),
        "late": sum(each["late"] for each in windows),
    }


def _source(status: SourceStatus, rate: int, health: Health) -> dict[str, Any]:
    outage = status.outage
    return {
        "online": status.captured > 0 and not status.ended and outage is None,
        "ended": status.ended,
        "offline": outage is not None,
        "offline_at": None if outage is None else outage.at,
        "offline_reason": None if outage is None else outage.reason,
        "offline_text": None if outage is None else outage.text,
        "overloaded": health.overloaded,
        "level_dbfs": round(status.level_dbfs, 1) if math.isfinite(status.level_dbfs) else None,
        "captured_seconds": round(status.captured / rate, 3),
        "lost_seconds": round(status.lost / rate, 3),
        "dropped_seconds": round(health.dropped_seconds, 3),
        "lag_seconds": round(max(0, status.captured - status.scored_until) / rate, 3),
        "overflows": status.overflows,
        "gaps": status.gaps,
        "reopened": status.reopened,
        "windows": {
            "scored": status.scored,
            "late": status.late,
            "gated": dict(status.gated),
        },
    }


def _label(active_labels: ActiveLabels, label: str, last: Event | None) -> dict[str, object]:
    found = active_labels.find(label)
    return {
        "id": found.id,
        "name": found.title,
        "enabled": found.enabled,
        "prompts": list(found.prompts),
        "threshold": found.threshold,
        "thresholds": active_labels.thresholds(label),
        "last_event": None if last is None else event_payload(last, found.title),
    }


def _mqtt(mqtt: MqttPublisher) -> dict[str, object]:
    return {key: value for key, value in asdict(mqtt.status).items() if key != "unreadable"}
