"""Listening: somebody hears a source live, and the reasons why that ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ListenEnd(StrEnum):
    """Why somebody no longer hears a source live."""

    LEFT = "left"
    """The listener stopped, or its connection was cut."""
    TIME_LIMIT = "time_limit"
    """The longest time was over; the listener may begin again."""
    DISARMED = "disarmed"
    """Detection was switched off."""
    OFFLINE = "offline"
    """No audio arrives from the source."""
    END = "end"
    """The source has ended."""
    SHUTDOWN = "shutdown"
    """The monitor stopped."""
    RESTART = "restart"
    """The monitor was killed meanwhile; the end is unknown."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Somebody hears a source live; passed on at the start and again at the end."""

    id: str
    """A ULID, as that of an event."""
    source: str
    client: str
    """Network address."""
    started_at: float
    """Unix seconds."""
    ended_at: float | None = None
    """Unix seconds; None while it lasts."""
    reason: ListenEnd | None = None
    """Why it ended; None while it lasts."""
    lost_seconds: float = 0.0
    """Audio left out because the listener was too slow."""
