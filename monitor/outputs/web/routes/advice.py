"""Advice routes: labels that are confused, and the threshold for a desired rate of false alarms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field

from monitor.config import LabelConfig
from monitor.config.alarm_target import target_text
from monitor.detection.alarm_advice import Advice, advise
from monitor.detection.alarm_rate import NoThreshold
from monitor.detection.alarm_words import basis, refusal
from monitor.detection.prototypes import Prototypes
from monitor.memory.label_confusion import AlikePrompts, FireTogether, fire_together
from monitor.outputs.store.right_events import right_events
from monitor.outputs.web.context import AppContext, Context
from monitor.outputs.web.routes.events import NOT_FOUND
from monitor.outputs.web.routes.labels import Id, find_label
from monitor.outputs.web.routes.memory_search import UNAVAILABLE, PeriodKeys, memory_of
from monitor.outputs.web.routes.refusals import refusals
from monitor.system.boundary import printable

routes = APIRouter(tags=["labels"])


class Lint(BaseModel):
    """Labels that are confused in what was heard."""

    together: list[FireTogether] = Field(description="Pairs of labels that fire together.")
    alike: list[AlikePrompts] = Field(description="Pairs of prompts that cannot be told apart.")


class TargetQuery(PeriodKeys):
    """A desired rate of false alarms, and what to look at."""

    target: Annotated[str, Field(min_length=1, max_length=30)] = Field(description="Such as `0.5/day`.")


class SourceAdvice(BaseModel):
    """What can be said of a label at a source."""

    source: str
    threshold: float | None = Field(description="For the target; unset: what was heard gives none.")
    words: str = Field(
        description="How well it is known and from what; without one, why, and what would help."
    )
    right: int = Field(description="Events marked as right in what was heard; they are no false alarms.")
    missed: int = Field(description="Those of them that would not have started.")


class TargetAdvice(BaseModel):
    """Thresholds of a label for a desired rate of false alarms."""

    target: str
    rows: list[SourceAdvice] = Field(description="By source; empty: nothing is remembered.")


@routes.post("/lint", responses=UNAVAILABLE)
async def lint_labels(context: Context, request: Request, query: PeriodKeys) -> Lint:
    """Name labels that fire together, and prompts of different labels that cannot be told apart."""
    memory, period, labels = memory_of(context), query.period(), context.control.active_labels
    prompts = [(label.id, prompt) for label in labels.enabled for prompt in label.prompts]

    def lint(check: Callable[[], None]) -> Lint:
        together = [
            pair
            for source, heard in memory.heard(context.control.config, labels, _build(context), period, check)
            for pair in fire_together(
                source, heard, {id_: labels.label(source, id_).threshold for id_ in heard}
            )
        ]
        vectors = context.prompt_preview.embed([prompt for _, prompt in prompts]) if prompts else None
        alike = [] if vectors is None else list(memory.alike(prompts, vectors, period, check))
        return Lint(together=together, alike=alike)

    with refusals():
        return await context.long_requests.answer(request, lint)


@routes.post("/labels/{label_id}/advice", responses=UNAVAILABLE | NOT_FOUND)
async def advise_threshold(
    context: Context, request: Request, label_id: Id, query: TargetQuery
) -> TargetAdvice:
    """Say at which threshold a label would have as many false alarms as desired; nothing changes."""
    memory, period, labels = memory_of(context), query.period(), context.control.active_labels
    find_label(context, label_id)
    try:
        target = target_text(query.target)
    except ValueError as error:
        raise HTTPException(422, f"target: {printable(query.target)!r} {error}") from error
    only = labels.with_only(labels.find(label_id), own_thresholds=True)

    def advice(check: Callable[[], None]) -> TargetAdvice:
        rows = [
            _row(each)
            for source, heard in memory.heard(context.control.config, only, _build(context), period, check)
            for each in advise(
                source,
                heard,
                {label_id: target},
                right_events(context.control.config.state, source, period.since),
                memory.window_seconds,
            )
        ]
        return TargetAdvice(target=target, rows=rows)

    with refusals():
        return await context.long_requests.answer(request, advice)


def _build(context: AppContext) -> Callable[[Sequence[LabelConfig]], Prototypes]:
    control = context.control
    return partial(
        context.prompt_preview.build_prototypes,
        background=control.active_labels.background,
        examples=control.examples,
    )


def _row(advice: Advice) -> SourceAdvice:
    found = advice.found
    return SourceAdvice(
        source=advice.source,
        threshold=advice.threshold,
        words=refusal(found) if isinstance(found, NoThreshold) else basis(found),
        right=advice.right,
        missed=advice.missed,
    )
