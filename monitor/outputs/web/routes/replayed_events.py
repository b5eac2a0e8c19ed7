"""Replay route: the events that a label would have started in the past, beside those that did start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from monitor.config import changed_label
from monitor.memory.memory_queries import Replayed
from monitor.memory.replay_diff import Difference, Firing, Outcome, by_hour, compare
from monitor.outputs.store import EventFilter
from monitor.outputs.store.firings import stored_firings
from monitor.outputs.web.context import AppContext, Context
from monitor.outputs.web.routes.events import NOT_FOUND, query_store
from monitor.outputs.web.routes.labels import LabelKeys, find_label
from monitor.outputs.web.routes.memory_search import UNAVAILABLE, PeriodKeys, memory_of
from monitor.outputs.web.routes.refusals import refusals

routes = APIRouter(tags=["memory"])

MOST_EVENTS = 500
"""Events in an answer."""

_NEW = "replay"
"""Identifier of a label that is not in force."""


class ReplayQuery(PeriodKeys):
    """A label to try, and where."""

    label: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")] | None = Field(
        default=None, description="Identifier of a label in force, whose keys hold; unset: a new one."
    )
    keys: LabelKeys = Field(default_factory=LabelKeys, description="Keys of the label that differ.")


class ReplayedEvent(BaseModel):
    """An event that would have started, or did."""

    outcome: Outcome = Field(
        description="`both`; `new`: it did not start; `gone`: it would not have started."
    )
    source: str
    started_at: float
    ended_at: float
    peak_score: float
    event_id: str | None = Field(description="Of one that did start and would not have.")


class Replay(BaseModel):
    """Events that a label would have started."""

    since: float | None = Field(description="From here on something is remembered; unset: nothing is.")
    until: float
    count: int = Field(description="Events that would have started.")
    hours: list[int] = Field(description="The same by the hour of the day in which they start, 0 to 23.")
    both: int = Field(description="Those of them that did start.")
    new: int
    gone: int = Field(description="Events that did start and would not have.")
    events: list[ReplayedEvent] = Field(description="All of them, newest first; at most 500.")


@routes.post("/replay", responses=UNAVAILABLE | NOT_FOUND)
async def replay_label(context: Context, request: Request, query: ReplayQuery) -> Replay:
    """Replay a label over the past, by the scoring and the rules of the running monitor; nothing changes."""
    memory, period = memory_of(context), query.period()
    labels = context.control.active_labels
    if query.label is not None:
        find_label(context, query.label)
    with refusals():
        keys = query.keys.model_dump(exclude_unset=True)
        known = None if query.label is None else labels.find(query.label)
        label = changed_label(known, {**keys, "id": query.label or _NEW, "enabled": True})
        tried = labels.with_only(label, own_thresholds="threshold" not in keys)
        prototypes = await run_in_threadpool(
            context.prompt_preview.build_prototypes, [label], labels.background, context.control.examples
        )

    def replay(check: Callable[[], None]) -> Replay:
        found = memory.replay(context.control.config, tried, prototypes, period, check)
        did = [] if query.label is None else list(_fired(context, query.label, found.since, period.until))
        return _answer(found, compare(found.firings, did), period.until)

    with refusals():
        return await context.long_requests.answer(request, replay)


def _fired(context: AppContext, label: str, since: Mapping[str, float], until: float) -> Iterator[Firing]:
    """Yield the stored events of a label, of each source from a moment on."""
    if context.reader is None or not since:
        return
    wanted = EventFilter(since=min(since.values()), until=until, sources=tuple(since), labels=(label,))
    for firing in query_store(context, lambda reader: list(stored_firings(reader, wanted))):
        if firing.started_at >= since[firing.source]:
            yield firing


def _answer(found: Replayed, differences: list[Difference], until: float) -> Replay:
    counts = dict.fromkeys(("both", "new", "gone"), 0)
    for each in differences:
        counts[each.outcome] += 1
    rows = [
        ReplayedEvent(
            outcome=each.outcome,
            source=each.firing.source,
            started_at=each.firing.started_at,
            ended_at=each.firing.ended_at,
            peak_score=each.firing.peak_score,
            event_id=each.firing.event_id,
        )
        for each in reversed(differences[-MOST_EVENTS:])
    ]
    return Replay(
        since=min(found.since.values(), default=None),
        until=until,
        count=len(found.firings),
        hours=by_hour(found.firings),
        events=rows,
        **counts,
    )
