"""Section: the base model of all parts of the configuration, and their common types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from monitor.config import validators

MAX_PROMPT = 300

MOST_SOURCES = 256
"""Sources of one monitor."""

Identifier = Annotated[str, StringConstraints(pattern=validators.ID)]
Prompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT),
    AfterValidator(validators.check_words),
]
Variable = Annotated[str, StringConstraints(pattern=validators.ENVIRONMENT)]
"""Name of an environment variable."""
FilePath = Annotated[
    Path,
    Field(strict=False),
    BeforeValidator(validators.check_present),
    AfterValidator(validators.check_path),
]

HoursOfDay = Annotated[str, AfterValidator(validators.check_hours)]
"""Such as ``22:00-07:00``, which crosses midnight; `parse_hours` converts it to `Hours`."""

AlarmTarget = Annotated[str, AfterValidator(validators.check_target)]
"""Such as ``0.5/day``; `parse_target` converts it to false alarms per hour."""


class Section(BaseModel):
    """Frozen model that is strict (``"1"`` is not a number, ``true`` is not 1) and refuses unknown keys."""

    # Tracebacks show no values either: one of them may be a misplaced password.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )
