"""Status of a source: counters, offline state, and progress of its analysis.

Each counter has one writer, named beside it, so plain attributes are enough: CPython makes a
single reader of an int or a float see a whole value.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from monitor.types import GateReason, OfflineReason


@dataclass(frozen=True, slots=True)
class Outage:
    """Why no audio arrives: one object, so that a reader never sees half of a change."""

    at: float
    """Unix seconds since when."""
    reason: OfflineReason
    text: str
    """The reason in words."""


@dataclass(slots=True)
class SourceStatus:
    """Counters and state of one source since the daemon started."""

    name: str
    captured: int = 0
    """Samples at the model's rate written to the ring buffer (writer: listen)."""
    lost: int = 0
    """Samples at the model's rate known to be lost before the ring buffer (writer: listen)."""
    overflows: int = 0
    """Times the sound card reported an overflow or the block queue was full (writer: capture)."""
    gaps: int = 0
    """Places where audio is missing (writer: listen)."""
    reopened: int = 0
    """Times the device was opened again after it was lost (writer: capture)."""
    outage: Outage | None = None
    """Why no audio arrives; None while it does (writer: capture)."""
    looked: int = 0
    """Attempts to read audio, successful or not (writer: capture)."""
    scored: int = 0
    """Windows scored by the model (writer: analyse)."""
    late: int = 0
    """Windows left out because the analysis was late (writer: analyse)."""
    gated: dict[GateReason, int] = field(default_factory=dict)
    """Windows not scored, by reason (writer: analyse)."""
    scored_until: int = 0
    """Sample index up to which audio was analysed (writer: analyse)."""
    level_dbfs: float = float("-inf")
    """Newest level (writer: analyse)."""
    ended: bool = False
    """The source has ended (writer: listen)."""

    def gate(self, reason: GateReason) -> None:
        """Count one window that is not scored."""
        self.gated[reason] = self.gated.get(reason, 0) + 1

    @property
    def offline(self) -> bool:
        """No audio arrives, and the reason is known."""
        return self.outage is not None

    @property
    def offline_text(self) -> str | None:
        """Why no audio arrives, in words; None while it does."""
        outage = self.outage
        return None if outage is None else outage.text

    def set_offline(self, reason: OfflineReason, text: str) -> bool:
        """Record that no audio arrives; return whether this is a change."""
        before = self.outage
        self.outage = Outage(time.time() if before is None else before.at, reason, text)
        return before is None

    def set_online(self) -> bool:
        """Record that audio arrives again; return whether this is a change."""
        changed = self.offline
        self.outage = None
        return changed


OVERLOADED = "windows are left out: the model is slower than the hop"
"""What `Health.overloaded` means, for display."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong with one source at the moment."""

    online: bool = False
    """Audio arrives."""
    offline_reason: OfflineReason | None = None
    """Why no audio arrives; None while it does."""
    offline_text: str | None = None
    """The same in words."""
    overloaded: bool = False
    """Windows are being left out: the analysis cannot keep up."""
    dropped_seconds: float = 0.0
    """Audio since the start that was lost on the way or left out."""
