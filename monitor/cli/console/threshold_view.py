"""Threshold view: lines about thresholds for a desired rate of false alarms."""

from __future__ import annotations

from monitor.config.alarm_target import HOURS
from monitor.detection.alarm_advice import Advice
from monitor.detection.alarm_rate import NoThreshold
from monitor.detection.alarm_words import basis, refusal


def advice_line(advice: Advice, now: float | None) -> str:
    """Return one line; ``now`` is the threshold in force, None if the source is not configured."""
    before = "" if now is None else f"{score(now)} -> "
    begin = f"{advice.source:<16}  {advice.label:<20}  "
    found = advice.found
    if isinstance(found, NoThreshold):
        return f"{begin}{before}refused: {refusal(found)}"
    unit = advice.target.rpartition("/")[2]
    slow, fast = (rate * HOURS[unit] for rate in found.rates)
    rate = f"{advice.target} (80 %: {slow:.2g} to {fast:.2g})"
    line = f"{begin}{before}{score(found.threshold)} for {rate}, {basis(found)}"
    if not advice.right:
        return line
    return f"{line}; would miss {advice.missed} of {advice.right} events marked as right"


def score(threshold: float) -> str:
    """Return a threshold with as many digits as tell it from 0 and 1."""
    for digits in (2, 3, 4, 5):
        if 10**-digits < threshold < 1 - 10**-digits:
            return f"{threshold:.{digits}f}"
    return f"{threshold:.6f}"
