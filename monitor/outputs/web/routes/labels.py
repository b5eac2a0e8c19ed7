"""Label routes: the labels in force, their thresholds, prompt previews, and detection on or off."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Path, Query
from pydantic import BaseModel, Field, create_model

from monitor.config import LabelConfig, slug
from monitor.config.section import Prompt, Section
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.prompt_preview import Preview
from monitor.outputs.web.context import AppContext, Context
from monitor.outputs.web.routes.events import NOT_FOUND, query_store
from monitor.outputs.web.routes.refusals import refusals

routes = APIRouter(tags=["labels"])

DAY_SECONDS = 86_400.0

Id = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$", description="Identifier of a label.")]

_Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Prompts = Annotated[list[Prompt], Field(max_length=10)]
_Source = Annotated[str, Field(max_length=32)]


def _optional_keys(model: type[Section]) -> type[Section]:
    """Return a model of the same keys, each with its limits and optional, but for the identifier."""
    keys: dict[str, Any] = {
        name: (
            Annotated[field.annotation, *field.metadata, Field()] | None,
            Field(default=None, description=field.description),
        )
        for name, field in model.model_fields.items()
        if name != "id"
    }
    return create_model("LabelKeys", __base__=Section, **keys)


class LabelKeys(_optional_keys(LabelConfig)):  # type: ignore[misc] # made from the model of the configuration
    """Keys of a label as in the configuration; a key that is left out stays, `null` is its default."""


class NewLabel(LabelKeys):
    """A label to add: its keys as in the configuration."""

    id: Annotated[str, Field(min_length=1, max_length=32)] | None = Field(
        default=None, description="Unset: made from the first prompt."
    )
    prompts: Annotated[tuple[Prompt, ...], Field(strict=False, min_length=1, max_length=30)]


class Label(BaseModel):
    """A label as it is in force."""

    id: str
    name: str
    enabled: bool
    prompts: tuple[str, ...]
    against: tuple[str, ...]
    threshold: float
    thresholds: dict[str, float] = Field(description="By the name of each source that detects the label.")
    clips: bool
    examples: bool = Field(description="Whether it uses examples.")
    keys: dict[str, Any] = Field(description="All keys of its configuration.")


class Labels(BaseModel):
    """All labels."""

    rows: list[Label]
    armed: bool = Field(description="Whether detection is on.")


class Armed(BaseModel):
    """Detection on or off."""

    armed: bool


class WhatIf(BaseModel):
    """Estimated number of events at other thresholds."""

    since: float
    until: float
    events: list[int] = Field(description="At the thresholds 0, 0.01, ... 1.")


@routes.get("/labels")
def list_labels(context: Context) -> Labels:
    """Return all labels."""
    active_labels = context.control.active_labels
    rows = [_label(active_labels, label) for label in active_labels.labels]
    return Labels(rows=rows, armed=active_labels.armed)


@routes.post("/labels", status_code=201, responses={409: {"description": "The identifier is taken"}})
def add_label(context: Context, label: NewLabel) -> Label:
    """Add a label; it is detected from the next window on."""
    id_ = label.id or slug(label.prompts[0]) or "label"
    if any(known.id == id_ for known in context.control.active_labels.labels):
        raise HTTPException(409, f"There is a label {id_!r} already: use another id or prompt")
    with refusals():
        context.control.put_label(label.model_dump(exclude_none=True) | {"id": id_})
    return find_label(context, id_)


@routes.patch("/labels/{label_id}", responses=NOT_FOUND)
def change_label(context: Context, label_id: Id, keys: LabelKeys) -> Label:
    """Change some keys of a label."""
    changes = keys.model_dump(exclude_unset=True) | {"id": label_id}
    return _changed(context, label_id, lambda: context.control.put_label(changes))


@routes.delete("/labels/{label_id}", responses=NOT_FOUND)
def remove_label(context: Context, label_id: Id) -> Labels:
    """Remove a label; it is no longer detected."""
    find_label(context, label_id)
    with refusals():
        context.control.remove_label(label_id)
    return list_labels(context)


@routes.put("/labels/{label_id}/threshold", responses=NOT_FOUND)
def set_threshold(
    context: Context,
    label_id: Id,
    threshold: Annotated[_Score, Body()],
    source: Annotated[_Source | None, Body(description="Only there; unset: everywhere.")] = None,
) -> Label:
    """Set the threshold of a label, from the next window on."""
    return _changed(context, label_id, lambda: context.control.set_threshold(label_id, threshold, source))


@routes.put("/labels/{label_id}/enabled", responses=NOT_FOUND)
def enable_label(context: Context, label_id: Id, enabled: Annotated[bool, Body(embed=True)]) -> Label:
    """Enable or disable a label."""
    return _changed(context, label_id, lambda: context.control.enable_label(label_id, enabled=enabled))


@routes.get("/labels/{label_id}/what-if", responses=NOT_FOUND | {503: {"description": "No store"}})
def estimate_events(
    context: Context,
    label_id: Id,
    seconds: Annotated[float, Query(gt=0, le=7 * DAY_SECONDS, allow_inf_nan=False)] = DAY_SECONDS,
    source: Annotated[_Source | None, Query()] = None,
) -> WhatIf:
    """Estimate how many events a label would have had lately, at each threshold."""
    find_label(context, label_id)
    until = time.time()
    since = until - seconds
    events = query_store(
        context, lambda reader: reader.at_thresholds(label_id, since=since, until=until, source=source)
    )
    return WhatIf(since=since, until=until, events=events)


@routes.post("/try", responses={503: {"description": "The prompts cannot be embedded"}})
def preview_prompts(
    context: Context,
    prompts: Annotated[_Prompts, Body(min_length=1)],
    against: Annotated[_Prompts, Body()] = [],  # noqa: B006 - never changed
) -> Preview:
    """Score prompts against the newest audio, and find similar prompts in force; nothing changes."""
    with refusals():
        return context.prompt_preview.preview(prompts, against, context.control.active_labels)


@routes.put("/armed")
def arm(context: Context, armed: Annotated[bool, Body(embed=True)]) -> Armed:
    """Switch detection on or off."""
    with refusals():
        context.control.arm(armed=armed)
    return Armed(armed=context.control.active_labels.armed)


def _label(active_labels: ActiveLabels, label: LabelConfig) -> Label:
    return Label(
        id=label.id,
        name=label.title,
        enabled=label.enabled,
        prompts=label.prompts,
        against=label.against,
        threshold=label.threshold,
        thresholds=active_labels.thresholds(label.id),
        clips=label.clips,
        examples=label.examples,
        keys=label.model_dump(mode="json"),
    )


def find_label(context: AppContext, label: str) -> Label:
    """Return a label as it is in force; answer 404 if there is none."""
    active_labels = context.control.active_labels
    found = next((each for each in active_labels.labels if each.id == label), None)
    if found is None:
        raise HTTPException(404, f"There is no label {label!r}")
    return _label(active_labels, found)


def _changed(context: AppContext, label: str, change: Callable[[], object]) -> Label:
    """Change a label that exists, and return it."""
    find_label(context, label)
    with refusals():
        change()
    return find_label(context, label)
