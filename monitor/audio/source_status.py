"""What every part counts, in one place; healthy or not, and why.

Each counter has one writer, named beside it, so plain attributes are enough: CPython makes a
single reader of an int or a float see a whole value.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from monitor.types import GateReason


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
    deaf_since: float | None = None
    """Unix seconds since when no audio arrives; None while it does (writer: capture)."""
    trouble: str | None = None
    """Why it is deaf, for people (writer: capture)."""
    looked: int = 0
    """Times that audio was looked for, whether there was any or not (writer: capture)."""
    scored: int = 0
    """Windows that went through the model (writer: analyse)."""
    skipped: int = 0
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

    def deaf(self, why: str) -> bool:
        """Note that no audio arrives; True if this is news."""
        news = self.deaf_since is None
        if news:
            self.deaf_since = time.time()
        self.trouble = why
        return news

    def hears(self) -> bool:
        """Note that audio arrives again; True if this is news."""
        news = self.deaf_since is not None
        self.deaf_since = self.trouble = None
        return news


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong with one source at the moment."""

    deaf: str | None = None
    """Why no audio arrives; None while it does."""
    overloaded: bool = False
    """Windows are being left out."""
    dropped_seconds: float = 0.0
    """Audio since the start that was lost on the way or left out."""


_STRETCH_SECONDS = 30.0
"""Windows left out within this time of each other are one stretch of lateness."""


class Progress:
    """Notices when a source is no longer being scored.

    Alive means progress, not a running thread: windows are looked at; or there is none, and somebody still
    looks whether audio comes, who would say that it is deaf; or it is at its end.

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
        self._skipped = 0
        self._skipped_at = float("-inf")

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
    def excused(self) -> bool:
        """Nothing can be scored, and that is known and shown."""
        return self._status.ended or self._status.deaf_since is not None

    def fell_behind(self, now: float) -> bool:
        """Tell, once for each stretch of lateness, that windows are being left out.

        A stretch is over after `_STRETCH_SECONDS` without a loss.
        """
        if self._status.skipped == self._skipped:
            return False
        news = now - self._skipped_at > _STRETCH_SECONDS
        self._skipped, self._skipped_at = self._status.skipped, now
        return news

    def behind(self, now: float) -> bool:
        """Tell whether a stretch of lateness, as `fell_behind` saw it, is not over."""
        return now - self._skipped_at <= _STRETCH_SECONDS


def one_line(sources: list[SourceStatus], labels: int, real_time_factor: float) -> str:
    """Return the state of the monitor for ``systemctl status``."""
    heard = ", ".join(f"{s.name} {'deaf: ' + str(s.trouble) if s.deaf_since else 'ok'}" for s in sources)
    skipped = sum(s.skipped for s in sources)
    return f"{labels} labels; {heard}; real-time factor {real_time_factor:.2f}; {skipped} windows skipped"
