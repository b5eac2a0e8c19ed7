"""Number ranges for the JSON files of a checkpoint.

Numbers that decide how much is allocated or computed are checked first.  The ranges allow at least ten
times what the largest published CLAP models have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.types import ModelError


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, both included."""

    low: float
    high: float
    whole: bool = True
    above: bool = False
    """Exclude ``low`` itself."""

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        begin = f"above {_text(self.low)} and at most" if self.above else f"from {_text(self.low)} to"
        return f"{kind} {begin} {_text(self.high)}"

    def has(self, value: object) -> bool:
        """Return whether a value is a number in this range; True and False are not numbers."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        return (
            math.isfinite(value) and self.low <= value <= self.high and not (self.above and value == self.low)
        )


def check(value: object, allowed: Range, where: str) -> None:
    """Raise ModelError for a value outside its range; ``where`` names the file and the key."""
    if not allowed.has(value):
        raise ModelError(f"{where}: {shown(value)} is not {allowed}")


def check_list(value: object, allowed: Range, most: int, where: str) -> tuple[Any, ...]:
    """Return a list of 1 to ``most`` numbers in a range; raise ModelError for anything else."""
    if not isinstance(value, list) or not 0 < len(value) <= most or not all(map(allowed.has, value)):
        raise ModelError(f"{where}: {shown(value)} is not a list of 1 to {most} items, each {allowed}")
    return tuple(value)


def check_mapping(values: object, allowed: Mapping[str, Range], where: str) -> Mapping[str, Any]:
    """Return a mapping whose numbers are in range; keys may be missing.  ``where`` names file and key.

    Raises
    ------
    ModelError
        It is not a mapping, or a number is outside its range.
    """
    if not isinstance(values, Mapping):
        raise ModelError(f"{where}: {shown(values)} is not a mapping")
    for key, of in allowed.items():
        if key in values:
            check(values[key], of, f"{where}.{key}")
    return values


def shown(value: Any) -> str:
    """Value for an error message, on one line of at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004


def _text(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:g}"
