"""Progress of each source, which decides that it has stalled; and of a run, in one line and as a summary."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.audio.source_status import SourceStatus
from monitor.types import GateReason

if TYPE_CHECKING:
    from monitor.daemon.parts import Parts
    from monitor.detection.active_labels import ActiveLabels

log = logging.getLogger(__name__)

_STRETCH_SECONDS = 30.0
"""Late windows within this time of each other are one stretch."""


class Progress:
    """Progress of one source: whether its windows are analysed, or it has none.

    A source makes progress while windows are analysed, while its capture thread still looks for audio, or
    when it is at its end; a running thread alone is no progress.  ``now`` is in monotonic seconds.  With more
    unanalysed audio than two windows of ``length`` samples the analysis is due.
    """

    def __init__(self, status: SourceStatus, patience_seconds: float, now: float, *, length: int = 1) -> None:
        self._status = status
        self._patience = patience_seconds
        self._length = length
        self._seen = (-1, -1, -1)
        self._moved_at = now
        self._late = 0
        self._late_at = float("-inf")

    def stalled(self, now: float) -> bool:
        """Return whether there has been no progress for longer than the patience."""
        return self.stalled_seconds(now) > self._patience

    def stalled_seconds(self, now: float) -> float:
        """Return the time without progress."""
        status = self._status
        seen = (status.scored_until, sum(status.gated.values()), -1 if self.due else status.looked)
        if seen != self._seen or status.ended:
            self._seen, self._moved_at = seen, now
        return now - self._moved_at

    @property
    def due(self) -> bool:
        """Whether audio waits for the analysis; otherwise the source is to deliver."""
        return self._status.captured - self._status.scored_until > 2 * self._length

    @property
    def inactive(self) -> bool:
        """Nothing can be scored: the source is offline or at its end."""
        return self._status.ended or self._status.offline

    def fell_behind(self, now: float) -> bool:
        """Return True once for each stretch of late windows.

        A stretch is over after `_STRETCH_SECONDS` without a late window.
        """
        if self._status.late == self._late:
            return False
        news = now - self._late_at > _STRETCH_SECONDS
        self._late, self._late_at = self._status.late, now
        return news

    def behind(self, now: float) -> bool:
        """Return whether the stretch of late windows that `fell_behind` reported lasts."""
        return now - self._late_at <= _STRETCH_SECONDS


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals of a run."""

    audio_seconds: float
    windows: int
    """Windows with scores, the unchanged ones included."""
    gated: Mapping[GateReason, int]
    """Windows not scored, by reason; see `SourceStatus.gated`."""
    late: int
    """Windows left out because the analysis was late."""
    events: int
    lost_seconds: float
    """Audio known to be lost before it reached the ring."""
    real_time_factor: float
    """Seconds of scoring for each second of audio; below 1 keeps up."""


def run_summary(parts: Parts) -> Summary:
    """Return the totals so far."""
    statuses, rate = parts.status.values(), parts.engine.rate
    audio = sum(status.captured for status in statuses) / rate
    return Summary(
        audio_seconds=audio,
        windows=sum(status.scored + status.gated.get(GateReason.UNCHANGED, 0) for status in statuses),
        gated=sum((Counter(status.gated) for status in statuses), Counter()),
        late=sum(status.late for status in statuses),
        events=parts.counters.started,
        lost_seconds=sum(status.lost for status in statuses) / rate,
        real_time_factor=parts.scorer.busy_seconds / audio if audio else 0.0,
    )


def status_line(parts: Parts, active_labels: ActiveLabels) -> str:
    """Return the state of the monitor for ``systemctl status``."""
    statuses, done = parts.status.values(), run_summary(parts)
    sources = ", ".join(
        f"{status.name} {'ok' if (text := status.offline_text) is None else f'offline: {text}'}"
        for status in statuses
    )
    line = (
        f"{len(active_labels.enabled)} labels; {sources}; real-time factor {done.real_time_factor:.2f}; "
        f"{done.late} windows late"
    )
    if not active_labels.armed:
        line = f"switched off; {line}"
    reloaded = parts.control.last_reload
    return (
        line if reloaded is None or not reloaded.faults else f"{line}; reload refused: {reloaded.faults[0]}"
    )


def warn_of_short_recordings(parts: Parts) -> None:
    """Log each recording that is shorter than a window, so that nobody takes it for a silent one."""
    window = parts.engine.length / parts.engine.rate
    for source in parts.config.sources:
        seconds = parts.status[source.name].captured / parts.engine.rate
        if not source.live and seconds < window:
            log.warning(
                "%s: %.1f s is shorter than one window (%g s): nothing was scored",
                source.name,
                seconds,
                window,
            )
