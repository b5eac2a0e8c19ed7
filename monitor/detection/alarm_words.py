"""Words about thresholds for a desired rate of false alarms."""

from __future__ import annotations

from monitor.detection.alarm_rate import AlarmThreshold, Grade, NoThreshold

_GRADES = {
    Grade.MEASURED: "measured",
    Grade.FACTOR_OF_2: "about a factor of 2",
    Grade.EXTRAPOLATED: "extrapolated",
}

_IN_DAYS = 72
"""Hours from which a length of time is given in days."""


def basis(found: AlarmThreshold) -> str:
    """Return how well a threshold is known, and from what."""
    heard = f"{found.expected:.2g} expected in {span(found.hours)}"
    return f"{_GRADES[found.grade]}: {heard}, {found.clusters} sounds"


def refusal(found: NoThreshold) -> str:
    """Return why there is no threshold, and what would help."""
    if found.listen_hours is None:
        return found.why
    return f"{found.why}: {span(found.hours)} so far, listen for {span(found.listen_hours)}"


def span(hours: float) -> str:
    """Return a length of time in words."""
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.3g} h" if hours < _IN_DAYS else f"{hours / 24:.2g} days"
