"""Targets: desired rates of false alarms, such as ``0.5/day``."""

from __future__ import annotations

import re

HOURS = {"hour": 1.0, "day": 24.0, "week": 168.0}
"""Hours in each unit."""

LEAST, MOST = 0.1 / 168, 20.0
"""False alarms per hour that can be wished for: nobody listens long enough for less, and more is no alarm."""

_TEXT = re.compile(r"(\d{1,4}(?:\.\d{1,6})?) ?/ ?(hour|day|week)", re.ASCII)


def parse_target(text: str) -> float:
    """Return the false alarms per hour of a target.

    Raises
    ------
    ValueError
        Says what is wrong, in words that follow the text itself.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a rate of false alarms; write it like 0.5/day, 2/week or 1/hour")
    per_hour = float(match[1]) / HOURS[match[2]]
    if not LEAST <= per_hour <= MOST:
        raise ValueError("is out of range; it goes from 0.1/week to 20/hour")
    return per_hour


def target_text(text: str) -> str:
    """Return a target in its normal form: without white space.

    Raises
    ------
    ValueError
        As `parse_target`.
    """
    parse_target(text)
    return text.replace(" ", "")
