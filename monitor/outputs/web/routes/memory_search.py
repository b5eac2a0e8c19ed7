"""Memory routes: what is kept of past windows, and the moments that a description fits."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from monitor.config import changed_label
from monitor.config.section import Prompt
from monitor.memory.memory_queries import MemoryQueries, Period, Stretch
from monitor.memory.search import Moment
from monitor.outputs.store import StoreError
from monitor.outputs.store.rows import StoredEvent
from monitor.outputs.web.context import AppContext, Context
from monitor.outputs.web.routes.events import NOT_FOUND, Id, read_event
from monitor.outputs.web.routes.refusals import refusals

routes = APIRouter(tags=["memory"])

WEEK_SECONDS = 604_800.0

DISABLED = "Nothing is remembered: memory.enabled is false"
UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"description": "The memory is not available now"}}

_At = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
_Source = Annotated[str, Field(min_length=1, max_length=32)]


class Kept(BaseModel):
    """What is kept of a source."""

    source: str
    since: float = Field(description="Unix seconds of the first window.")
    until: float = Field(description="Unix seconds of the last window.")
    bytes: int


class Memory(BaseModel):
    """Memory of past windows: their embeddings, without audio."""

    enabled: bool
    sources: list[Kept]
    other_checkpoints: int = Field(
        description="Other checkpoints whose embeddings are kept; neither search nor replay can read them."
    )


class PeriodKeys(BaseModel):
    """Period of a query; a key that is left out is the whole of the last week, at every source."""

    since: _At | None = Field(default=None, description="Unix seconds; unset: 7 days before `until`.")
    until: _At | None = Field(default=None, description="Unix seconds; unset: now.")
    source: _Source | None = None

    def period(self) -> Period:
        """Return the period."""
        until = time.time() if self.until is None else self.until
        since = max(0.0, until - WEEK_SECONDS) if self.since is None else self.since
        return Period(since, until, self.source)


class MomentKeys(BaseModel):
    """A stretch of time at a source."""

    source: _Source
    started_at: _At
    ended_at: _At

    def stretch(self) -> Stretch:
        """Return the stretch."""
        return Stretch(self.source, self.started_at, self.ended_at)


class SimilarQuery(PeriodKeys):
    """Where to look for a sound."""

    top: Annotated[int, Field(ge=1, le=100)] = 20


class SearchQuery(SimilarQuery):
    """A sound, either described or heard, and where to look for it."""

    prompts: Annotated[list[Prompt], Field(max_length=10)] = Field(
        default=[], description="Sentences that describe the same sound."
    )
    like: MomentKeys | None = Field(
        default=None, description="Without prompts: a moment; what sounds like it is found."
    )


class FoundMoment(BaseModel):
    """A stretch of time that fits."""

    source: str
    started_at: float
    ended_at: float
    peak_at: float = Field(description="End of the window that fits best.")
    fit: float = Field(description="Of that window: standard deviations above all kinds of sound.")
    level_dbfs: float = Field(description="Level of that window.")
    events: list[StoredEvent] = Field(description="Events of the source that overlap.")


class Found(BaseModel):
    """Moments, best first."""

    since: float = Field(description="From here on it was looked.")
    until: float
    moments: list[FoundMoment]


@routes.get("/memory")
def read_memory(context: Context) -> Memory:
    """Return what is kept of past windows."""
    memory = context.memory
    if memory is None:
        return Memory(enabled=False, sources=[], other_checkpoints=0)
    kept = [Kept(source=source, **asdict(span)) for source, span in memory.spans().items()]
    return Memory(enabled=True, sources=kept, other_checkpoints=memory.others)


@routes.post("/search", responses=UNAVAILABLE | NOT_FOUND)
async def search_memory(context: Context, request: Request, query: SearchQuery) -> Found:
    """Find the moments of the past that a description or a sound fits best, with events and clips."""
    if query.like is not None and not query.prompts:
        return await _similar(context, request, query.like.stretch(), query)
    memory, period = memory_of(context), query.period()
    with refusals():
        label = changed_label(None, {"id": "search", "prompts": query.prompts})
        prototypes = await run_in_threadpool(context.prompt_preview.build_prototypes, [label], ())
        return await context.long_requests.answer(
            request,
            lambda check: _found(
                context, period, memory.search(prototypes.directions, period, query.top, check)
            ),
        )


@routes.get("/events/{event_id}/similar", responses=UNAVAILABLE | NOT_FOUND)
async def find_similar(
    context: Context, request: Request, event_id: Id, query: Annotated[SimilarQuery, Query()]
) -> Found:
    """Find the moments of the past that sound like an event; it is one of them."""
    event = await run_in_threadpool(read_event, context, event_id)
    ended_at = time.time() if event.ended_at is None else event.ended_at
    return await _similar(context, request, Stretch(event.source, event.started_at, ended_at), query)


async def _similar(context: AppContext, request: Request, stretch: Stretch, query: SimilarQuery) -> Found:
    memory, period = memory_of(context), query.period()
    with refusals():
        return await context.long_requests.answer(
            request,
            lambda check: _found(context, period, memory.similar(stretch, period, query.top, check)),
        )


def memory_of(context: AppContext) -> MemoryQueries:
    """Return the queries of the memory; answer 503 if nothing is kept."""
    if context.memory is None:
        raise HTTPException(503, DISABLED)
    return context.memory


def _found(context: AppContext, period: Period, moments: Iterable[Moment]) -> Found:
    """Return moments with the events that overlap them; without, if the store cannot be read."""
    rows = [FoundMoment(**asdict(moment), events=_events(context, moment)) for moment in moments]
    return Found(since=period.since, until=period.until, moments=rows)


def _events(context: AppContext, moment: Moment) -> list[StoredEvent]:
    if context.reader is None:
        return []
    with suppress(StoreError):
        return list(context.reader.overlapping(moment.source, moment.started_at, moment.ended_at))
    return []
