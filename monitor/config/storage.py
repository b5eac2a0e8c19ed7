"""Storage: clips of events, and the event store.

A rule between two keys is checked at the later one, so that one error never hides another.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from monitor.config import validators
from monitor.config.section import Section
from monitor.config.validators import fault


class ClipsConfig(Section):
    """Clips: short recordings of events."""

    enabled: bool = Field(default=False, description="Record clips. Off by default, for privacy.")
    format: Literal["flac", "wav", "opus"] = Field(
        default="flac",
        description="File format: flac (lossless, half the size of wav), wav (lossless) or opus (a tenth "
        "of the size of wav, nearly as good).",
    )
    before_seconds: float = Field(
        default=5.0, ge=0, le=30, description="Audio before the start of the event, in seconds."
    )
    after_seconds: float = Field(
        default=5.0, ge=0, le=30, description="Audio after the end of the event, in seconds."
    )
    max_seconds: float = Field(
        default=30.0,
        ge=1,
        le=45,
        description="Maximum length of a clip, in seconds; more than before_seconds. Of a longer event, "
        "the beginning is recorded.",
    )
    speech_filter: bool = Field(
        default=True,
        description="Discard clips that contain speech; the event itself is kept.",
    )
    readable_by: Literal["owner", "group", "everyone"] = Field(
        default="owner",
        description="Who on this machine can read new clips, besides the user of the monitor: owner "
        "(nobody else), group (the group of the directory) or everyone.",
    )
    public_url: Annotated[str, StringConstraints(pattern=validators.URL, max_length=500)] | None = Field(
        default=None,
        description="URL of the recordings directory on a web server; links in messages start with it. "
        "Unset: messages contain the path within the recordings directory.",
    )
    keep_days: float = Field(
        default=30.0, gt=0, le=36_500, description="Age at which clips are deleted, in days."
    )
    max_megabytes: int = Field(
        default=1000,
        ge=1,
        le=10_000_000,
        description="Maximum size of all clips, in megabytes; the oldest are deleted first.",
    )
    free_megabytes: int = Field(
        default=500,
        ge=0,
        le=10_000_000,
        description="Free disk space to keep, in megabytes. With less, old clips are deleted and no new "
        "one is written.",
    )
    keep_per_label: int = Field(
        default=5,
        ge=0,
        le=10_000,
        description="Number of the newest clips of each label that neither age nor size deletes.",
    )

    @field_validator("max_seconds")
    @classmethod
    def _exceeds_lead(cls, longest: float, others: ValidationInfo) -> float:
        before = others.data.get("before_seconds")
        if before is not None and longest <= before:
            raise fault(
                f"{longest:g} is not more than before_seconds ({before:g}); no clip would contain its event"
            )
        return longest


class StoreConfig(Section):
    """Event store: past events, near misses and scores, without audio."""

    enabled: bool = Field(default=True, description="Store events, near misses and scores.")
    keep_days: float = Field(
        default=365.0,
        gt=0,
        le=36_500,
        description="Age at which events are deleted, in days; an event with a clip is kept as long as the "
        "clip.",
    )
    keep_near_misses_days: float = Field(
        default=30.0, gt=0, le=36_500, description="Age at which near misses are deleted, in days."
    )
    keep_minutes_days: float = Field(
        default=30.0,
        gt=0,
        le=36_500,
        description="Age at which the highest score and the level of each minute are deleted, in days.",
    )
    max_megabytes: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Maximum size of the store, in megabytes. The oldest near misses are deleted first, "
        "then minutes, then events.",
    )


class MemoryConfig(Section):
    """Memory: the embeddings of past windows, without audio."""

    enabled: bool = Field(
        default=True,
        description="Keep the embedding of every scored window, for search, replay and thresholds. No audio "
        "can be made from it, but it tells which kinds of sound there were.",
    )
    keep_days: float = Field(
        default=7.0, gt=0, le=3_650, description="Age at which embeddings are deleted, in days."
    )
    max_megabytes: int = Field(
        default=2000,
        ge=10,
        le=10_000_000,
        description="Maximum size of all embeddings, in megabytes; the oldest are deleted first. A source "
        "takes 91 a day at one window per second.",
    )
    free_megabytes: int = Field(
        default=500,
        ge=0,
        le=10_000_000,
        description="Free disk space to keep, in megabytes. With less, old embeddings are deleted and no new "
        "ones are written.",
    )
