"""Delivery of late events to Home Assistant: they wait until it has subscribed to them.

After the broker was away the monitor is back first, for Home Assistant tries again every 10 s.  What is sent
before it has subscribed reaches nobody, and the broker acknowledges it all the same.  Its birth message says
that it has subscribed.  Where none comes, because Home Assistant never was away, sends none or does not
exist, the wait ends by itself.  Live events do not wait.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection

from monitor.outputs.mqtt.queue_file import QueuedMessage

HOLD_SECONDS = 15.0
"""Longest wait after a connection: one round of Home Assistant, and time to subscribe."""

BIRTH_SECONDS = 2.0
"""Wait after a birth: meanwhile Home Assistant makes entities of the description that it was told last."""


class LateEvents:
    """Which letters wait for Home Assistant; used by the one thread that publishes."""

    def __init__(self) -> None:
        self.upto = -math.inf
        """Letters up to this number wait; minus infinity: none."""
        self._until = -math.inf
        self._begun: Collection[str] = frozenset()

    @property
    def active(self) -> bool:
        """Whether letters wait."""
        return self.upto > -math.inf

    def begin(self, upto: int, begun: Collection[str]) -> None:
        """Let letters wait, for there is a new connection.

        Parameters
        ----------
        upto : int
            Number of the newest of them.
        begun : collection of str
            Events whose start is among them and whose end is not: it waits as well when it comes.
        """
        self.upto, self._begun = upto, frozenset(begun)
        self._until = time.monotonic() + HOLD_SECONDS

    def born(self) -> None:
        """Note that Home Assistant has subscribed."""
        if self.active:
            self._until = time.monotonic() + BIRTH_SECONDS

    def end(self) -> None:
        """Let go of them."""
        self.upto = self._until = -math.inf

    def end_if_over(self) -> bool:
        """Let go of them if they have waited long enough; tell whether it was so."""
        over = self.active and time.monotonic() >= self._until
        if over:
            self.end()
        return over

    def holds(self, letter: QueuedMessage) -> bool:
        """Tell whether a letter has to wait."""
        return self.active and (letter.number <= self.upto or self.belated(letter))

    def due(self) -> float:
        """Moment, on the monotonic clock, at which the wait is over; infinity if nothing waits."""
        return self._until if self.active else math.inf

    def belated(self, letter: QueuedMessage) -> bool:
        """Tell whether this is the end of an event whose start waits, or has waited on this connection."""
        return not letter.lasts and letter.event_id in self._begun
