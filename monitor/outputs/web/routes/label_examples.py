"""Example routes: what a label was learned from, and learning it from events or from what was just heard."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from monitor.config.section import Prompt
from monitor.detection.example_learner import together
from monitor.detection.examples import MOST_EXAMPLES, Examples
from monitor.memory.segment import MemoryFormatError
from monitor.outputs.store.rows import StoredEvent
from monitor.outputs.web.context import AppContext, Context
from monitor.outputs.web.routes.events import NOT_FOUND, query_store
from monitor.outputs.web.routes.labels import Id, Label, find_label
from monitor.outputs.web.routes.refusals import refusals
from monitor.types import ConfigError

routes = APIRouter(tags=["labels"])

_EventId = Annotated[str, Field(min_length=1, max_length=40)]
_UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    503: {"description": "The store or the memory is not available now"}
}


class Lesson(BaseModel):
    """What a label is to be learned from: events, the newest seconds of a source, or both."""

    model_config = ConfigDict(extra="forbid")

    events: Annotated[list[_EventId], Field(max_length=MOST_EXAMPLES)] = []
    seconds: Annotated[float, Field(ge=1, le=30, allow_inf_nan=False)] | None = Field(
        default=None, description="Learn from the newest seconds of the source as well."
    )
    source: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Unset: the only one."
    )
    name: Prompt | None = Field(default=None, description="Display name of a new label.")
    replace: bool = Field(default=False, description="Drop the examples that the label has had.")


class ExampleList(BaseModel):
    """Examples of a label."""

    label: str
    origins: tuple[str, ...] = Field(description="Where each example is from, oldest first.")
    wrong: tuple[str, ...] = Field(description="Events marked wrong that count against the label.")


class Learned(BaseModel):
    """A label, and the examples that it has now."""

    label: Label
    examples: ExampleList


@routes.get("/labels/{label_id}/examples", responses=NOT_FOUND)
def list_examples(context: Context, label_id: Id) -> ExampleList:
    """Return where the examples of a label are from."""
    find_label(context, label_id)
    return _examples(context, label_id)


@routes.post("/labels/{label_id}/learn", responses=NOT_FOUND | _UNAVAILABLE)
def learn_label(context: Context, label_id: Id, lesson: Lesson) -> Learned:
    """Learn a label by example, from the next window on; a label that does not exist is added."""
    events = [_event(context, event) for event in lesson.events]
    with refusals():
        parts = [_heard_in(context, label_id, event) for event in events]
        if lesson.seconds is not None:
            source = _source(context, lesson.source)
            parts.append(context.learner.newest(label_id, source, lesson.seconds))
        if not parts:
            raise ConfigError("there is nothing to learn from: give events, or seconds")
        if len(parts) > MOST_EXAMPLES:
            raise ConfigError(f"{len(parts)} examples are more than the {MOST_EXAMPLES} of a label")
        keys = {} if lesson.name is None else {"name": lesson.name}
        context.control.learn(together(parts), keys, replace_known=lesson.replace)
    return Learned(label=find_label(context, label_id), examples=_examples(context, label_id))


@routes.delete("/labels/{label_id}/examples", responses=NOT_FOUND)
def forget_examples(context: Context, label_id: Id) -> Learned:
    """Delete the examples of a label; its prompts remain."""
    find_label(context, label_id)
    with refusals():
        context.control.forget(label_id)
    return Learned(label=find_label(context, label_id), examples=_examples(context, label_id))


def _examples(context: AppContext, label: str) -> ExampleList:
    found = context.control.examples.get(label)
    if found is None:
        return ExampleList(label=label, origins=(), wrong=())
    return ExampleList(label=label, origins=found.origins, wrong=found.rival_origins)


def _event(context: AppContext, identifier: str) -> StoredEvent:
    event = query_store(context, lambda reader: reader.event(identifier))
    if event is None:
        raise HTTPException(404, f"There is no event {identifier!r}")
    return event


def _heard_in(context: AppContext, label: str, event: StoredEvent) -> Examples:
    until = event.ended_at or event.started_at + (event.duration_seconds or 0.0)
    try:
        return context.learner.between(label, event.source, (event.started_at, until), event.event_id)
    except MemoryFormatError as error:
        raise HTTPException(503, str(error)) from error


def _source(context: AppContext, source: str | None) -> str:
    names = context.control.active_labels.sources
    if source is None and len(names) == 1:
        return names[0]
    if source is None or source not in names:
        raise ConfigError(f"source: give one of {', '.join(names)}")
    return source
