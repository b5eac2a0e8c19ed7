"""Status -> Prometheus: every number that the monitor counts, under one prefix and in base units.

Nothing is counted here.  A scrape reads the snapshot that `clap-monitor status` shows and the `Counters`, so
it costs nothing while nobody asks.  Labels are sources, identifiers of labels, and small fixed sets of words:
never prompts or addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily as _Counter
from prometheus_client.core import GaugeMetricFamily as _Gauge
from prometheus_client.core import HistogramMetricFamily as _Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from monitor.outputs.counters import Counters
from monitor.system.histogram import Histogram
from monitor.types import GateReason

PREFIX = "clap_monitor_"

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Snapshot = Mapping[str, Any]
"""Of `monitor.daemon.snapshot`."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric."""

    name: str
    """Without the prefix."""
    kind: type[_Counter | _Gauge | _Histogram]
    help: str
    labels: tuple[str, ...] = ()


_FAMILIES = (
    Family(
        "build_info",
        _Gauge,
        "Always 1; its labels describe the running monitor.",
        ("version", "model", "engine", "device", "dtype"),
    ),
    Family(
        "calibration_info",
        _Gauge,
        "Always 1; its labels say where the calibration is from: shipped or qualified, and with which kit.",
        ("source", "kit"),
    ),
    Family("calibration_auroc", _Gauge, "Mean AUROC of the checkpoint on the calibration kit, if measured."),
    Family("up", _Gauge, "1 while the monitor runs."),
    Family("healthy", _Gauge, "1 if nothing is wrong, as clap-monitor status judges it."),
    Family("armed", _Gauge, "1 while detection is armed."),
    Family("start_time_seconds", _Gauge, "Unix time at which the monitor started."),
    Family("source_up", _Gauge, "1 while audio arrives from a source.", ("source",)),
    Family("source_overloaded", _Gauge, "1 while the analysis cannot keep up.", ("source",)),
    Family("source_restarts_total", _Counter, "Times a source was opened again.", ("source",)),
    Family("capture_frames_total", _Counter, "Samples that arrived, at the model's rate.", ("source",)),
    Family("capture_overflows_total", _Counter, "Overflows that a sound card reported.", ("source",)),
    Family("capture_gaps_total", _Counter, "Places where audio is missing.", ("source",)),
    Family(
        "ring_dropped_seconds_total",
        _Counter,
        "Audio that was not analysed: lost before the ring buffer, or in late windows.",
        ("source", "reason"),
    ),
    Family("listeners", _Gauge, "How many hear a source live.", ("source",)),
    Family("listeners_lost_seconds_total", _Counter, "Audio that slow listeners lost.", ("source",)),
    Family("windows_scored_total", _Counter, "Windows that were scored.", ("source",)),
    Family(
        "windows_gated_total",
        _Counter,
        f"Windows not scored because of a gate: {', '.join(GateReason)}.",
        ("source", "reason"),
    ),
    Family("windows_late_total", _Counter, "Windows left out because the analysis was late.", ("source",)),
    Family("inference_seconds", _Histogram, "Time in the model for the windows due together."),
    Family("stage_seconds", _Histogram, "Time in each stage of the analysis.", ("stage",)),
    Family("realtime_ratio", _Gauge, "Seconds of scoring for each second of audio; below 1 keeps up."),
    Family("lag_seconds", _Gauge, "Audio that has arrived and has not been scored.", ("source",)),
    Family("score", _Gauge, "Score of a label in the newest window.", ("source", "label")),
    Family("threshold", _Gauge, "Score from which a window counts as a detection.", ("source", "label")),
    Family("level_dbfs", _Gauge, "Newest level in dB of full scale.", ("source",)),
    Family("events_total", _Counter, "Events that started.", ("source", "label")),
    Family("last_event_timestamp_seconds", _Gauge, "Unix time of the newest onset of a label.", ("label",)),
    Family(
        "candidates_rejected_total",
        _Counter,
        "Near misses: candidates that did not become an event, by reason.",
        ("label", "reason"),
    ),
    Family(
        "alert_latency_seconds",
        _Histogram,
        "Time from the onset of an event until the broker acknowledged it.",
    ),
    Family("mqtt_connected", _Gauge, "1 while the monitor is connected to the broker."),
    Family("mqtt_queue_messages", _Gauge, "Starts and ends that wait for the broker."),
    Family("mqtt_published_total", _Counter, "Starts and ends that the broker has acknowledged."),
    Family("mqtt_dropped_total", _Counter, "Starts and ends that were dropped."),
    Family("mqtt_refused_total", _Counter, "Messages of any kind that the broker refused."),
    Family("store_queue_messages", _Gauge, "Changes that wait to be written to the store."),
    Family("store_written_total", _Counter, "Changes that were written to the store."),
    Family("store_dropped_total", _Counter, "Changes that could not be stored and are lost."),
    Family("memory_bytes", _Gauge, "Size of the memory of embeddings."),
    Family("memory_queue_windows", _Gauge, "Windows that wait to be written to the memory."),
    Family("memory_written_total", _Counter, "Embeddings of windows that were written to the memory."),
    Family("memory_dropped_total", _Counter, "Windows that could not be written to the memory and are lost."),
    Family("clips_total", _Counter, "Clips, by outcome.", ("outcome",)),
    Family("clips_bytes", _Gauge, "Size of all clips."),
    Family("clips_deleted_total", _Counter, "Clips deleted to keep within the limits."),
    Family("disk_free_bytes", _Gauge, "Free space on the disk of a directory.", ("directory",)),
    Family("notifications_total", _Counter, "Notifications, by outcome.", ("target", "outcome")),
    Family("hook_runs_total", _Counter, "Runs of hooks, by outcome.", ("hook", "outcome")),
    Family("commands_total", _Counter, "Commands over MQTT, by outcome.", ("outcome",)),
    Family(
        "http_rejections_total",
        _Counter,
        "Requests refused, connections turned away or closed for being too slow, and internal errors.",
        ("reason",),
    ),
    Family("config_last_reload_successful", _Gauge, "1 unless the last reload was refused."),
    Family(
        "config_last_reload_success_timestamp_seconds",
        _Gauge,
        "Unix time at which the configuration in use was read.",
    ),
)

