"""What was heard: events with their clips, near misses, and a day at a glance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, Field

from monitor.outputs.store import EventFilter, KeptEvent, StoreError, StoreReader
from monitor.outputs.web.context import AppContext, Context
from monitor.system.boundary import printable
from monitor.types import ClipOutcome, EndReason, MissReason

routes = APIRouter(tags=["events"])

WRITE_SECONDS = 10.0
"""How long a change of the store may take before it is said that it did not."""

T = TypeVar("T")

Id = Annotated[str, Path(min_length=1, max_length=40, description="Of an event.")]
_Word = Annotated[str, Field(min_length=1, max_length=64)]
_Words = Annotated[list[_Word], Field(max_length=64)]
_At = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]

GONE: dict[int | str, dict[str, Any]] = {404: {"description": "There is none"}}
_AWAY: dict[int | str, dict[str, Any]] = {503: {"description": "The store cannot be used now"}}


class WantedMisses(BaseModel):
    """Which near misses are asked for; what is left out does not matter."""

    since: _At | None = Field(default=None, description="Unix seconds.")
    until: _At | None = Field(default=None, description="Unix seconds.")
    source: _Words = []
    label: _Words = []
    reason: _Words = []
    after: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="`next` of the page before."
    )
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class Wanted(BaseModel):
    """Which events are asked for; what is left out does not matter."""

    since: _At | None = Field(default=None, description="Unix seconds: onset not before.")
    until: _At | None = Field(default=None, description="Unix seconds: onset before.")
    source: _Words = []
    label: _Words = []
    text: Annotated[str, Field(max_length=100)] = Field(
        default="", description="Words that stand in the names of the label and the source."
    )
    review: Literal["right", "wrong", "none"] | None = None
    min_score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    with_clip: bool = False
    after: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="`next` of the page before."
    )
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class Event(BaseModel):
    """One event."""

    id: str
    source: str
    label: str
    started_at: float
    ended_at: float | None = Field(description="null while it lasts, and where nobody knows.")
    score: float = Field(description="When it was confirmed.")
    peak: float
    windows: int
    level_dbfs: float | None
    uncertainty_seconds: float
    reason: EndReason | None = Field(description="Why it ended; null while it lasts.")
    late: bool
    clip: str | None = Field(description="Its clip: to be asked for as `api/clips/CLIP`.")
    clip_outcome: ClipOutcome | None = Field(
        description="What became of its clip; null: none was wanted, or not yet."
    )
    review: Literal["right", "wrong"] | None
    locked: bool = Field(default=False, description="The clip is kept for good.")


class Events(BaseModel):
    """A page of events, newest first."""

    rows: list[Event]
    next: str | None = Field(description="To be given as `after` for the rows after these.")


class Miss(BaseModel):
    """What came near a label and was no event."""

    number: int
    source: str
    label: str
    at: float
    seconds: float
    score: float
    threshold: float
    reason: MissReason
    rival: str | None
    hits: int
    needed: int
    level_dbfs: float | None


class Misses(BaseModel):
    """A page of near misses, newest first."""

    rows: list[Miss]
    next: str | None


class Lane(BaseModel):
    """One label of one source in a stretch of time."""

    source: str
    label: str
    events: int
    peaks: list[float] = Field(description="Highest score of each minute.")


class Day(BaseModel):
    """A stretch of time at a glance."""

    since: float
    until: float
    lanes: list[Lane]
    levels: dict[str, list[float | None]] = Field(description="By source: loudest hop of each minute.")
    events: list[Event]
    more: bool = Field(description="There were more events than are listed.")


class Review(BaseModel):
    """What a person says of an event."""

    mark: Literal["right", "wrong"] | None


class Lock(BaseModel):
    """Whether a clip is kept for good."""

    locked: bool


class Done(BaseModel):
    """It was done."""

    done: Literal[True] = True


@routes.get("/events", responses=_AWAY)
def find(context: Context, wanted: Annotated[Wanted, Query()]) -> Events:
    """Return events, newest first; the filters go together."""
    known = EventFilter(
        wanted.since,
        wanted.until,
        tuple(wanted.source),
        tuple(wanted.label),
        wanted.text,
        wanted.review,
        wanted.min_score,
        with_clip=wanted.with_clip,
    )
    page = _asked(context, lambda reader: reader.events(known, after=wanted.after, limit=wanted.limit))
    locked = _locked(context)
    return Events(rows=[_event(row, locked) for row in page.rows], next=page.next)


@routes.get("/events/{event_id}", responses=GONE | _AWAY)
def one(context: Context, event_id: Id) -> Event:
    """Return one event."""
    found = _asked(context, lambda reader: reader.event(event_id))
    if found is None:
        raise HTTPException(404, "There is no such event")
    return _event(found, _locked(context))


@routes.put("/events/{event_id}/review", responses=GONE | _AWAY)
async def review(context: Context, event_id: Id, said: Review) -> Done:
    """Note whether an event was right; `null` forgets it."""
    if context.store is None:
        raise HTTPException(503, "Nothing is kept: store.enabled is false")
    return await _written(context.store.review(event_id, said.mark))


@routes.put("/events/{event_id}/lock", responses=GONE | _AWAY)
def lock(context: Context, event_id: Id, wanted: Lock) -> Done:
    """Keep the clip of an event for good, or no longer."""
    event = one(context, event_id)
    try:
        if (
            event.clip is None
            or context.library is None
            or not context.library.lock(event.clip, locked=wanted.locked)
        ):
            raise HTTPException(404, "It has no clip")
    except OSError as error:
        raise HTTPException(503, f"It cannot be noted: {error.strerror}") from error
    return Done()


@routes.delete("/events/{event_id}", responses=GONE | _AWAY)
async def delete(context: Context, event_id: Id) -> Done:
    """Delete an event, with its clip."""
    if context.store is None:
        raise HTTPException(503, "Nothing is kept: store.enabled is false")
    return await _written(context.store.delete(event_id))


@routes.get("/misses", responses=_AWAY)
def misses(context: Context, wanted: Annotated[WantedMisses, Query()]) -> Misses:
    """Return what came near a label and was no event, newest first, and why."""
    page = _asked(
        context,
        lambda reader: reader.misses(
            since=wanted.since,
            until=wanted.until,
            sources=wanted.source,
            labels=wanted.label,
            reasons=wanted.reason,
            after=wanted.after,
            limit=wanted.limit,
        ),
    )
    return Misses(rows=[Miss(**asdict(row)) for row in page.rows], next=page.next)


@routes.get("/day", responses=_AWAY)
def day(
    context: Context,
    since: Annotated[float, Query(ge=0, le=1e11, allow_inf_nan=False)],
    until: Annotated[float, Query(ge=0, le=1e11, allow_inf_nan=False)],
) -> Day:
    """Return a stretch of at most 8 days at a glance: scores and levels by minute, and the events."""
    found = _asked(context, lambda reader: reader.day(since, until))
    locked = _locked(context)
    return Day(
        since=found.since,
        until=found.until,
        lanes=[Lane(**asdict(lane)) for lane in found.lanes],
        levels={source: list(levels) for source, levels in found.levels.items()},
        events=[_event(row, locked) for row in found.events],
        more=found.more,
    )


def _event(row: KeptEvent, locked: frozenset[str]) -> Event:
    return Event(**asdict(row), locked=row.clip in locked)


def _locked(context: AppContext) -> frozenset[str]:
    return frozenset() if context.library is None else context.library.locked


def _asked(context: AppContext, question: Callable[[StoreReader], T]) -> T:
    if context.reader is None:
        raise HTTPException(503, "Nothing is kept: store.enabled is false")
    try:
        return question(context.reader)
    except StoreError as error:
        raise HTTPException(503, f"The store cannot be read now: {error}") from error
    except (ValueError, OverflowError) as error:
        raise HTTPException(422, printable(str(error))) from error


async def _written(done: Future[bool]) -> Done:
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            known = await asyncio.wrap_future(done)
    except StoreError as error:
        raise HTTPException(503, f"The store cannot be written now: {error}") from error
    except TimeoutError:
        raise HTTPException(503, "The store takes too long; it may still be done") from None
    if not known:
        raise HTTPException(404, "There is no such event")
    return Done()
