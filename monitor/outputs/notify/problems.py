"""Problem notifications: only problems that last, each limited by a cooldown; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping


class Problems:
    """Track the problems of the monitor for one target.

    A problem must last ``after_seconds`` before it is notified, and is notified again after
    ``cooldown_seconds``.
    """

    def __init__(self, *, after_seconds: float, cooldown_seconds: float) -> None:
        self._after = after_seconds
        self._cooldown = cooldown_seconds
        self._since: dict[str, float] = {}
        self._notified_at: dict[str, float] = {}
        self._notified: set[str] = set()

    def update(self, problems: Mapping[str, str], *, now: float, quiet: bool) -> list[tuple[str, str | None]]:
        """Return what to notify now: each problem and its reason, or None if it was notified and is over.

        ``problems`` are the current ones with their reasons; ``now`` is in monotonic seconds.  While it is
        ``quiet``, nothing is notified; problems that last are notified later.
        """
        self._since = {what: self._since.get(what, now) for what in problems}
        if quiet:
            return []
        over = self._notified - problems.keys()
        due = {what for what in problems if self._is_due(what, now)}
        self._notified = (self._notified - over) | due
        self._notified_at |= dict.fromkeys(due, now)
        return [(what, problems[what]) for what in sorted(due)] + [(what, None) for what in sorted(over)]

    def _is_due(self, what: str, now: float) -> bool:
        lasts = now - self._since[what] >= self._after
        cooled_down = now - self._notified_at.get(what, -math.inf) >= self._cooldown
        return lasts and what not in self._notified and cooled_down