FAMILIES = {family.name: family for family in _FAMILIES}
"""Everything that there is, in the order in which it is given out."""


class Metrics(Collector):
    """Give out what a monitor counts, as text.

    Parameters
    ----------
    snapshot : callable
        Returns what `clap-monitor status` shows.
    counters : Counters
    stages : mapping of str to Histogram
        Seconds that each stage of the analysis took; ``embed`` is the model.
    latency : Histogram or None
        Seconds from the onset of an event until the broker had it; None without a broker.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        counters: Counters,
        *,
        stages: Mapping[str, Histogram],
        latency: Histogram | None,
    ) -> None:
        self._snapshot, self._counters = snapshot, counters
        self._histograms = [("stage_seconds", [stage], histogram) for stage, histogram in stages.items()]
        self._histograms.append(("inference_seconds", [], stages["embed"]))
        if latency is not None:
            self._histograms.append(("alert_latency_seconds", [], latency))
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return everything in the text format of Prometheus; its type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every family, also those that are empty."""
        made: dict[str, Any] = {
            name: family.kind(PREFIX + name, family.help, labels=family.labels)
            for name, family in FAMILIES.items()
        }
        for name, values, value in _samples(self._snapshot(), self._counters):
            made[name].add_metric(values, float(value))
        for name, values, histogram in self._histograms:
            buckets = [(_bound(bound), float(count)) for bound, count in histogram.cumulative()]
            made[name].add_metric(values, buckets=buckets, sum_value=histogram.total)
        yield from made.values()


def _bound(bound: float) -> str:
    return "+Inf" if bound == float("inf") else str(bound)


Sample = tuple[str, list[str], float]
"""Name without the prefix, values of the labels, value."""


def _samples(snapshot: Snapshot, counters: Counters) -> Iterator[Sample]:
    model, reload = snapshot["model"], snapshot["reload"]
    build = (model[key] for key in ("name", "engine", "device", "dtype"))
    yield "build_info", [snapshot["version"], *build], 1
    calibration = model["calibration"]
    yield "calibration_info", [calibration["source"], str(calibration["kit"] or "")], 1
    if calibration["auroc"] is not None:
        yield "calibration_auroc", [], calibration["auroc"]
    yield "up", [], 1
    yield "healthy", [], not snapshot["problems"]
    yield "armed", [], snapshot["armed"]
    yield "start_time_seconds", [], snapshot["started_at"]
    yield "realtime_ratio", [], snapshot["real_time_factor"]
    yield "config_last_reload_successful", [], not (reload and reload["faults"])
    yield "config_last_reload_success_timestamp_seconds", [], snapshot["configured_at"]
    for name, source in snapshot["sources"].items():
        yield from _source(name, source, model["rate"])
    yield from _heard(snapshot, counters)
    yield from _outputs(snapshot)
    for outcome, count in snapshot["commands"].items():
        yield "commands_total", [outcome], count
    for directory, free in snapshot["disk_free_bytes"].items():
        yield "disk_free_bytes", [directory], free


