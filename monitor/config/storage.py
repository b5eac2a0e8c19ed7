"""Storage: clips of events, and the event store.

A rule between two keys is checked at the later one, so that one fault hides no other.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from monitor.config import validators
from monitor.config.section import Section
from monitor.config.validators import fault


class ClipsConfig(Section):
    """Short recordings of events."""

    enabled: bool = Field(default=False, description="Whether to record clips at all; off for privacy.")
    format: Literal["flac", "wav", "opus"] = Field(
        default="flac",
        description="flac (exact, half the size), wav (exact), or opus (a tenth of it, nearly as good).",
    )
    before_seconds: float = Field(default=5.0, ge=0, le=30, description="Audio kept from before the event.")
    after_seconds: float = Field(default=5.0, ge=0, le=30, description="Audio kept from after its end.")
    max_seconds: float = Field(
        default=30.0,
        ge=1,
        le=45,
        description="Length of a clip at most; of a longer event it is the beginning.",
    )
    speech_guard: bool = Field(
        default=True,
        description="Whether to keep no clip in which people are heard speaking; the event is kept.",
    )
    readable_by: Literal["owner", "group", "everyone"] = Field(
        default="owner",
        description="Who on this machine may read new clips beside the user of the monitor: nobody (owner), "
        "the group of the directory, or everyone.",
    )
    public_url: Annotated[str, StringConstraints(pattern=validators.URL, max_length=500)] | None = Field(
        default=None,
        description="Where the recordings can be fetched, http(s)://...: links in messages begin with it. "
        "Unset: messages name the path below recordings.",
    )
    keep_days: float = Field(default=30.0, gt=0, le=36_500, description="Age at which clips are deleted.")
    max_megabytes: int = Field(
        default=1000, ge=1, le=10_000_000, description="Size of all clips; the oldest are deleted beyond it."
    )
    free_megabytes: int = Field(
        default=500,
        ge=0,
        le=10_000_000,
        description="Free space to be left on the disk; clips are deleted, and none is written, below it.",
    )
    keep_per_label: int = Field(
        default=5,
        ge=0,
        le=10_000,
        description="The newest clips of each label that neither age nor size deletes.",
    )

    @field_validator("max_seconds")
    @classmethod
    def _holds_some_of_the_event(cls, longest: float, others: ValidationInfo) -> float:
        before = others.data.get("before_seconds")
        if before is not None and longest <= before:
            raise fault(
                f"{longest:g} is not more than before_seconds ({before:g}); no clip would hold its event"
            )
        return longest


class StoreConfig(Section):
    """What happened, kept for looking back: numbers and names, no sound."""

    enabled: bool = Field(default=True, description="Whether to keep events, near misses and scores.")
    keep_days: float = Field(
        default=365.0, gt=0, le=36_500, description="How long events are kept; longer while their clip is."
    )
    keep_misses_days: float = Field(
        default=30.0, gt=0, le=36_500, description="How long near misses are kept."
    )
    keep_minutes_days: float = Field(
        default=30.0,
        gt=0,
        le=36_500,
        description="How long the highest score and level of each minute are kept.",
    )
    max_megabytes: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Size of all of it; beyond it the oldest are deleted: near misses, minutes, then events.",
    )
