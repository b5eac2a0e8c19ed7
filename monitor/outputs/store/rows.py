"""Questions to the event store and its answers; times are Unix seconds.

The web API returns these answers as they are: the docstrings of their fields are its descriptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

from monitor.detection.near_misses import MissReason
from monitor.outputs.live.listening import ListenEnd
from monitor.system.sqlite import DatabaseError
from monitor.types import ClipOutcome, EndReason

StoreError = DatabaseError
"""The file cannot be used now; its text is the reason."""


class QuestionError(ValueError):
    """The question is invalid; its text says why."""


Mark = Literal["right", "wrong"]
"""A user's verdict on an event."""

T = TypeVar("T")

MAX_ROWS = 500
"""Rows of one page at most."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Filter of rows; a field at its default matches all."""

    since: float | None = None
    """At or after this time; for an event, its onset."""
    until: float | None = None
    """Before this time."""
    sources: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Identifiers."""


@dataclass(frozen=True, slots=True)
class EventFilter(Filter):
    """Filter of events."""

    text: str = ""
    """Words that must all occur in the names of the label and the source."""
    review: Mark | Literal["none"] | None = None
    min_score: float = 0.0
    """Lower limit of the peak score."""
    with_clip: bool = False


@dataclass(frozen=True, slots=True)
class MissFilter(Filter):
    """Filter of near misses."""

    reasons: tuple[MissReason | str, ...] = ()


class Row:
    """Base class of the answers.

    A value of an enum is a plain string as it comes from the file; an unknown one is returned as it is.
    """

    __slots__ = ()
    __pydantic_config__: ClassVar = {"use_attribute_docstrings": True}


@dataclass(frozen=True, slots=True)
class StoredEvent(Row):
    """One event, with the keys of `monitor.outputs.payload.event_payload`."""

    schema: int
    event_id: str
    phase: str
    """`start` while it lasts, then `end`."""
    source: str
    label: str
    label_name: str
    started_at: float
    ended_at: float | None
    """Unset while it lasts, and if the end is unknown (`reason` is then `restart`)."""
    duration_seconds: float | None
    uncertainty_seconds: float
    """The onset and the offset are each known to within this time."""
    score: float
    """Score at the confirmation."""
    peak_score: float
    """Highest score."""
    windows: int
    """Windows at or above the threshold."""
    level_dbfs: float | None
    """Level when it started; unset for digital silence."""
    reason: EndReason | str | None
    """Why it ended; unset while it lasts."""
    clip: str | None
    """Path of its clip below the recordings, served as `api/clips/CLIP`; unset if there is none yet."""
    clip_outcome: ClipOutcome | str | None
    """What became of its clip; unset if none was wanted, or not yet."""
    late: bool
    """It was written long after it happened, because the disk was full or unavailable."""
    review: Mark | None
    """A user's verdict."""
    locked: bool = False
    """Its clip is never deleted for its age or size."""
    like: tuple[str, ...] = ()
    """Of an unusual sound: sentences that describe it best, best first."""


@dataclass(frozen=True, slots=True)
class StoredNearMiss(Row):
    """One near miss."""

    number: int
    source: str
    label: str
    peak_at: float
    """End of its best window."""
    duration_seconds: float
    """From the start of its first window to the end of its last."""
    peak_score: float
    threshold: float
    reason: MissReason | str
    """Why it did not become an event."""
    against: str | None
    """The negative prompt that was nearer, if any."""
    windows: int
    """Windows at or above the threshold, at best."""
    windows_needed: int
    """Windows that must reach the threshold."""
    level_dbfs: float | None


@dataclass(frozen=True, slots=True)
class StoredListen(Row):
    """One time that somebody heard a source live."""

    id: str
    source: str
    client: str
    """Network address."""
    started_at: float
    ended_at: float | None
    """Unset while it lasts, and if the end is unknown (`reason` is then `restart`)."""
    reason: ListenEnd | str | None
    """Why it ended; unset while it lasts."""
    lost_seconds: float
    """Audio left out because the listener was too slow."""


@dataclass(frozen=True, slots=True)
class Page(Row, Generic[T]):
    """A page of rows, newest first."""

    rows: tuple[T, ...]
    next: str | None
    """Cursor of the following page, passed as `after`; unset on the last page."""


@dataclass(frozen=True, slots=True)
class Lane(Row):
    """One label of one source in a stretch of time."""

    source: str
    label: str
    events: int
    """Onsets."""
    peaks: tuple[float, ...]
    """Highest score of each minute; 0 where nothing was scored."""


@dataclass(frozen=True, slots=True)
class Day(Row):
    """Overview of a stretch of time."""

    since: float
    until: float
    lanes: tuple[Lane, ...]
    levels: dict[str, tuple[float | None, ...]]
    """By source: the highest level of each minute in dB of full scale; unset: no audio, or silence."""
    events: tuple[StoredEvent, ...]
    """Newest first."""
    more: bool
    """There were more events than are listed."""
