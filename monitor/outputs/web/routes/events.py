"""Event routes: events with their clips, near misses, and the timeline of a day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Body, HTTPException, Path, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from monitor.outputs.rivals import follow_mark
from monitor.outputs.store import EventFilter, MissFilter, Store, StoreError, StoreReader
from monitor.outputs.store.rows import Day, Mark, Page, StoredEvent, StoredNearMiss
from monitor.outputs.web.context import AppContext, Context
from monitor.system.boundary import printable

routes = APIRouter(tags=["events"])

WRITE_SECONDS = 10.0
"""How long a request waits for a change of the store."""

T = TypeVar("T")

Id = Annotated[str, Path(min_length=1, max_length=40, description="Of an event.")]
_Word = Annotated[str, Field(min_length=1, max_length=64)]
_Words = Annotated[tuple[_Word, ...], Field(max_length=64)]
_At = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]

NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "Not found"}}
DISABLED = "Nothing is stored: store.enabled is false"
_UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"description": "The store is not available now"}}


class _PageQuery(BaseModel):
    """Filter of a page; a key that is left out matches everything."""

    since: _At | None = Field(default=None, description="Unix seconds: at or after this time.")
    until: _At | None = Field(default=None, description="Unix seconds: before this time.")
    sources: _Words = Field(default=(), alias="source")
    labels: _Words = Field(default=(), alias="label")
    after: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="`next` of the previous page."
    )
    limit: Annotated[int, Field(ge=1, le=500)] = 50

    def filters(self) -> dict[str, Any]:
        """Return what the store filters by."""
        return self.model_dump(exclude={"after", "limit"})


class EventQuery(_PageQuery):
    """Filter of events, by their onset; a key that is left out matches everything."""

    text: Annotated[str, Field(max_length=100)] = Field(
        default="", description="Words that all occur in the names of the label and the source."
    )
    review: Mark | Literal["none"] | None = None
    min_score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    with_clip: bool = False


class MissQuery(_PageQuery):
    """Filter of near misses; a key that is left out matches everything."""

    reasons: _Words = Field(default=(), alias="reason")


class Done(BaseModel):
    """The change was made."""

    done: Literal[True] = True


class Reviewed(Done):
    """The mark was made."""

    rival: bool = Field(description="The sound of the event counts against its label now.")


@routes.get("/events", responses=_UNAVAILABLE)
def list_events(context: Context, query: Annotated[EventQuery, Query()]) -> Page[StoredEvent]:
    """Return events, newest first; the filters combine."""
    wanted = EventFilter(**query.filters())
    page = query_store(context, lambda reader: reader.events(wanted, after=query.after, limit=query.limit))
    return replace(page, rows=_with_locks(context, page.rows))


@routes.get("/events/{event_id}", responses=NOT_FOUND | _UNAVAILABLE)
def read_event(context: Context, event_id: Id) -> StoredEvent:
    """Return one event."""
    found = query_store(context, lambda reader: reader.event(event_id))
    if found is None:
        raise HTTPException(404, "There is no such event")
    return _with_locks(context, (found,))[0]


@routes.put("/events/{event_id}/review", responses=NOT_FOUND | _UNAVAILABLE)
async def review_event(
    context: Context, event_id: Id, mark: Annotated[Mark | None, Body(embed=True)]
) -> Reviewed:
    """Mark an event as right or wrong; `null` removes the mark.

    What is wrong counts against its label, as long as the memory has it and the mark holds.
    """
    await _written(_store(context).review(event_id, mark))
    event = await run_in_threadpool(read_event, context, event_id)
    rival = await run_in_threadpool(follow_mark, event, mark, context.control, context.learner)
    return Reviewed(rival=rival)


@routes.put("/events/{event_id}/lock", responses=NOT_FOUND | _UNAVAILABLE)
def lock_clip(context: Context, event_id: Id, locked: Annotated[bool, Body(embed=True)]) -> Done:
    """Lock the clip of an event, so that it is never deleted for its age or size, or unlock it."""
    clip, library = read_event(context, event_id).clip, context.library
    try:
        if clip is None or library is None or not library.lock(clip, locked=locked):
            raise HTTPException(404, "The event has no clip")
    except OSError as error:
        raise HTTPException(503, f"The clip cannot be locked now: {error.strerror}") from error
    return Done()


@routes.delete("/events/{event_id}", responses=NOT_FOUND | _UNAVAILABLE)
async def delete_event(context: Context, event_id: Id) -> Done:
    """Delete an event with its clip."""
    return await _written(_store(context).delete(event_id))


@routes.get("/misses", responses=_UNAVAILABLE)
def list_misses(context: Context, query: Annotated[MissQuery, Query()]) -> Page[StoredNearMiss]:
    """Return near misses, newest first: candidates that did not become an event, and why."""
    wanted = MissFilter(**query.filters())
    return query_store(context, lambda reader: reader.misses(wanted, after=query.after, limit=query.limit))


@routes.get("/day", responses=_UNAVAILABLE)
def read_day(context: Context, since: Annotated[_At, Query()], until: Annotated[_At, Query()]) -> Day:
    """Return an overview of at most 8 days: scores and levels by the minute, and the events."""
    day = query_store(context, lambda reader: reader.day(since, until))
    return replace(day, events=_with_locks(context, day.events))


def _with_locks(context: AppContext, events: tuple[StoredEvent, ...]) -> tuple[StoredEvent, ...]:
    locked = frozenset() if context.library is None else context.library.locked
    return tuple(replace(event, locked=event.clip in locked) for event in events)


def query_store(context: AppContext, question: Callable[[StoreReader], T]) -> T:
    """Query the store; answer 503 if it is not available, and 422 if the question is invalid."""
    if context.reader is None:
        raise HTTPException(503, DISABLED)
    try:
        return question(context.reader)
    except StoreError as error:
        raise HTTPException(503, f"The store cannot be read now: {error}") from error
    except (ValueError, OverflowError) as error:
        raise HTTPException(422, printable(str(error))) from error


def _store(context: AppContext) -> Store:
    if context.store is None:
        raise HTTPException(503, DISABLED)
    return context.store


async def _written(done: Future[bool]) -> Done:
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            known = await asyncio.wrap_future(done)
    except StoreError as error:
        raise HTTPException(503, f"The store cannot be written now: {error}") from error
    except TimeoutError:
        raise HTTPException(503, "The store is slow; the change may still be made") from None
    if not known:
        raise HTTPException(404, "There is no such event")
    return Done()
