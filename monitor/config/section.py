"""What all parts of the configuration share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from monitor.config import validators

MAX_PROMPT = 300

Identifier = Annotated[str, StringConstraints(pattern=validators.ID)]
Prompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT),
    AfterValidator(validators.check_words),
]
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT),
    AfterValidator(validators.check_words),
]
FilePath = Annotated[
    Path,
    Field(strict=False),
    BeforeValidator(validators.check_present),
    AfterValidator(validators.check_path),
]

HoursOfDay = Annotated[str, AfterValidator(validators.check_hours)]
"""Such as ``22:00-07:00``, over midnight if need be; `parse_hours` makes `Hours` of it."""


class Section(BaseModel):
    """Strict (``"1"`` is no number, ``true`` is not 1), without unknown keys, and never changed."""

    # Values stay out of tracebacks as well: one of them may be a password in the wrong place.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )
