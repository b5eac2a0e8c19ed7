"""Status of the running monitor as text; pure functions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Snapshot = Mapping[str, Any]
"""Of `monitor.daemon.snapshot`."""

_ENGINES = {"torch": " in torch", "onnx": " in ONNX Runtime"}

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def page(snapshot: Snapshot, now: float) -> str:
    """Return what `clap-monitor status` prints; ``now`` is in Unix seconds."""
    if snapshot.get("state") == "setup":
        return "\n".join(_unfinished(snapshot))
    blocks = [
        list(_head(snapshot)),
        _table(("source", "level", ""), [_source(name, s, now) for name, s in snapshot["sources"].items()]),
        _table(("label", "threshold", "last event"), [_label(label, now) for label in snapshot["labels"]]),
        [line for label in snapshot["labels"] for line in _targets(label)],
        list(_unusual(snapshot)),
        _table((), list(_outputs(snapshot, now))),
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def lasted(seconds: float) -> str:
    """Return a time span in its two largest units: ``3 h 12 min``."""
    words: list[str] = []
    left = round(max(0.0, seconds))
    for length, unit in _UNITS:
        count, left = divmod(left, length)
        if count or (unit == "s" and not words):
            words.append(f"{count} {unit}")
    return " ".join(words[:2])


def clock(at: float) -> str:
    """Return the local time of day of a moment in Unix seconds."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def size(count: float) -> str:
    """Return a number of bytes in a unit that fits: ``12.3 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - of SI units
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _unfinished(snapshot: Snapshot) -> Iterator[str]:
    yield f"clap-monitor {snapshot['version']} as {snapshot['node']}: setup"
    for problem in snapshot["problems"]:
        yield f"  ! {problem['what']}: {problem['why']}"


def _head(snapshot: Snapshot) -> Iterator[str]:
    model, windows = snapshot["model"], snapshot["windows"]
    health = "healthy" if not snapshot["problems"] else "unhealthy"
    yield f"clap-monitor {snapshot['version']} as {snapshot['node']}: {health}"
    for problem in snapshot["problems"]:
        yield f"  ! {problem['what']}: {problem['why']}"
    if not snapshot["armed"]:
        yield "  detection is disarmed"
    yield (
        f"process {snapshot['pid']} for {lasted(snapshot['uptime_seconds'])}; "
        f"{model_line(model)}, "
        f"windows of {model['window_seconds']:g} s every {model['hop_seconds']:g} s"
    )
    if "calibration" in model:  # a monitor that is still of an earlier version says nothing of it
        yield f"calibration {calibration_line(model['calibration'])}"
    gated = windows["gated"] - windows.get("unchanged", 0)
    yield (
        f"real-time factor {snapshot['real_time_factor']:.3f}, lag {snapshot['lag_seconds']:.1f} s; windows: "
        f"{windows['scored']} scored, {_unchanged(windows)}{gated} gated, {windows['late']} late"
    )


def model_line(model: Mapping[str, Any]) -> str:
    """Return the checkpoint, and in what it runs: ``starter in ONNX Runtime on cpu, float32``."""
    engine = _ENGINES.get(model.get("engine", ""), "")  # a monitor of an earlier version says none
    return f"{model['name']}{engine} on {model['device']}, {model['dtype']}"


def _unchanged(windows: Mapping[str, int]) -> str:
    """Return for how many windows the model was spared; nothing if a monitor says nothing of it."""
    unchanged = windows.get("unchanged", 0)
    if not unchanged:
        return ""
    share = windows["scored"] / (windows["scored"] + unchanged)
    return f"{unchanged} unchanged (the model ran on {share:.0%}), "


def calibration_line(calibration: Mapping[str, Any]) -> str:
    """Return which calibration holds, and what the checkpoint is worth, in one line."""
    if calibration["made_at"] is None:
        return "shipped with the checkpoint"
    recall = calibration["recall"]
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(calibration["made_at"]))
    return (
        f"{calibration['source']} with kit {calibration['kit']}, {made}: AUROC {calibration['auroc']:.2f}, "
        f"recall {' / '.join(f'{value:.2f}' for value in recall.values())} at {' / '.join(recall)} dB"
    )


def _source(name: str, source: Mapping[str, Any], now: float) -> tuple[str, ...]:
    level = "silent" if source["level_dbfs"] is None else f"{source['level_dbfs']:.0f} dBFS"
    listeners = source.get("listeners", 0)  # a monitor of an earlier version has none
    more = [
        f"{listeners} {'listener' if listeners == 1 else 'listeners'}" if listeners else "",
        f"{source['dropped_seconds']:.1f} s dropped" if source["dropped_seconds"] else "",
        f"{source['gaps']} gaps" if source["gaps"] else "",
        f"reopened {source['reopened']} times" if source["reopened"] else "",
    ]
    state = "online"
    if source["ended"]:
        state, level = "ended", ""
    elif source["offline"]:
        since = lasted(now - source["offline_at"])
        state, level = f"offline for {since}: {source['offline_text']}", ""
    elif not source["online"]:
        state, level = "waiting for audio", ""
    elif source["overloaded"]:
        state = "overloaded: windows are late"
    return name, level, "; ".join([state, *filter(None, more)])


def _label(label: Mapping[str, Any], now: float) -> tuple[str, ...]:
    others = [f"{s} {t:.2f}" for s, t in label["thresholds"].items() if t != label["threshold"]]
    threshold = f"{label['threshold']:.2f}" + (f" ({', '.join(others)})" if others else "")
    return label["name"], threshold if label["enabled"] else "off", _last(label["last_event"], now)


def _targets(label: Mapping[str, Any]) -> Iterator[str]:
    """Yield how well the rate of false alarms is known that a label has as its target."""
    for source, words in label.get("targets", {}).items():  # a monitor of an earlier version has none
        yield f"{label['name']} at {source}, {label['target']}: {words}"


def _unusual(snapshot: Snapshot) -> Iterator[str]:
    """Yield from which distance on sounds are unusual, and how well their rate is known."""
    for source, known in (snapshot.get("unusual") or {}).items():
        threshold = "" if known["threshold"] is None else f"distance {known['threshold']:.2f}, "
        yield f"unusual sounds at {source}: {threshold}{known['words']}"


def _last(event: Mapping[str, Any] | None, now: float) -> str:
    if event is None:
        return "none"
    where = f"at {event['source']} ({event['peak_score']:.2f})"
    if event["ended_at"] is None:
        return f"active for {lasted(now - event['started_at'])}, {where}"
    return f"{lasted(now - event['ended_at'])} ago, {clock(event['started_at'])} {where}"


def _outputs(snapshot: Snapshot, now: float) -> Iterator[tuple[str, ...]]:
    mqtt, store, memory, clips, reload = (
        snapshot[key] for key in ("mqtt", "store", "memory", "clips", "reload")
    )
    if mqtt is not None:
        state = "connected" if mqtt["connected"] else mqtt["trouble"] or "not connected"
        counts = (
            f"{mqtt['published']} published, {mqtt['waiting']} waiting, {mqtt['dropped']} dropped, "
            f"{mqtt['refused']} refused"
        )
        yield "broker", f"{state}; {counts}"
    if store is not None:
        state = store["trouble"] or "writable"
        yield (
            "store",
            f"{state}; {store['written']} written, {store['waiting']} waiting, {store['dropped']} dropped",
        )
    if memory is not None:
        state = memory["trouble"] or "writable"
        counts = (
            f"{memory['written']} windows written, {memory['waiting']} waiting, {memory['dropped']} dropped"
        )
        yield "memory", f"{state}; {counts}; {size(memory['bytes'])} in total"
    if clips is not None:
        state = clips["trouble"] or "writable"
        outcomes = (
            ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in clips["decided"].items())
            or "none yet"
        )
        yield "clips", f"{state}; {outcomes}; {size(clips['bytes'])} in total"
    for each in snapshot["notify"]:
        state = each["trouble"] or "working"
        yield f"notify {each['name']}", f"{state}; {_counts(each, 'sent', 'held', 'failed', 'dropped')}"
    for each in snapshot["hooks"]:
        state = each["trouble"] or "working"
        yield f"hook {each['name']}", f"{state}; {_counts(each, 'done', 'failed', 'killed', 'dropped')}"
    for name, free in snapshot["disk_free_bytes"].items():
        yield name, f"{size(free)} free"
    if reload is not None:
        ago = lasted(now - reload["at"])
        yield (
            "reload",
            f"{ago} ago, {'refused: ' + reload['faults'][0] if reload['faults'] else 'applied'}",
        )


def _counts(each: Mapping[str, Any], *names: str) -> str:
    return ", ".join(f"{each[name]} {name}" for name in names)


def _table(head: Sequence[str], rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    lines = [tuple(head), *rows] if head else list(rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    return ["  ".join([*map(str.ljust, line, widths), line[-1]]).rstrip() for line in lines]
