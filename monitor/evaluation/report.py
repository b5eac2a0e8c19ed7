"""Report of an evaluation: values, as JSON, as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from monitor.evaluation.clip_metrics import Ranking
from monitor.evaluation.confidence import Estimate

RATES = (0.1, 1.0, 10.0)
"""False alarms an hour at which recall is given."""


@dataclass(frozen=True, slots=True)
class Point:
    """One threshold."""

    threshold: float
    """In [0, 1]; the default detector's, moved."""
    false_per_hour: float
    recall: float


@dataclass(frozen=True, slots=True)
class Detection:
    """Detection metrics of one label, or of all together."""

    occurrences: int
    recall: Estimate
    """At the default thresholds."""
    false_per_hour: Estimate
    """At the default thresholds; of all labels together: for each label."""
    latency_p50: float | None
    """Seconds from onset to report at the default thresholds; None if nothing was found."""
    latency_p95: float | None
    recall_at: Mapping[str, Estimate]
    """Highest recall with at most this many false alarms an hour; for all labels: one threshold for all."""
    recall_at_snr: Mapping[str, Estimate]
    """At 1 false alarm an hour and label: by the SNR the annotation gives, in dB."""
    f1_at_1s: float | None
    """Event-based F1, onset within 1 s, at the default thresholds."""
    f1_at_window: float | None
    """The same within the length of a window."""
    curve: tuple[Point, ...] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of an evaluation."""

    model: str
    labels: tuple[str, ...]
    recordings: int
    hours: float
    window_seconds: float
    hop_seconds: float
    ranking: Mapping[str, Ranking]
    """By label and ``all``: of clips; empty if there are none."""
    detection: Mapping[str, Detection]
    """By label, ``all`` (one threshold for all) and ``mean`` (over labels, each at its own); empty if there
    are only clips."""
    psds: Mapping[str, float | None]
    ignored: tuple[str, ...]
    """Labels of the annotation that the configuration does not have."""


def as_json(report: Report) -> str:
    """Everything, as one JSON object."""
    return json.dumps(asdict(report), indent=1, allow_nan=False)


def as_text(report: Report) -> str:
    """The figures as plain tables, for a terminal or a log."""
    windows = f"windows of {report.window_seconds:g} s every {report.hop_seconds:g} s"
    lines = [f"{report.model}: {report.recordings} recordings, {report.hours:.2f} h, {windows}"]
    if report.ranking:
        lines += ["", f"{'clips':<22}{'n':>5}  {'average precision':<20}{'AUROC':<20}"]
        lines += [
            f"{name:<22}{r.clips:>5}  {r.average_precision!s:<20}{r.auroc!s:<20}"
            for name, r in report.ranking.items()
        ]
    if report.detection:
        lines += ["", _detection_header()]
        lines += [_detection_line(name, found) for name, found in report.detection.items()]
        lines += ["", *_by_snr(report)]
        lines += [
            "  ".join(
                f"{key} {'-' if value is None else format(value, '.3f')}"
                for key, value in report.psds.items()
            )
        ]
    if report.ignored:
        lines += ["", "annotated, but not evaluated: " + ", ".join(report.ignored)]
    return "\n".join(lines) + "\n"


def _detection_header() -> str:
    rates = "".join(f"{'at ' + format(rate, 'g') + '/h':>8}" for rate in RATES)
    return (
        f"{'events':<18}{'n':>5}  {'recall':<19}{'false alarms/h':<19}{rates}{'p50':>6}{'p95':>6}"
        f"{'F1 1 s':>8}{'F1 win':>8}"
    )


def _detection_line(name: str, found: Detection) -> str:
    rates = "".join(f"{_plain(found.recall_at[format(rate, 'g')].value):>8}" for rate in RATES)
    return (
        f"{name:<18}{found.occurrences:>5}  {found.recall!s:<19}{found.false_per_hour!s:<19}{rates}"
        f"{_plain(found.latency_p50, 1):>6}{_plain(found.latency_p95, 1):>6}"
        f"{_plain(found.f1_at_1s):>8}{_plain(found.f1_at_window):>8}"
    )


def _by_snr(report: Report) -> list[str]:
    """Recall at 1 false alarm an hour and label, by SNR, of the rows that stand for all labels."""
    return [
        f"{name} at 1/h: " + ", ".join(f"{snr} dB {value}" for snr, value in found.recall_at_snr.items())
        for name in ("all", "mean")
        if (found := report.detection.get(name)) is not None and found.recall_at_snr
    ]


def _plain(value: float | None, places: int = 2) -> str:
    return "-" if value is None else f"{value:.{places}f}"
