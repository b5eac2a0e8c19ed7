"""What a person is told and what is held back: labels, scores, cooldown, quiet hours; pure."""

from __future__ import annotations

import math
import time
from collections import Counter

from monitor.config import NotifyConfig
from monitor.config.hours import parse_hours
from monitor.types import Event

MOST_KEPT = 50
"""Names of labels that are remembered of what was held back."""


class RateLimit:
    """Judge every event for one target.

    Cooldown goes by a clock that is never set, quiet hours go by the one on the wall.

    Parameters
    ----------
    config : NotifyConfig
    """

    def __init__(self, config: NotifyConfig) -> None:
        self.held = 0
        """Events that were held back so far."""
        self._config = config
        self._hours = [parse_hours(text) for text in config.quiet_hours]
        self._not_before: dict[str, float] = {}
        self._kept: Counter[str] = Counter()
        self._kept_since = math.inf
        self._kept_quietly = False

    def quiet(self, at: float) -> bool:
        """Tell whether a moment, in Unix seconds, is within the quiet hours."""
        return any(hours.contains(at) for hours in self._hours)

    def wants(self, event: Event) -> bool:
        """Tell whether an event is of a kind that is told at all: its start, its label, its score."""
        labels = self._config.labels
        known = labels is None or event.label in labels
        return event.stop is None and known and event.score >= self._config.min_score

    def allows(self, event: Event, title: str, *, at: float, now: float) -> bool:
        """Tell whether a wanted event may be told now; if not, it is held back.

        Parameters
        ----------
        event : Event
        title : str
            Name of its label, for people.
        at : float
            Unix seconds.
        now : float
            Monotonic seconds.
        """
        quiet = self.quiet(at)
        if quiet or now < self._not_before.get(event.label, -math.inf):
            self._kept_quietly = self._kept_quietly or quiet
            self.hold(title, at)
            return False
        self._not_before[event.label] = now + self._config.cooldown_seconds
        return True

    def hold(self, title: str, at: float) -> None:
        """Note that an event was not told."""
        self.held += 1
        self._kept_since = min(self._kept_since, at)
        if title in self._kept or len(self._kept) < MOST_KEPT:
            self._kept[title] += 1

    def owes(self, at: float) -> bool:
        """Tell whether quiet hours are over in which something was held back."""
        return self._kept_quietly and not self.quiet(at)

    def digest(self) -> str:
        """Return one line about what was held back since `told`; empty if nothing was."""
        if not self._kept:
            return ""
        since = time.strftime("%H:%M", time.localtime(self._kept_since))
        names = (
            title if count == 1 else f"{title} ({count} times)" for title, count in self._kept.most_common()
        )
        return f"Held back since {since}: {', '.join(names)}"

    def told(self) -> None:
        """Forget what was held back: the digest has arrived."""
        self._kept.clear()
        self._kept_since, self._kept_quietly = math.inf, False
