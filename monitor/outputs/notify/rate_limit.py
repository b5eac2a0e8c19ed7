"""Rate limit of notifications: labels, minimum score, cooldown and quiet hours; pure."""

from __future__ import annotations

import math
import time
from collections import Counter

from monitor.config import NotifyConfig
from monitor.config.hours import parse_hours
from monitor.types import Event

MAX_TITLES = 50
"""Labels named in a digest."""


class RateLimit:
    """Decide for one target which events are notified; events held back end up in a digest.

    The cooldown uses monotonic time, quiet hours use the time of day.
    """

    def __init__(self, config: NotifyConfig) -> None:
        self.held = 0
        """Events held back so far."""
        self._config = config
        self._hours = [parse_hours(text) for text in config.quiet_hours]
        self._not_before: dict[str, float] = {}
        self._titles: Counter[str] = Counter()
        self._held_since = math.inf
        self._held_in_quiet_hours = False

    def is_quiet(self, at: float) -> bool:
        """Return whether a time, in Unix seconds, is within the quiet hours."""
        return any(hours.contains(at) for hours in self._hours)

    def matches(self, event: Event) -> bool:
        """Return whether the target is notified of events with this phase, label and score."""
        labels = self._config.labels
        is_wanted = labels is None or event.label in labels
        return event.stop is None and is_wanted and event.score >= self._config.min_score

    def allows(self, event: Event, title: str, *, at: float, now: float) -> bool:
        """Return whether an event that matches may be notified now; if not, it is held back.

        ``title`` is the name of its label; ``at`` is in Unix seconds, ``now`` in monotonic seconds.
        """
        quiet = self.is_quiet(at)
        if quiet or now < self._not_before.get(event.label, -math.inf):
            self._held_in_quiet_hours = self._held_in_quiet_hours or quiet
            self.hold(title, at)
            return False
        self._not_before[event.label] = now + self._config.cooldown_seconds
        return True

    def hold(self, title: str, at: float) -> None:
        """Hold an event back for the digest."""
        self.held += 1
        self._held_since = min(self._held_since, at)
        if title in self._titles or len(self._titles) < MAX_TITLES:
            self._titles[title] += 1

    def digest_due(self, at: float) -> bool:
        """Return whether quiet hours with events held back are over."""
        return self._held_in_quiet_hours and not self.is_quiet(at)

    def digest(self) -> str:
        """Return one line about the events held back since `clear_digest`; empty if there are none."""
        if not self._titles:
            return ""
        since = time.strftime("%H:%M", time.localtime(self._held_since))
        names = (f"{title} ({n} times)" if n > 1 else title for title, n in self._titles.most_common())
        return f"Held back since {since}: {', '.join(names)}"

    def clear_digest(self) -> None:
        """Start a new digest, because the last one has been delivered."""
        self._titles.clear()
        self._held_since, self._held_in_quiet_hours = math.inf, False
