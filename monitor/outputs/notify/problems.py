"""Which troubles of the monitor itself are news: those that last, each not too often; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping


class Problems:
    """Follow what is wrong, for one target.

    Parameters
    ----------
    after_seconds : float
        How long something must be wrong before it is news.
    cooldown_seconds : float
        From one news about the same thing to the next.
    """

    def __init__(self, *, after_seconds: float, cooldown_seconds: float) -> None:
        self._after = after_seconds
        self._cooldown = cooldown_seconds
        self._since: dict[str, float] = {}
        self._told_at: dict[str, float] = {}
        self._told: set[str] = set()

    def news(self, wrong: Mapping[str, str], *, now: float, quiet: bool) -> list[tuple[str, str | None]]:
        """Return what is to be told now: what is wrong, and why; None if it is over and had been told.

        Parameters
        ----------
        wrong : mapping of str to str
            All that is wrong now.
        now : float
            Monotonic seconds.
        quiet : bool
            Nothing may be told now; it will be later, if it is still true.
        """
        self._since = {what: self._since.get(what, now) for what in wrong}
        if quiet:
            return []
        over = self._told - wrong.keys()
        worth = {what for what in wrong if self._is_worth(what, now)}
        self._told = (self._told - over) | worth
        self._told_at |= dict.fromkeys(worth, now)
        return [(what, wrong[what]) for what in sorted(worth)] + [(what, None) for what in sorted(over)]

    def _is_worth(self, what: str, now: float) -> bool:
        lasts = now - self._since[what] >= self._after
        return lasts and what not in self._told and self._rested(what, now)

    def _rested(self, what: str, now: float) -> bool:
        return now - self._told_at.get(what, -math.inf) >= self._cooldown
