"""Unusual sounds: the event without a label, and its desired rate."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from monitor.config.labels import LabelConfig
from monitor.config.section import MOST_SOURCES, AlarmTarget, Identifier, Section

UNUSUAL = "unusual"
"""Label of these events."""


class UnusualConfig(Section):
    """Unusual sounds: an event for a sound unlike all that the source had at that time of day."""

    enabled: bool = Field(
        default=False,
        description="Report sounds unlike all that a source had at that time of day in the last week, as "
        "events with the label unusual. Needs memory.enabled, and two days of memory first.",
    )
    target: AlarmTarget = Field(
        default="1/day",
        description="Desired number of reports from each source in an ordinary room, such as 1/day or "
        "2/week. Once a day, the threshold is set for it, from the memory.",
    )
    sources: Annotated[tuple[Identifier, ...], Field(strict=False)] | None = Field(
        default=None, min_length=1, max_length=MOST_SOURCES, description="Names of the sources. Unset: all."
    )


class UnusualLabel(LabelConfig):
    """Label of the events of unusual sounds: no sound that a user described, with no score to publish."""

    id: Identifier = UNUSUAL
    name: str | None = "Unusual sound"
    examples: bool = True  # no prompts: what is usual are the examples
    cooldown_seconds: float = 8.0  # with the merge gap 10 s, by which the threshold tells sounds apart
    icon: str | None = "mdi:ear-hearing"
