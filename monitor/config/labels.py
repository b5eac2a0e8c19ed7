"""Labels: the sounds to detect, their prompts, and how scores become events.

A rule between two keys is checked at the later one, so that one error never hides another.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from monitor.config.section import AlarmTarget, Identifier, Prompt, Section
from monitor.config.validators import ICON, fault

DeviceClass = Literal[
    "battery",
    "battery_charging",
    "carbon_monoxide",
    "cold",
    "connectivity",
    "door",
    "garage_door",
    "gas",
    "heat",
    "light",
    "lock",
    "moisture",
    "motion",
    "moving",
    "occupancy",
    "opening",
    "plug",
    "power",
    "presence",
    "problem",
    "running",
    "safety",
    "smoke",
    "sound",
    "tamper",
    "update",
    "vibration",
    "window",
]
"""Device classes of binary sensors; Home Assistant refuses any other."""

Pattern = Literal["t3", "t4"]
"""Temporal patterns of alarms; `monitor.detection.temporal_pattern` finds them."""


class LabelConfig(Section):
    """Label: a sound to detect."""

    id: Identifier = Field(description="Identifier of the label, also in MQTT topics.")
    name: Prompt | None = Field(
        default=None, description="Display name. Unset: derived from id; baby_cry becomes Baby cry."
    )
    examples: bool = Field(
        default=False,
        description="Use the examples of the sound that `clap-monitor learn` has stored in the state "
        "directory, alone or together with the prompts.",
    )
    prompts: Annotated[tuple[Prompt, ...], Field(strict=False)] = Field(
        default=(),
        validate_default=True,
        max_length=30,
        description="Short, plain English descriptions of the sound; the embeddings of several phrasings "
        "are averaged. At least one, unless examples is true.",
    )
    against: Annotated[tuple[Prompt, ...], Field(strict=False)] = Field(
        default=(),
        max_length=30,
        description="Prompts for sounds that are mistaken for this one; they lower its score. Add one only "
        "after a false alarm, and never a sound that contains this one.",
    )
    threshold: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Score from which a window counts as a detection. Higher: fewer false alarms; lower: "
        "fewer misses. 0.5 is calibrated to one false alarm per hour and label.",
    )
    target: AlarmTarget | None = Field(
        default=None,
        description="Desired rate of false alarms instead of threshold, such as 0.5/day or 2/week. Once a "
        "day, the threshold of each source is set from its memory; until that is long enough, the default "
        "threshold applies, and `clap-monitor status` says so.",
    )
    release_threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Score below which the sound has ended; at most threshold. Unset: 0.15 below "
        "threshold, or 0.7 of it if that is more.",
    )
    confirm_seconds: float | None = Field(
        default=None,
        ge=0,
        le=60,
        description="Seconds for which the sound must be detected before an event starts. This becomes k = "
        "confirm_seconds / hop_seconds windows, rounded up, at least 1: an event starts once k of the newest "
        "k + k // 2 windows reach the threshold. 0 is the fastest; more gives fewer false alarms. Unset: 2 "
        "of 3 windows.",
    )
    pattern: Pattern | None = Field(
        default=None,
        description="Temporal pattern without which no event starts: t3 (smoke alarm: three beeps of 0.5 s "
        "and a pause) or t4 (carbon monoxide alarm: four beeps of 0.1 s and a pause of 5 s), at 2.8 to 3.6 "
        "kHz or 520 Hz. Two groups of beeps must be heard, which takes 7 s. Not every alarm has one.",
    )
    min_duration_seconds: float = Field(
        default=0.0,
        ge=0,
        le=3600,
        description="Minimum duration of an event, in seconds; shorter ones are not reported.",
    )
    max_duration_seconds: float = Field(
        default=300.0,
        gt=0,
        le=86_400,
        validate_default=True,
        description="Maximum duration of an event, in seconds; longer ones are ended. At least "
        "min_duration_seconds.",
    )
    merge_gap_seconds: float = Field(
        default=2.0,
        ge=0,
        le=600,
        description="Maximum interruption of an event, in seconds; a sound that resumes within this time "
        "continues the event.",
    )
    cooldown_seconds: float = Field(
        default=5.0,
        ge=0,
        le=86_400,
        description="Time after an event in which no new event of this label starts, in seconds.",
    )
    enabled: bool = Field(default=True, description="Detect this label.")
    device_class: DeviceClass = Field(
        default="sound", description="Device class of the label's binary sensor in Home Assistant."
    )
    icon: Annotated[str, StringConstraints(pattern=ICON)] | None = Field(
        default=None,
        description="Icon of the label's binary sensor in Home Assistant, such as mdi:kettle. Unset: that of "
        "its device class.",
    )
    clips: bool = Field(default=True, description="Record clips of this label, if clips.enabled is true.")

    @property
    def title(self) -> str:
        """Display name."""
        return self.name or self.id.replace("_", " ").replace("-", " ").strip().capitalize()

    @property
    def release(self) -> float:
        """Score below which the sound has ended, in [0, 1]."""
        if self.release_threshold is not None:
            return self.release_threshold
        return round(max(self.threshold - 0.15, 0.7 * self.threshold), 6)

    @field_validator("prompts", mode="before")
    @classmethod
    def _has_prompts_or_examples(cls, prompts: object, others: ValidationInfo) -> object:
        if prompts in ((), []) and others.data.get("examples") is False:
            what = "is missing; describe the sound" if prompts == () else "is empty; give at least one"
            raise fault(f"{what}, or teach the sound with `clap-monitor learn`")
        return prompts

    @field_validator("release_threshold")
    @classmethod
    def _is_below_threshold(cls, release: float | None, others: ValidationInfo) -> float | None:
        threshold = others.data.get("threshold")
        if release is not None and threshold is not None and release > threshold:
            raise fault(
                f"{release:g} is above threshold ({threshold:g}); an event would end as soon as it starts"
            )
        return release

    @field_validator("max_duration_seconds")
    @classmethod
    def _exceeds_minimum(cls, longest: float, others: ValidationInfo) -> float:
        shortest = others.data.get("min_duration_seconds")
        if shortest is not None and longest < shortest:
            raise fault(
                f"{longest:g} is below min_duration_seconds ({shortest:g}); no event could be reported"
            )
        return longest

    @model_validator(mode="after")
    def _has_threshold_or_target(self) -> LabelConfig:
        if self.target is not None and "threshold" in self.model_fields_set:
            raise fault(f"has both threshold and target ({self.target}); keep one of the two")
        return self


def confirmations(confirm_seconds: float | None, hop_seconds: float) -> tuple[int, int]:
    """Number of windows that confirm an event, and among how many of the newest windows.

    The second is half more than the first: 1 of 1, 2 of 3 (also for None), 3 of 4, 4 of 6.
    """
    if confirm_seconds is None:
        return 2, 3
    hits = max(1, math.ceil(confirm_seconds / hop_seconds - 1e-9))  # 1.1 / 0.1 is a little more than 11
    return hits, hits + hits // 2
