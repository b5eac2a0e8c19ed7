"""Ranges of the numbers in a checkpoint's configuration: generous for real models, finite for any other.

A number that decides how much is allocated or computed is checked before anything is.  The largest
published CLAP models have less than a tenth of what is allowed here.
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
    """``low`` itself is not included."""

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        begin = f"above {_text(self.low)} and at most" if self.above else f"from {_text(self.low)} to"
        return f"{kind} {begin} {_text(self.high)}"

    def has(self, value: object) -> bool:
        """Whether a value is such a number; True and False are none."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        return (
            math.isfinite(value) and self.low <= value <= self.high and not (self.above and value == self.low)
        )


def check(value: object, allowed: Range, where: str) -> None:
    """Raise ModelError, with the file and the key in ``where``, for a value out of its range."""
    if not allowed.has(value):
        raise ModelError(f"{where}: {shown(value)} is not {allowed}")


def check_list(value: object, allowed: Range, most: int, where: str) -> None:
    """Raise ModelError for what is not a list of at most ``most`` numbers in a range."""
    if not isinstance(value, list) or not 0 < len(value) <= most or not all(map(allowed.has, value)):
        raise ModelError(f"{where}: {shown(value)} is not a list of 1 to {most} items, each {allowed}")


def check_mapping(values: object, allowed: Mapping[str, Range], where: str) -> None:
    """Check the numbers of a mapping; a key that is not there has its default.

    Parameters
    ----------
    values : object
        What should be a mapping.
    allowed : mapping of str to Range
    where : str
        File, and the key of the mapping.
    """
    if not isinstance(values, Mapping):
        raise ModelError(f"{where}: {shown(values)} is not a mapping")
    for key, of in allowed.items():
        if key in values:
            check(values[key], of, f"{where}.{key}")


def shown(value: Any) -> str:
    """A value in a message, on one line of bounded length."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004


def _text(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:g}"
