"""Periods on the command line: `7d` ago, or a date."""

from __future__ import annotations

import re
import time
from datetime import datetime

import typer

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.ASCII)


def moment(text: str, now: float | None = None) -> float:
    """Return Unix seconds of a moment: ``7d`` ago, a date, or a date and time in local time.

    Raises
    ------
    typer.BadParameter
        It is none of these.
    """
    span = _SPAN.fullmatch(text.strip())
    if span is not None:
        return max(0.0, (time.time() if now is None else now) - float(span[1]) * _UNITS[span[2]])
    try:
        return max(0.0, datetime.fromisoformat(text.strip()).timestamp())
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"{text[:40]!r} is no moment; write 30m, 12h, 7d, 2026-11-30 or 2026-11-30T18:00"
        ) from None
