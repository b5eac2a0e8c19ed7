"""Matching of reported events to annotated occurrences; the rest are false alarms and misses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.evaluation.annotations import Occurrence
from monitor.evaluation.replay import DetectedEvent


@dataclass(frozen=True, slots=True)
class Matched:
    """One label in one recording."""

    occurrences: tuple[Occurrence, ...]
    latencies: tuple[float | None, ...]
    """For each occurrence: seconds from its onset to the report; None if it was missed."""
    false_alarms: int

    @property
    def found(self) -> int:
        """Occurrences that were reported."""
        return sum(latency is not None for latency in self.latencies)


def match(
    occurrences: Sequence[Occurrence], reports: Sequence[DetectedEvent], label: str, collar: float
) -> Matched:
    """Match the reports of one label in one recording.

    A report is of an occurrence if its onset lies between ``collar`` seconds before the onset and
    ``collar`` seconds after the offset, and if it was not known before the onset.  Further reports of
    the same occurrence are neither found nor false.  One event that lasts for an hour matches at most
    the occurrence with which it starts.
    """
    wanted = tuple(occurrence for occurrence in occurrences if occurrence.label == label)
    latencies: list[float | None] = [None] * len(wanted)
    false_alarms = 0
    for report in sorted((r for r in reports if r.label == label), key=lambda report: report.known_at):
        near = [index for index, occurrence in enumerate(wanted) if _is_of(report, occurrence, collar)]
        if not near:
            false_alarms += 1
            continue
        new = [index for index in near if latencies[index] is None]
        if new:
            latencies[new[0]] = report.known_at - wanted[new[0]].onset
    return Matched(wanted, tuple(latencies), false_alarms)


def _is_of(report: DetectedEvent, occurrence: Occurrence, collar: float) -> bool:
    in_time = occurrence.onset - collar <= report.start <= occurrence.offset + collar
    return in_time and report.known_at >= occurrence.onset