def _source(name: str, source: Mapping[str, Any], rate: int) -> Iterator[Sample]:
    windows = source["windows"]
    yield "source_up", [name], source["online"]
    yield "source_overloaded", [name], source["overloaded"]
    yield "source_restarts_total", [name], source["reopened"]
    yield "capture_frames_total", [name], round(source["captured_seconds"] * rate)
    yield "capture_overflows_total", [name], source["overflows"]
    yield "capture_gaps_total", [name], source["gaps"]
    yield "ring_dropped_seconds_total", [name, "lost"], source["lost_seconds"]
    yield "ring_dropped_seconds_total", [name, "late"], source["dropped_seconds"] - source["lost_seconds"]
    yield "listeners", [name], source["listeners"]
    yield "listeners_lost_seconds_total", [name], source["listeners_lost_seconds"]
    yield "windows_scored_total", [name], windows["scored"]
    yield "windows_late_total", [name], windows["late"]
    for reason, count in windows["gated"].items():
        yield "windows_gated_total", [name, reason], count
    yield "lag_seconds", [name], source["lag_seconds"]
    if source["level_dbfs"] is not None:
        yield "level_dbfs", [name], source["level_dbfs"]


def _heard(snapshot: Snapshot, counters: Counters) -> Iterator[Sample]:
    """Scores, thresholds and past events of the labels in force."""
    known = {label["id"] for label in snapshot["labels"]}
    for source, scores in counters.newest.copy().items():
        for label, value in zip(scores.labels, scores.values.tolist(), strict=True):
            yield "score", [source, label], value
    for label in snapshot["labels"]:
        for source, threshold in label["thresholds"].items():
            yield "threshold", [source, label["id"]], threshold
            yield "events_total", [source, label["id"]], counters.events.get((source, label["id"]), 0)
    for label, event in counters.last.copy().items():
        if label in known:
            yield "last_event_timestamp_seconds", [label], event.started_at
    for (label, reason), count in counters.rejected.copy().items():
        if label in known:
            yield "candidates_rejected_total", [label, reason], count


def _stored(snapshot: Snapshot) -> Iterator[Sample]:
    store, memory = snapshot["store"], snapshot["memory"]
    if store is not None:
        yield "store_queue_messages", [], store["waiting"]
        yield "store_written_total", [], store["written"]
        yield "store_dropped_total", [], store["dropped"]
    if memory is not None:
        yield "memory_bytes", [], memory["bytes"]
        yield "memory_queue_windows", [], memory["waiting"]
        yield "memory_written_total", [], memory["written"]
        yield "memory_dropped_total", [], memory["dropped"]


def _outputs(snapshot: Snapshot) -> Iterator[Sample]:
    mqtt, clips = snapshot["mqtt"], snapshot["clips"]
    if mqtt is not None:
        yield "mqtt_connected", [], mqtt["connected"]
        yield "mqtt_queue_messages", [], mqtt["waiting"]
        yield "mqtt_published_total", [], mqtt["published"]
        yield "mqtt_dropped_total", [], mqtt["dropped"]
        yield "mqtt_refused_total", [], mqtt["refused"]
    yield from _stored(snapshot)
    if clips is not None:
        yield "clips_bytes", [], clips["bytes"]
        yield "clips_deleted_total", [], clips["deleted"]
        for outcome, count in clips["decided"].items():
            yield "clips_total", [outcome], count
    for reason, count in (snapshot.get("http") or {}).items():
        yield "http_rejections_total", [reason], count
    for target in snapshot["notify"]:
        for outcome in ("sent", "failed", "held", "dropped"):
            yield "notifications_total", [target["name"], outcome], target[outcome]
    for hook in snapshot["hooks"]:
        for outcome in ("done", "failed", "killed", "dropped"):
            yield "hook_runs_total", [hook["name"], outcome], hook[outcome]
