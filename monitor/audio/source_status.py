"""What every part counts, in one place; healthy or not, and why.

Each counter has one writer, named beside it, so plain attributes are enough: CPython makes a
single reader of an int or a float see a whole value.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from monitor.types import GateReason, OfflineReason


@dataclass(slots=True)
class SourceStatus:
    """What happened to one source since the daemon started."""

    name: str
    captured: int = 0
    """Samples at the model's rate put into the ring (writer: listen)."""
    lost: int = 0
    """Samples at the model's rate known to be lost on the way to the ring (writer: listen)."""
    overflows: int = 0
    """Times the sound card reported an overflow or the block queue was full (writer: capture)."""
    gaps: int = 0
    """Places where audio is missing (writer: listen)."""
    reopened: int = 0
    """Times the device was opened again after it was lost (writer: capture)."""
    offline_at: float | None = None
    """Unix seconds since when no audio arrives; None while it does (writer: capture)."""
    offline_reason: OfflineReason | None = None
    """Why no audio arrives (writer: capture)."""
    offline_text: str | None = None
    """The same in words (writer: capture)."""
    looked: int = 0
    """Times that audio was looked for, whether there was any or not (writer: capture)."""
    scored: int = 0
    """Windows that went through the model (writer: analyse)."""
    late: int = 0
    """Windows left out because the analysis was late (writer: analyse)."""
    gated: dict[GateReason, int] = field(default_factory=dict)
    """Windows not scored, by reason (writer: analyse)."""
    scored_until: int = 0
    """Sample index up to which audio has been looked at (writer: analyse)."""
    level_dbfs: float = float("-inf")
    """Newest level (writer: analyse)."""
    ended: bool = False
    """The source has come to its end (writer: listen)."""

    def gate(self, reason: GateReason) -> None:
        """Count one window that is not scored."""
        self.gated[reason] = self.gated.get(reason, 0) + 1

    @property
    def offline(self) -> bool:
        """No audio arrives, and the reason is known."""
        return self.offline_at is not None

    def set_offline(self, reason: OfflineReason, text: str) -> bool:
        """Record that no audio arrives; return whether this is a change."""
        changed = not self.offline
        if changed:
            self.offline_at = time.time()
        self.offline_reason, self.offline_text = reason, text
        return changed

    def set_online(self) -> bool:
        """Record that audio arrives again; return whether this is a change."""
        changed = self.offline
        self.offline_at = self.offline_reason = self.offline_text = None
        return changed


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong with one source at the moment."""

    offline_reason: OfflineReason | None = None
    """Why no audio arrives; None while it does."""
    offline_text: str | None = None
    """The same in words."""
    overloaded: bool = False
    """Windows are being left out: the analysis cannot keep up."""
    dropped_seconds: float = 0.0
    """Audio since the start that was lost on the way or left out."""


_STRETCH_SECONDS = 30.0
"""Windows left out within this time of each other are one stretch of lateness."""


class Progress:
    """Notices when a source is no longer being scored.

    Alive means progress, not a running thread: windows are looked at; or there is none, and somebody still
    looks whether audio comes, who would say that it is offline; or it is at its end.

    Parameters
    ----------
    status : SourceStatus
        Of the source that is watched.
    patience_seconds : float
        How long nothing may move.
    now : float
        Monotonic seconds.
    length : int
        Samples of a window: with so many more than were looked at, it is the analysis that is due.
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
        """Tell whether audio that should have been scored was not, for longer than the patience."""
        return self.still_seconds(now) > self._patience

    def still_seconds(self, now: float) -> float:
        """For how long nothing has moved that should."""
        status = self._status
        seen = (status.scored_until, sum(status.gated.values()), -1 if self.due else status.looked)
        if seen != self._seen or status.ended:
            self._seen, self._moved_at = seen, now
        return now - self._moved_at

    @property
    def due(self) -> bool:
        """There is audio that the analysis has not looked at; else it is the source that nothing comes of."""
        return self._status.captured - self._status.scored_until > 2 * self._length

    @property
    def inactive(self) -> bool:
        """Nothing can be scored: the source is offline or at its end."""
        return self._status.ended or self._status.offline

    def fell_behind(self, now: float) -> bool:
        """Tell, once for each stretch of lateness, that windows are being left out.

        A stretch is over after `_STRETCH_SECONDS` without a loss.
        """
        if self._status.late == self._late:
            return False
        news = now - self._late_at > _STRETCH_SECONDS
        self._late, self._late_at = self._status.late, now
        return news

    def behind(self, now: float) -> bool:
        """Tell whether a stretch of lateness, as `fell_behind` saw it, is not over."""
        return now - self._late_at <= _STRETCH_SECONDS


def one_line(sources: list[SourceStatus], labels: int, real_time_factor: float) -> str:
    """Return the state of the monitor for ``systemctl status``."""
    heard = ", ".join(f"{s.name} {f'offline: {s.offline_text}' if s.offline else 'ok'}" for s in sources)
    late = sum(s.late for s in sources)
    return f"{labels} labels; {heard}; real-time factor {real_time_factor:.2f}; {late} windows late"
