"""What is asked of the store, and what it answers; times in Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from monitor.system.sqlite import DatabaseError

StoreError = DatabaseError
"""The file cannot be used now; its text is the reason."""


class QuestionError(ValueError):
    """That cannot be asked; says why."""


Mark = Literal["right", "wrong"]
"""What a person says of an event."""

T = TypeVar("T")

MOST = 500
"""Rows of one page at most."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are asked for; what is left out does not matter."""

    since: float | None = None
    """Onset not before."""
    until: float | None = None
    """Onset before."""
    sources: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Identifiers."""
    text: str = ""
    """Words that must all stand in the names of the label and the source."""
    review: Mark | Literal["none"] | None = None
    min_score: float = 0.0
    """Peak at least."""
    with_clip: bool = False


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """One event as it was kept."""

    id: str
    source: str
    label: str
    started_at: float
    ended_at: float | None
    """None while it lasts, and if nobody knows (``reason`` is then ``restart``)."""
    score: float
    peak: float
    windows: int
    level_dbfs: float | None
    uncertainty_seconds: float
    reason: str | None
    """None while it lasts."""
    late: bool
    """It could not be kept when it happened, because the disk was full or away."""
    clip: str | None
    """Path of its clip below the recordings; None if there is none, or not yet."""
    clip_outcome: str | None
    """Of `monitor.types.ClipOutcome`; None if no clip was wanted, or not yet."""
    review: Mark | None


@dataclass(frozen=True, slots=True)
class KeptMiss:
    """One near miss as it was kept."""

    number: int
    source: str
    label: str
    at: float
    seconds: float
    """From the start of its first window to the end of its last."""
    score: float
    threshold: float
    reason: str
    """Of `monitor.types.MissReason`."""
    rival: str | None
    hits: int
    needed: int
    level_dbfs: float | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The newest rows, newest first."""

    rows: tuple[T, ...]
    next: str | None
    """To be given back for the rows after these; None if there are none."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One label of one source in a day."""

    source: str
    label: str
    events: int
    """Onsets in the day."""
    peaks: tuple[float, ...]
    """Highest score in each minute of the day; 0 where nothing was scored."""


@dataclass(frozen=True, slots=True)
class Day:
    """A stretch of time at a glance."""

    since: float
    until: float
    lanes: tuple[Lane, ...]
    levels: dict[str, tuple[float | None, ...]]
    """Source to the highest level of each minute in dB of full scale; None: nothing was heard, or silence."""
    events: tuple[KeptEvent, ...]
    """Newest first."""
    more: bool
    """There were more events than are listed."""
