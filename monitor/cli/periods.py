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
    seconds = _seconds(text)
    if seconds is not None:
        return max(0.0, (time.time() if now is None else now) - seconds)
    try:
        return max(0.0, datetime.fromisoformat(text.strip()).timestamp())
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"{text[:40]!r} is no moment; write 30m, 12h, 7d, 2026-11-30 or 2026-11-30T18:00"
        ) from None


def seconds_of(text: str) -> float:
    """Return the seconds of a length of time, such as ``1h``.

    Raises
    ------
    typer.BadParameter
        It is none.
    """
    seconds = _seconds(text)
    if seconds is None:
        raise typer.BadParameter(f"{text[:40]!r} is no length of time; write 30m, 12h or 1d")
    return seconds


def _seconds(text: str) -> float | None:
    span = _SPAN.fullmatch(text.strip())
    return None if span is None else float(span[1]) * _UNITS[span[2]]
