"""Memory routes: what is kept of past windows, and the moments that a description fits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from monitor.config import changed_label
from monitor.config.section import Prompt
from monitor.memory.queries import MemoryQueries, Period
from monitor.memory.search import Moment
from monitor.memory.segment import MemoryFormatError
from monitor.outputs.store import StoreError
from monitor.outputs.store.rows import StoredEvent
from monitor.outputs.web.context import AppContext, Context
from monitor.types import ConfigError, ModelError

routes = APIRouter(tags=["memory"])

WEEK_SECONDS = 604_800.0

DISABLED = "Nothing is remembered: memory.enabled is false"
UNAVAILABLE: dict[int | str, dict[str, object]] = {503: {"description": "The memory is not available now"}}

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


class SearchQuery(PeriodKeys):
    """Description of a sound, and where to look for it."""

    prompts: Annotated[list[Prompt], Field(min_length=1, max_length=10)] = Field(
        description="Sentences that describe the same sound."
    )
    top: Annotated[int, Field(ge=1, le=100)] = 20


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


@routes.post("/search", responses=UNAVAILABLE)
async def search_memory(context: Context, request: Request, query: SearchQuery) -> Found:
    """Find the moments of the past that a description fits best, with their events and clips."""
    memory = memory_of(context)
    period = query.period()
    with refusals():
        label = changed_label(None, {"id": "search", "prompts": query.prompts})
        prototypes = await run_in_threadpool(context.prompt_preview.build_prototypes, [label], ())

    def find(check: Callable[[], None]) -> Found:
        moments = memory.search(prototypes.directions, period, query.top, check)
        return found(context, period, moments)

    with refusals():
        return await context.long_requests.answer(request, find)


def memory_of(context: AppContext) -> MemoryQueries:
    """Return the queries of the memory; answer 503 if nothing is kept."""
    if context.memory is None:
        raise HTTPException(503, DISABLED)
    return context.memory


def found(context: AppContext, period: Period, moments: Iterable[Moment]) -> Found:
    """Return moments with the events that overlap them; without, if the store cannot be read."""
    rows = [FoundMoment(**asdict(moment), events=_events(context, moment)) for moment in moments]
    return Found(since=period.since, until=period.until, moments=rows)


@contextmanager
def refusals() -> Iterator[None]:
    """Answer 422 to prompts that a label cannot have, and 503 if model or memory fail."""
    try:
        yield
    except ConfigError as error:
        raise HTTPException(422, str(error)) from error
    except (ModelError, MemoryFormatError) as error:
        raise HTTPException(503, str(error)) from error


def _events(context: AppContext, moment: Moment) -> list[StoredEvent]:
    if context.reader is None:
        return []
    with suppress(StoreError):
        return list(context.reader.overlapping(moment.source, moment.started_at, moment.ended_at))
    return []
