"""What is listened for: labels, thresholds, sentences to try, and whether it listens at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, Field

from monitor.config import LabelConfig, slug
from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.store import StoreError
from monitor.outputs.web.context import AppContext, Context
from monitor.types import ConfigError, ModelError

routes = APIRouter(tags=["labels"])

DAY_SECONDS = 86_400.0

_Sentence = Annotated[str, Field(min_length=1, max_length=300)]
_Sentences = Annotated[list[_Sentence], Field(max_length=30)]
_Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Id = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$", description="Identifier of a label.")]

_REFUSED: dict[int | str, dict[str, Any]] = {404: {"description": "There is none"}}


class LabelKeys(BaseModel):
    """What can be said of a label; what is left out stays, `null` is the default."""

    model_config = {"extra": "forbid"}

    name: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    prompts: _Sentences | None = None
    against: _Sentences | None = None
    threshold: _Score | None = None
    release_threshold: _Score | None = None
    confirm_seconds: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] | None = None
    min_duration_seconds: _Seconds | None = None
    max_duration_seconds: _Seconds | None = None
    merge_gap_seconds: _Seconds | None = None
    cooldown_seconds: _Seconds | None = None
    enabled: bool | None = None
    device_class: Annotated[str, Field(max_length=40)] | None = None
    clips: bool | None = None


class NewLabel(LabelKeys):
    """A label to listen for."""

    id: Annotated[str, Field(min_length=1, max_length=32)] | None = Field(
        default=None, description="Unset: made of the first sentence."
    )
    prompts: Annotated[_Sentences, Field(min_length=1)]


class Label(BaseModel):
    """A label as it is listened for."""

    id: str
    name: str
    enabled: bool
    prompts: list[str]
    against: list[str]
    threshold: float
    thresholds: dict[str, float] = Field(description="By source, where they may differ.")
    clips: bool
    keys: dict[str, Any] = Field(description="Everything that is configured of it.")


class Labels(BaseModel):
    """All labels."""

    rows: list[Label]
    armed: bool = Field(description="Whether it listens at all.")


class Threshold(BaseModel):
    """From which score a label counts as heard."""

    threshold: _Score
    source: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Only there; unset: everywhere."
    )


class Enabled(BaseModel):
    """Whether a label is listened for."""

    enabled: bool


class Armed(BaseModel):
    """Whether it listens at all."""

    armed: bool


class WhatIf(BaseModel):
    """About how many events there would have been."""

    since: float
    until: float
    events: list[int] = Field(description="At the thresholds 0, 0.01, ... 1.")


class Attempt(BaseModel):
    """A sentence to try."""

    prompts: Annotated[_Sentences, Field(min_length=1, max_length=10)]
    against: Annotated[_Sentences, Field(max_length=10)] = []


class Neighbour(BaseModel):
    """A sentence that means nearly the same to the model."""

    text: str
    label: str | None = Field(description="The label it stands for; null for one of the background.")
    likeness: float = Field(description="1: the same; 0: as alike as any two sentences.")


class Heard(BaseModel):
    """What it would have scored in the last minute."""

    at: list[float]
    scores: list[float]


class Tried(BaseModel):
    """What there is to say of a sentence."""

    heard: dict[str, Heard] = Field(description="By source.")
    near: list[Neighbour]


@routes.get("/labels")
def see(context: Context) -> Labels:
    """Return all labels."""
    active_labels = context.control.active_labels
    rows = [_label(active_labels, label) for label in active_labels.labels]
    return Labels(rows=rows, armed=active_labels.armed)


@routes.post("/labels", status_code=201, responses={409: {"description": "There is one of this id"}})
def add(context: Context, label: NewLabel) -> Label:
    """Listen for another label, from the next window on."""
    id_ = label.id or slug(label.prompts[0]) or "label"
    if any(known.id == id_ for known in context.control.active_labels.labels):
        raise HTTPException(409, f"There is a label {id_!r} already: give another id or sentence")
    keys = label.model_dump(exclude_none=True) | {"id": id_}
    _change(lambda: context.control.put_label(keys))
    return _one(context, id_)


@routes.patch("/labels/{label_id}", responses=_REFUSED)
def alter(context: Context, label_id: Id, keys: LabelKeys) -> Label:
    """Change some keys of a label."""
    _one(context, label_id)
    _change(lambda: context.control.put_label(keys.model_dump(exclude_unset=True) | {"id": label_id}))
    return _one(context, label_id)


@routes.delete("/labels/{label_id}", responses=_REFUSED)
def remove(context: Context, label_id: Id) -> Labels:
    """Listen no more for a label."""
    _one(context, label_id)
    _change(lambda: context.control.remove_label(label_id))
    return see(context)


@routes.put("/labels/{label_id}/threshold", responses=_REFUSED)
def set_threshold(context: Context, label_id: Id, wanted: Threshold) -> Label:
    """Set from which score it counts as heard, from the next window on."""
    _one(context, label_id)
    _change(lambda: context.control.set_threshold(label_id, wanted.threshold, wanted.source))
    return _one(context, label_id)


@routes.put("/labels/{label_id}/enabled", responses=_REFUSED)
def enable(context: Context, label_id: Id, wanted: Enabled) -> Label:
    """Listen for it, or let it be for a while."""
    _one(context, label_id)
    _change(lambda: context.control.enable_label(label_id, enabled=wanted.enabled))
    return _one(context, label_id)


@routes.get("/labels/{label_id}/what-if", responses=_REFUSED | {503: {"description": "No store"}})
def what_if(
    context: Context,
    label_id: Id,
    seconds: Annotated[float, Query(gt=0, le=7 * DAY_SECONDS, allow_inf_nan=False)] = DAY_SECONDS,
    source: Annotated[str | None, Query(max_length=32)] = None,
) -> WhatIf:
    """Count about how many events it would have had lately, at each threshold."""
    _one(context, label_id)
    if context.reader is None:
        raise HTTPException(503, "Nothing is kept: store.enabled is false")
    until = time.time()
    try:
        found = context.reader.at_thresholds(label_id, since=until - seconds, until=until, source=source)
    except StoreError as error:
        raise HTTPException(503, f"The store cannot be read now: {error}") from error
    return WhatIf(since=until - seconds, until=until, events=found)


@routes.post("/try", responses={503: {"description": "The sentences cannot be embedded"}})
def attempt(context: Context, tried: Attempt) -> Tried:
    """Say what a sentence would score now, and which other ones it is near to; nothing changes."""
    active_labels = context.control.active_labels
    try:
        found = context.prompt_preview.ask(tried.prompts, tried.against, active_labels)
    except ConfigError as error:
        raise HTTPException(422, str(error)) from error
    except ModelError as error:
        raise HTTPException(503, str(error)) from error
    return Tried.model_validate(asdict(found))


@routes.put("/armed")
def arm(context: Context, wanted: Armed) -> Armed:
    """Switch listening on or off."""
    _change(lambda: context.control.arm(armed=wanted.armed))
    return Armed(armed=context.control.active_labels.armed)


def labels_told(active_labels: ActiveLabels) -> dict[str, object]:
    """What watchers are told of the labels that are listened for."""
    return {
        "armed": active_labels.armed,
        "labels": [
            {
                "id": label.id,
                "name": label.title,
                "threshold": label.threshold,
                "thresholds": _thresholds(active_labels, label.id),
            }
            for label in active_labels.enabled
        ],
    }


def _thresholds(active_labels: ActiveLabels, label: str) -> Mapping[str, float]:
    return {source: active_labels.label(source, label).threshold for source in active_labels.sources}


def _label(active_labels: ActiveLabels, label: LabelConfig) -> Label:
    return Label(
        id=label.id,
        name=label.title,
        enabled=label.enabled,
        prompts=list(label.prompts),
        against=list(label.against),
        threshold=label.threshold,
        thresholds=dict(_thresholds(active_labels, label.id)),
        clips=label.clips,
        keys=label.model_dump(mode="json"),
    )


def _one(context: AppContext, label: str) -> Label:
    active_labels = context.control.active_labels
    found = next((each for each in active_labels.labels if each.id == label), None)
    if found is None:
        raise HTTPException(404, f"There is no label {label!r}")
    return _label(active_labels, found)


def _change(what: Callable[[], None]) -> None:
    try:
        what()
    except ConfigError as error:
        raise HTTPException(422, str(error)) from error
    except ModelError as error:
        raise HTTPException(503, str(error)) from error
